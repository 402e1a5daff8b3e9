"""The demo application: a café where you log in, fill a tray and manage your sessions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lembro import MemoryStore, Session, SessionGone, SessionManager
from lembro.dashboard.samples import STATIC as CHARTS
from lembro.integrations.starlette import SessionMiddleware, get_session

from .bots import Bots
from .guard import Guard
from .live import Live
from .visitors import Regulars

STATIC: Final = Path(__file__).parent / "static"
PAGE: Final = (STATIC / "page.html").read_text(encoding="utf-8")

MENU: Final = ("Bica", "Galão", "Pastel de nata", "Torrada")
FULL_TRAY: Final = 400  # things
LONGEST_NAME: Final = 40  # characters


# -- pages -----------------------------------------------------------------------------------------


async def page(request: Request) -> Response:
    note_visit(request)
    return HTMLResponse(request.app.state.page)


async def me(request: Request) -> Response:
    """Return the data of the visitor that the page shows."""
    session = note_visit(request)
    return JSONResponse(
        {
            "user": session.user_id,
            "tray": Counter(session.get("tray", ())),
            "counted": session.get("counted", 0),
            "sessions": await sessions_of(session),
            "messages": session.pop("messages", []),  # each is shown once
            "idle_timeout": request.app.state.idle_timeout,
        }
    )


def note_visit(request: Request) -> Session:
    """Return the session of a request. A new one begins with data that a shop may collect."""
    session = get_session(request)
    if "visit" not in session:
        session["visit"] = {
            "began": datetime.now(UTC),
            "landing": str(request.url)[:300],
            "referrer": request.headers.get("referer", "")[:200],
            "browser": request.headers.get("user-agent", "")[:200],
            "language": request.headers.get("accept-language", "")[:50],
        }
    return session


def tell(session: Session, message: str) -> None:
    """Store a message that the next page shows."""
    session.setdefault("messages", []).append(message)


# -- logging in and out ----------------------------------------------------------------------------


async def login(request: Request) -> Response:
    form = await read_json(request)
    name = form.get("name")
    name = name.strip() if isinstance(name, str) else ""
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        raise HTTPException(422, f"A name has 1 to {LONGEST_NAME} characters.")
    session = get_session(request)
    session.login(name, remember=form.get("remember") is True)
    tell(session, f"Welcome, {name}.")
    return done()


async def logout(request: Request) -> Response:
    session = get_session(request)
    session.logout()
    tell(session, "You are logged out.")
    return done()


async def logout_others(request: Request) -> Response:
    session = logged_in(request)
    session.logout_others()
    tell(session, "Your other sessions have ended.")
    return done()


async def logout_everywhere(request: Request) -> Response:
    session = logged_in(request)
    session.logout_everywhere()
    tell(session, "You are logged out everywhere.")
    return done()


async def end_session(request: Request) -> Response:
    session = logged_in(request)
    ended = await session.arevoke(request.path_params["handle"])
    tell(session, "That session has ended." if ended else "That session had ended already.")
    return done()


def logged_in(request: Request) -> Session:
    session = get_session(request)
    if session.user_id is None:
        raise HTTPException(401, "You are not logged in.")
    return session


async def sessions_of(session: Session) -> list[dict[str, Any]]:
    """List the sessions of the user who is logged in, for the page."""
    if session.user_id is None:
        return []
    return [
        {
            "handle": info.handle,
            "age": info.age,
            "idle": info.idle_for,
            "current": info.current,
            "browser": info.data.get("visit", {}).get("browser", ""),
        }
        for info in await session.auser_sessions()
    ]


# -- the tray --------------------------------------------------------------------------------------


async def order(request: Request) -> Response:
    """Add one thing to the tray, without losing a concurrent order."""
    session = get_session(request)
    tray = session.setdefault("tray", [])
    thing = request.path_params["thing"]
    if thing not in MENU:
        raise HTTPException(404, "That is not on the menu.")
    if len(tray) >= FULL_TRAY:
        raise HTTPException(409, f"The tray is full: {len(tray)} things.")

    await brew()  # other requests change the session in the meantime

    tray.append(thing)  # concurrent appends are merged
    await session.aatomic(count)  # a counter cannot be merged, so it is changed in one step
    return done()


async def brew() -> None:
    await asyncio.sleep(0.1)


def count(data: dict[str, Any]) -> None:
    data["counted"] = data.get("counted", 0) + 1


async def clear_tray(request: Request) -> Response:
    session = get_session(request)
    session.pop("tray", None)
    session.pop("counted", None)
    return done()


# -- the store -------------------------------------------------------------------------------------


async def live(request: Request) -> Response:
    """Send the store's statistics, as server-sent events."""
    session = get_session(request)
    session.get("counted")  # a stream cannot be the first to access the session
    events = request.app.state.live.events(session)
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def send_bots(request: Request) -> Response:
    if not request.app.state.bots.send(request.app):
        raise HTTPException(409, "The bots are running already.")
    return done()


# -- the application -------------------------------------------------------------------------------


def done() -> Response:
    return Response(status_code=204)


async def session_gone(request: Request, error: Exception) -> Response:
    return PlainTextResponse("Your session has ended.", status_code=409)


async def read_json(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "Send a JSON object.")
    return body


def create_app(
    idle_timeout: float = 120, names: Iterable[str] = (), store: str | None = None
) -> Starlette:
    """Make the café.

    Args:
        idle_timeout: The idle timeout of the sessions, in seconds; short, so that you see them
            expire.
        names: Names of this machine that the demo accepts, in addition to localhost and addresses.
        store: The URL of a store that several workers share. Then there are no simulated visitors.
            The default is a MemoryStore of 4 MB.
    """
    manager = SessionManager(
        MemoryStore(max_size="4M", interval=min(5, idle_timeout / 2)) if store is None else store,
        idle_timeout=idle_timeout,
    )
    memory = manager.store if isinstance(manager.store, MemoryStore) else None
    regulars = Regulars(come_back_after=min(6, idle_timeout / 4))
    bots = None if memory is None else Bots(memory, regulars)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(app.state.live.run())]
        if bots is not None:
            tasks.append(asyncio.create_task(regulars.run(app)))
        yield
        if bots is not None:
            await bots.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = Starlette(
        lifespan=lifespan,
        exception_handlers={SessionGone: session_gone},
        routes=[
            Route("/", page),
            Route("/me", me),
            Route("/login", login, methods=["POST"]),
            Route("/logout", logout, methods=["POST"]),
            Route("/logout/others", logout_others, methods=["POST"]),
            Route("/logout/everywhere", logout_everywhere, methods=["POST"]),
            Route("/sessions/{handle}/end", end_session, methods=["POST"]),
            Route("/tray/clear", clear_tray, methods=["POST"]),
            Route("/tray/{thing}", order, methods=["POST"]),
            Route("/live", live),
            *([] if bots is None else [Route("/bots", send_bots, methods=["POST"])]),
            Mount("/static/charts", StaticFiles(directory=CHARTS)),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
    )
    app.add_middleware(SessionMiddleware, manager)
    app.add_middleware(Guard, names=names)
    app.state.bots = bots
    app.state.idle_timeout = idle_timeout
    app.state.live = Live(manager, bots)
    app.state.page = PAGE
    if memory is None:
        kind = type(manager.store).__name__
        app.state.page = PAGE.replace("<html ", f'<html data-store="{kind}" ', 1)
    return app
