"""An application for Sanic's own server."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

from sanic import Request, Sanic, Websocket
from sanic.response import HTTPResponse, empty, json

from lembro.integrations.sanic import Lembro, get_session
from lembro.stores import store_of
from tests.servers.count import count

app: Any = Sanic("lembro-servers")
Lembro(app, store=store_of(None))


@app.get("/")
async def index(request: Request) -> HTTPResponse:
    return empty()


@app.post("/login/<user>")
async def login(request: Request, user: str) -> HTTPResponse:
    get_session(request).login(user)
    return empty()


@app.post("/logout")
async def logout(request: Request) -> HTTPResponse:
    get_session(request).logout()
    return empty()


@app.post("/logout-everywhere")
async def logout_everywhere(request: Request) -> HTTPResponse:
    get_session(request).logout_everywhere()
    return empty()


@app.post("/rotate")
async def rotate(request: Request) -> HTTPResponse:
    get_session(request).regenerate_id()
    return empty()


@app.post("/cart/<item:int>")
async def add(request: Request, item: int) -> HTTPResponse:
    session = get_session(request)
    session.setdefault("cart", []).append(item)
    session[f"item-{item}"] = item
    return empty()


@app.post("/count")
async def up(request: Request) -> HTTPResponse:
    return json(await get_session(request).aatomic(count))


@app.get("/me")
async def me(request: Request) -> HTTPResponse:
    session = get_session(request)
    return json({"user": session.user_id, "data": dict(session)})


@app.get("/stream")
async def stream(request: Request) -> None:
    session = get_session(request)
    before = len(session)
    response: Any = await request.respond(content_type="text/plain")
    await response.send(f"{before}\n")
    async with session.edit():
        session["streamed"] = True
    await response.send("done\n")
    await response.eof()


@app.get("/fails")
async def fails(request: Request) -> HTTPResponse:
    get_session(request)["failed"] = True
    return HTTPResponse("sorry", 500)


@app.websocket("/ws")
async def socket(request: Request, ws: Websocket) -> None:
    """Store every message, and respond with the number of messages."""
    session = get_session(request)
    async for message in ws:
        if message == "late":
            session["said"].append(message)
            await ws.send("it will be said")
            continue
        async with session.edit():
            session["said"] = [*session.get("said", []), message]
        await ws.send(f"{session.user_id}: {len(session['said'])}")
