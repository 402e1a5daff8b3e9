"""A cart, a login and a list of one's sessions, with Sanic.

    pip install 'lembro[sanic]'
    sanic examples.sanic_app:app

Then curl http://127.0.0.1:8000/me, or as in tests/examples/test_examples.py.
"""

from __future__ import annotations

from datetime import timedelta

from sanic import Request, Sanic, Unauthorized
from sanic.response import HTTPResponse, json

from lembro import MemoryStore, Session, SessionManager
from lembro.integrations.sanic import Lembro, get_session

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = Sanic("shop")
Lembro(app, manager)


def logged_in(request: Request) -> Session:
    session = get_session(request)  # request.ctx.session, with its type
    if session.user_id is None:
        raise Unauthorized("log in first")
    return session


@app.get("/me")
async def me(request: Request) -> HTTPResponse:
    session = get_session(request)
    return json({"user": session.user_id, "cart": session.get("cart", [])})


@app.post("/cart/<item>")
async def add_to_cart(request: Request, item: str) -> HTTPResponse:
    cart: list[str] = get_session(request).setdefault("cart", [])
    cart.append(item)
    return json(cart)


@app.post("/login/<user>")  # a real one takes a form, and checks a password
async def login(request: Request, user: str) -> HTTPResponse:
    get_session(request).login(user)
    return json(f"hello {user}")


@app.get("/sessions")
async def my_sessions(request: Request) -> HTTPResponse:
    session = logged_in(request)
    mine = session.manager.user_sessions(session.user_id or "")
    return json([{"name": s.handle, "age": s.age, "this one": s.current} for s in mine])


@app.post("/logout")
async def logout(request: Request) -> HTTPResponse:
    get_session(request).logout()
    return json("bye")


@app.post("/logout-everywhere")
async def logout_everywhere(request: Request) -> HTTPResponse:
    logged_in(request).logout_everywhere()
    return json("bye, everywhere")
