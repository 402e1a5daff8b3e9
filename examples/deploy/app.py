"""A small shop with FastAPI, which the configuration files of this folder serve.

    pip install 'lembro[fastapi]' 'uvicorn[standard]'
    uvicorn app:app

The pages of docs/deploy/ use it.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import RedirectResponse

from lembro import SessionManager
from lembro.integrations.fastapi import SessionMiddleware, WebSessionDep, get_session

manager = SessionManager(store_address=True)  # LEMBRO_STORE names its store
app = FastAPI()
app.add_middleware(SessionMiddleware, manager)


@app.get("/healthz")
async def healthz() -> str:
    """Respond with 200 if this process works."""
    return "ok"


@app.get("/readyz")
async def readyz() -> str:
    """Respond with 200 if this process can use its sessions. If not, lembro responds with 503."""
    await manager.aping()
    return "ok"


@app.post("/login/{user}")  # a real login takes a form and checks a password
async def login(user: str, request: Request, session: WebSessionDep) -> RedirectResponse:
    session.login(user)
    return RedirectResponse(request.url_for("me"), status_code=303)


@app.get("/me")
async def me(session: WebSessionDep) -> dict[str, object]:
    if session.user_id is None:
        return {"user": None}
    sessions = await session.auser_sessions()
    return {"user": session.user_id, "addresses": [each.address for each in sessions]}


@app.websocket("/live")
async def live(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(f"hello {get_session(socket).user_id}")
    await socket.close()
