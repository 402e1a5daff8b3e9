"""A cart, a login and a list of the user's sessions, with aiohttp.

    pip install 'lembro[aiohttp]'
    python -m aiohttp.web -H 127.0.0.1 -P 8000 examples.aiohttp_app:main

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from lembro import MemoryStore, SessionManager
from lembro.integrations.aiohttp import get_session, setup

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
routes = web.RouteTableDef()


@routes.get("/me")
async def me(request: web.Request) -> web.Response:
    session = get_session(request)
    return web.json_response({"user": session.user_id, "cart": session.get("cart", [])})


@routes.post("/cart/{item}")
async def add_to_cart(request: web.Request) -> web.Response:
    cart: list[str] = get_session(request).setdefault("cart", [])
    cart.append(request.match_info["item"])
    return web.json_response(cart)


@routes.post("/login/{user}")  # a real login takes a form and checks a password
async def login(request: web.Request) -> web.Response:
    user = request.match_info["user"]
    get_session(request).login(user)
    return web.json_response(f"hello {user}")


@routes.get("/sessions")  # answers 401 if nobody is logged in
async def my_sessions(request: web.Request) -> web.Response:
    mine = await get_session(request).auser_sessions()
    listed = [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]
    return web.json_response(listed)


@routes.post("/logout")
async def logout(request: web.Request) -> web.Response:
    get_session(request).logout()
    return web.json_response("bye")


@routes.post("/logout-everywhere")
async def logout_everywhere(request: web.Request) -> web.Response:
    get_session(request).logout_everywhere()
    return web.json_response("bye, everywhere")


def main(argv: list[str]) -> web.Application:
    app = web.Application()
    setup(app, manager)
    app.add_routes(routes)
    return app
