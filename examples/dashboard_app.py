"""The dashboard of all sessions, in an application of FastAPI. Only "heidi" may see it.

    pip install 'lembro[fastapi]' uvicorn
    uvicorn examples.dashboard_app:app

Then open http://127.0.0.1:8000/login/heidi and http://127.0.0.1:8000/sessions/.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from lembro import Event, MemoryStore, SessionManager
from lembro.dashboard import ASGIDashboard
from lembro.integrations.fastapi import SessionMiddleware, WebSessionDep

ADMINS = {"heidi"}

manager = SessionManager(MemoryStore("64M"), store_address=True)
app = FastAPI()


def allow(scope: Any) -> str | None:
    user_id = scope["session"].user_id
    return user_id if user_id in ADMINS else None


app.mount("/sessions", ASGIDashboard(manager, allow=allow, show=["cart"]))
app.add_middleware(SessionMiddleware, manager)


@app.get("/login/{user}")  # a real login takes a form and checks a password
def login(user: str, session: WebSessionDep) -> str:
    session["cart"] = ["bread"]
    session.login(user)
    return f"hello {user}"


@manager.on("destroyed")
@manager.on("cleared")
def audit(event: Event) -> None:
    print(event.name, event.handle, event.user_id, event.reason)
