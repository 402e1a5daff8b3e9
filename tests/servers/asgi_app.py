"""An application for ASGI servers."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.websockets import WebSocket

from lembro.integrations.fastapi import SessionMiddleware, WebSessionDep
from tests.servers.count import count, make_manager


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    print("the application starts", file=sys.stderr, flush=True)
    yield
    print("the application stops", file=sys.stderr, flush=True)


manager = make_manager()
app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, manager)


@app.get("/")
async def index() -> str:
    return "ok"


@app.post("/login/{user}")
async def login(user: str, session: WebSessionDep) -> None:
    session.login(user)


@app.post("/logout")
async def logout(session: WebSessionDep) -> None:
    session.logout()


@app.post("/logout-everywhere")
async def logout_everywhere(session: WebSessionDep) -> None:
    session.logout_everywhere()


@app.post("/rotate")
async def rotate(session: WebSessionDep) -> None:
    session.regenerate_id()


@app.post("/cart/{item}")
async def add(item: int, session: WebSessionDep) -> None:
    session.setdefault("cart", []).append(item)
    session[f"item-{item}"] = item


@app.post("/count")
async def up(session: WebSessionDep) -> int:
    return await session.aatomic(count)


@app.get("/me")
async def me(session: WebSessionDep) -> dict[str, Any]:
    return {"user": session.user_id, "data": dict(session)}


@app.get("/worker")
async def worker() -> int:
    """Return the ID of the process."""
    return os.getpid()


@app.get("/user/{user}")
async def sessions_of(user: str) -> int:
    """Return how many sessions a user has."""
    return len(await manager.auser_sessions(user))


@app.post("/revoke/{user}")
async def revoke(user: str) -> int:
    return await manager.arevoke_user(user)


@app.get("/stream")
async def stream(session: WebSessionDep) -> StreamingResponse:
    """Read the session, and edit it between two chunks."""
    before = len(session)

    async def chunks() -> AsyncIterator[str]:
        yield f"{before}\n"
        async with session.edit():
            session["streamed"] = True
        yield "done\n"

    return StreamingResponse(chunks(), media_type="text/plain")


@app.get("/events")
async def events(session: WebSessionDep) -> StreamingResponse:
    """Send server-sent events, and store each of them."""
    user = session.user_id

    async def chunks() -> AsyncIterator[str]:
        for number in range(3):
            async with session.edit():
                session["last event"] = number
            yield f"id: {number}\ndata: {user}\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


@app.get("/late")
async def late(session: WebSessionDep) -> StreamingResponse:
    """Change the session too late."""
    cart = session.setdefault("cart", [])

    async def chunks() -> AsyncIterator[str]:
        yield "first\n"
        cart.append("late")
        yield "last\n"

    return StreamingResponse(chunks(), media_type="text/plain")


@app.get("/fails")
async def fails(session: WebSessionDep) -> PlainTextResponse:
    session["failed"] = True
    return PlainTextResponse("sorry", 500)


@app.websocket("/ws")
async def socket(socket: WebSocket, session: WebSessionDep) -> None:
    """Store every message, and respond with the number of messages."""
    await socket.accept()
    async for message in socket.iter_text():
        async with session.edit():
            session["said"] = [*session.get("said", []), message]
        await socket.send_text(f"{session.user_id}: {len(session['said'])}")
