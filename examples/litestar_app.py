"""A cart, a login and a list of the user's sessions, with Litestar.

    pip install 'lembro[litestar]' uvicorn
    uvicorn examples.litestar_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

from datetime import timedelta

from litestar import Litestar, get, post
from litestar.params import FromPath

from lembro import MemoryStore, SessionManager
from lembro.integrations.litestar import LembroPlugin, WebSessionDep

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))


@get("/me")
async def me(session: WebSessionDep) -> dict[str, object]:
    return {"user": session.user_id, "cart": session.get("cart", [])}


@post("/cart/{item:str}")
async def add_to_cart(item: FromPath[str], session: WebSessionDep) -> list[str]:
    cart: list[str] = session.setdefault("cart", [])
    cart.append(item)
    return cart


@post("/login/{user:str}", status_code=200)  # a real login takes a form and checks a password
async def login(user: FromPath[str], session: WebSessionDep) -> str:
    session.login(user)
    return f"hello {user}"


@get("/sessions")  # answers 401 if nobody is logged in
async def my_sessions(session: WebSessionDep) -> list[dict[str, object]]:
    mine = await session.auser_sessions()
    return [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]


@post("/logout", status_code=200)
async def logout(session: WebSessionDep) -> str:
    session.logout()
    return "bye"


@post("/logout-everywhere", status_code=200)
async def logout_everywhere(session: WebSessionDep) -> str:
    session.logout_everywhere()
    return "bye, everywhere"


app = Litestar(
    [me, add_to_cart, login, my_sessions, logout, logout_everywhere],
    plugins=[LembroPlugin(manager)],
    logging_config=None,  # the server logs requests
)
