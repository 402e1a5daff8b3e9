"""The FastAPI half of the example, which shares its sessions with ``app.js``.

``make express-demo`` starts both.
"""

from __future__ import annotations

import os
from datetime import timedelta

from fastapi import APIRouter, FastAPI

from lembro.express import ExpressCookie, ExpressManager
from lembro.integrations.fastapi import SessionMiddleware, WebSessionDep

manager = ExpressManager(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
    secret=os.environ["SESSION_SECRET"],
    user="user",  # app.js writes req.session.user
    cookie=ExpressCookie(samesite="lax", max_age=timedelta(days=1)),
)
app = FastAPI()
app.add_middleware(SessionMiddleware, manager)
pages = APIRouter(prefix="/python")


@pages.get("/me")
def me(session: WebSessionDep) -> dict[str, object]:
    return {"user": session.user_id, "cart": session.get("cart", [])}


@pages.post("/cart/{item}")
def add_to_cart(item: str, session: WebSessionDep) -> dict[str, object]:
    session.setdefault("cart", []).append(item)
    return me(session)


@pages.post("/login/{user}")  # a real login checks a password
def login(user: str, session: WebSessionDep) -> dict[str, object]:
    session.login(user)
    return me(session)


@pages.post("/logout")
def logout(session: WebSessionDep) -> dict[str, object]:
    session.logout()
    return me(session)


app.include_router(pages)
