"""An application for aiohttp's own server, with the pages of ``asgi_app.py``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from aiohttp import web

from lembro.integrations.aiohttp import get_session, setup
from lembro.stores import store_of
from tests.servers.count import count

routes = web.RouteTableDef()


async def lifespan(app: web.Application) -> AsyncIterator[None]:
    print("the application starts", file=sys.stderr, flush=True)
    yield
    print("the application stops", file=sys.stderr, flush=True)


@routes.get("/")
async def index(request: web.Request) -> web.Response:
    return web.json_response("ok")


@routes.post("/login/{user}")
async def login(request: web.Request) -> web.Response:
    get_session(request).login(request.match_info["user"])
    return web.json_response(None)


@routes.post("/logout")
async def logout(request: web.Request) -> web.Response:
    get_session(request).logout()
    return web.json_response(None)


@routes.post("/logout-everywhere")
async def logout_everywhere(request: web.Request) -> web.Response:
    get_session(request).logout_everywhere()
    return web.json_response(None)


@routes.post("/rotate")
async def rotate(request: web.Request) -> web.Response:
    get_session(request).regenerate_id()
    return web.json_response(None)


@routes.post("/cart/{item}")
async def add(request: web.Request) -> web.Response:
    session = get_session(request)
    item = int(request.match_info["item"])
    session.setdefault("cart", []).append(item)
    session[f"item-{item}"] = item
    return web.json_response(None)


@routes.post("/count")
async def up(request: web.Request) -> web.Response:
    return web.json_response(await get_session(request).aatomic(count))


@routes.get("/me")
async def me(request: web.Request) -> web.Response:
    session = get_session(request)
    return web.json_response({"user": session.user_id, "data": dict(session)})


async def begun(request: web.Request, kind: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    return response


@routes.get("/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    """Read the session, and edit it between two chunks."""
    session = get_session(request)
    before = len(session)
    response = await begun(request, "text/plain")
    await response.write(f"{before}\n".encode())
    async with session.edit():
        session["streamed"] = True
    await response.write(b"done\n")
    return response


@routes.get("/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Send server-sent events, and store each of them."""
    session = get_session(request)
    user = session.user_id
    response = await begun(request, "text/event-stream")
    for number in range(3):
        async with session.edit():
            session["last event"] = number
        await response.write(f"id: {number}\ndata: {user}\n\n".encode())
    return response


@routes.get("/fails")
async def fails(request: web.Request) -> web.Response:
    get_session(request)["failed"] = True
    return web.Response(text="sorry", status=500)


@routes.get("/ws")
async def socket(request: web.Request) -> web.WebSocketResponse:
    """Store every message, and respond with the number of messages."""
    session = get_session(request)
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        async with session.edit():
            session["said"] = [*session.get("said", []), message.data]
        await response.send_str(f"{session.user_id}: {len(session['said'])}")
    return response


def main(argv: list[str]) -> web.Application:
    app = web.Application()
    setup(app, store=store_of(None))
    app.cleanup_ctx.append(lifespan)
    app.add_routes(routes)
    return app
