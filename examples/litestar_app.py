"""A cart, a login and a list of one's sessions, with Litestar.

    pip install 'lembro[litestar]' uvicorn
    uvicorn examples.litestar_app:app

Or as in tests/examples/test_examples.py.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Litestar, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from lembro import MemoryStore, SessionManager
from lembro.integrations.litestar import LembroPlugin, SessionDep, get_session

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))


def logged_in(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    if get_session(connection).user is None:
        raise NotAuthorizedException("log in first")


@get("/me")
async def me(session: SessionDep) -> dict[str, object]:
    return {"user": session.user_id, "cart": session.get("cart", [])}


@post("/cart/{item:str}")
async def add_to_cart(item: FromPath[str], session: SessionDep) -> list[str]:
    cart: list[str] = session.setdefault("cart", [])
    cart.append(item)
    return cart


@post("/login/{user:str}", status_code=200)  # a real one takes a form, and checks a password
async def login(user: FromPath[str], session: SessionDep) -> str:
    session.login(user)
    return f"hello {user}"


@get("/sessions", guards=[logged_in])
async def my_sessions(session: SessionDep) -> list[dict[str, object]]:
    mine = session.manager.user_sessions(session.user_id or "")
    return [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]


@post("/logout", status_code=200)
async def logout(session: SessionDep) -> str:
    session.logout()
    return "bye"


@post("/logout-everywhere", status_code=200, guards=[logged_in])
async def logout_everywhere(session: SessionDep) -> str:
    session.logout_everywhere()
    return "bye, everywhere"


app = Litestar(
    [me, add_to_cart, login, my_sessions, logout, logout_everywhere],
    plugins=[LembroPlugin(manager)],
    logging_config=None,  # the server's log will do
)
