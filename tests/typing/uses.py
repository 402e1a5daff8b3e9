"""Use lembro as an application does.

mypy (strict) and pyright check this module in ``make check``; ``tests/unit/test_uses.py`` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, assert_type
from uuid import UUID

import msgspec
from fastapi import FastAPI, Form, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from lembro import (
    CookieOptions,
    Event,
    LembroError,
    LoginRequired,
    MemoryStore,
    Session,
    SessionGone,
    SessionInfo,
    SessionManager,
    SessionOptions,
    TooManySessions,
)
from lembro.integrations.fastapi import SessionData, SessionMiddleware, UserDep, WebSessionDep
from lembro.stores import Stats, StoreStats

# -- setting up ------------------------------------------------------------------------------------

manager = SessionManager(
    MemoryStore(max_size="64M", interval=timedelta(minutes=6)),
    idle_timeout=timedelta(hours=8),
    cookie=CookieOptions(name="sid", samesite="strict"),
)
app = FastAPI()
app.add_middleware(SessionMiddleware, manager)

other_ways = FastAPI()
other_ways.add_middleware(SessionMiddleware, store=MemoryStore("64K"), idle_timeout=60)

whole = FastAPI()
whole.add_middleware(SessionMiddleware, store=MemoryStore("64K"))

strict = SessionManager(MemoryStore(), SessionOptions.aal2(), at_max_sessions="refuse")


@manager.on("destroyed")
def farewell(event: Event) -> None:
    assert_type(event.handle, str | None)
    left.append(event.user_id)


left: list[str | None] = []
assert_type(farewell(Event("destroyed")), None)

# -- login and logout ------------------------------------------------------------------------------


class LoginForm(BaseModel):
    user: int
    remember: bool = False


@app.post("/login")
async def login(session: WebSessionDep, form: Annotated[LoginForm, Form()]) -> dict[str, bool]:
    session.login(form.user, remember=form.remember)
    return {"new": session.is_new}


@app.post("/logout")
def logout(session: WebSessionDep, which: str = "this") -> None:
    {
        "this": session.logout,
        "others": session.logout_others,
        "everywhere": session.logout_everywhere,
    }[which]()


@app.get("/me")
async def me(session: WebSessionDep) -> dict[str, Any]:
    assert_type(session, Session)
    assert_type(session.user_id, str | None)
    assert_type(session.handle, str | None)
    assert_type(session.authenticated_at, datetime | None)
    session.setdefault("visits", 0)
    session["visits"] += 1
    return {"user": session.user_id, "visits": session["visits"]}


@app.get("/sessions")
async def mine(session: WebSessionDep, user: UserDep) -> list[dict[str, Any]]:
    assert_type(user, str)
    infos = await session.auser_sessions()
    assert_type(infos, list[SessionInfo])
    assert all(info.user_id == user for info in infos)
    return [vars(info) for info in infos]


@app.post("/sessions/{handle}/revoke")
async def revoke(handle: str, session: WebSessionDep) -> bool:
    try:
        session.require_recent(timedelta(minutes=5))
    except LoginRequired as error:
        raise HTTPException(401, str(error)) from None
    return await session.arevoke(handle)


# -- typed parts -----------------------------------------------------------------------------------


class Cart(BaseModel):
    items: list[str] = []

    def add(self, item: str) -> None:
        self.items.append(item)


@dataclass
class Preferences:
    theme: str = "light"
    since: datetime | None = None


class Tally(msgspec.Struct):
    seen: dict[str, int] = {}


CartDep = Annotated[Cart, SessionData("cart", Cart)]
PreferencesDep = Annotated[
    Preferences,
    SessionData("preferences", Preferences, upgrade=lambda old: Preferences(theme=old["colours"])),
]
TallyDep = Annotated[Tally, SessionData("tally", Tally, default=lambda: Tally({"start": 1}))]


@app.post("/cart/{item}")
async def add(item: str, cart: CartDep, preferences: PreferencesDep, tally: TallyDep) -> list[str]:
    assert_type(cart, Cart)
    assert_type(preferences, Preferences)
    assert_type(tally, Tally)
    cart.add(item)
    preferences.theme = "dark"
    tally.seen[item] = tally.seen.get(item, 0) + 1
    return cart.items


@app.post("/typed/{item}")
def typed(item: str, session: WebSessionDep) -> int:
    cart = session.typed("cart", Cart)
    assert_type(cart, Cart)
    tally = session.typed("tally", Tally, default=lambda: Tally({"start": 1}))
    assert_type(tally, Tally)
    preferences = session.typed("preferences", Preferences, upgrade=lambda old: Preferences())
    assert_type(preferences, Preferences)
    cart.add(item)
    return len(cart.items)


class Visitor(BaseModel):
    """The whole session as one model."""

    pages: list[str] = []
    name: str | None = None


VisitorDep = Annotated[Visitor, SessionData(Visitor)]


@whole.get("/{page}")
def page(page: str, visitor: VisitorDep) -> list[str]:
    assert_type(visitor, Visitor)
    visitor.pages.append(page)
    return visitor.pages


@app.post("/stock")
async def take(session: WebSessionDep) -> int:
    def one_less(data: dict[str, Any]) -> int:
        data["stock"] = data.get("stock", 10) - 1
        return int(data["stock"])

    left_in_stock = await session.aatomic(one_less)
    assert_type(left_in_stock, int)
    return left_in_stock


# -- after the headers -----------------------------------------------------------------------------


@app.websocket("/ws")
async def ws(ws: WebSocket, session: WebSessionDep) -> None:
    await ws.accept()
    try:
        async for message in ws.iter_text():
            async with session.edit() as edited:
                assert_type(edited, Session)
                edited["seen"] = message
            await ws.send_json({"seen": session["seen"]})
    except SessionGone:
        await ws.close(4401)


@app.get("/stream")
def stream(session: WebSessionDep) -> StreamingResponse:
    session["streamed"] = 0

    def lines() -> Iterator[str]:
        for _ in range(3):
            with session.edit():
                session["streamed"] += 1
            yield f"{session['streamed']}\n"

    return StreamingResponse(lines())


# -- without a framework ---------------------------------------------------------------------------


def support(command: str, *arguments: str) -> str:
    """A command line for operators."""
    try:
        match command, arguments:
            case "list", ():
                return "\n".join(
                    f"{info.handle} {info.user_id or '-'} {info.age:.0f}" for info in manager.all()
                )
            case "revoke", (handle,):
                return "ended" if manager.revoke(handle) else "no such session"
            case "lock", (user,):
                return f"{manager.revoke_user(user)} ended"
            case "create", (user,):
                session_id = manager.create({"by": "support"}, user_id=user)
                assert_type(session_id, str)
                data = manager.get(session_id)
                assert_type(data, dict[str, Any] | None)
                return session_id
            case "stats", ():
                stats = manager.stats()
                assert_type(stats, Stats | StoreStats)
                newcomers = f", {stats.tiers[0]} new" if isinstance(stats, Stats) else ""
                return f"{stats.sessions} sessions{newcomers}, {stats.used} bytes"
            case _:
                return "list | revoke HANDLE | lock USER | create USER | stats"
    except TooManySessions as error:
        return f"refused: {error}"
    except LembroError as error:
        return f"failed: {error}"


async def asupport(user: str | int | UUID) -> int:
    """The same in a coroutine, over any store."""
    session = await manager.aload(await manager.acreate(user_id=user))
    session["n"] = 1
    await session.asave()
    return await manager.arevoke_user(user, keep=session)
