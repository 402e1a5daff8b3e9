"""A cart, a login and a list of the user's sessions, with Sanic.

    pip install 'lembro[sanic]'
    sanic examples.sanic_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

from datetime import timedelta

from sanic import Request, Sanic
from sanic.response import HTTPResponse, json

from lembro import MemoryStore, SessionManager
from lembro.integrations.sanic import Lembro, get_session

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = Sanic("shop")
Lembro(app, manager)


@app.get("/me")
async def me(request: Request) -> HTTPResponse:
    session = get_session(request)  # request.ctx.session, typed
    return json({"user": session.user_id, "cart": session.get("cart", [])})


@app.post("/cart/<item>")
async def add_to_cart(request: Request, item: str) -> HTTPResponse:
    cart: list[str] = get_session(request).setdefault("cart", [])
    cart.append(item)
    return json(cart)


@app.post("/login/<user>")  # a real login takes a form and checks a password
async def login(request: Request, user: str) -> HTTPResponse:
    get_session(request).login(user)
    return json(f"hello {user}")


@app.get("/sessions")
async def my_sessions(request: Request) -> HTTPResponse:
    mine = await get_session(request).auser_sessions()  # answers 401 if nobody is logged in
    return json([{"name": s.handle, "age": s.age, "this one": s.current} for s in mine])


@app.post("/logout")
async def logout(request: Request) -> HTTPResponse:
    get_session(request).logout()
    return json("bye")


@app.post("/logout-everywhere")
async def logout_everywhere(request: Request) -> HTTPResponse:
    get_session(request).logout_everywhere()
    return json("bye, everywhere")
