"""A small NiceGUI application over lembro's session, as docs/starlette.md shows it."""

from __future__ import annotations

import os

from nicegui import Client, app, ui
from nicegui.storage import RequestTrackingMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse

from lembro import MemoryStore, SessionGone, SessionManager
from lembro.integrations.starlette import SessionMiddleware, get_session

manager = SessionManager(MemoryStore("1M"))
app.add_middleware(RequestTrackingMiddleware)
app.add_middleware(SessionMiddleware, manager)


async def stay_or_reload() -> None:
    for client in list(Client.instances.values()):
        session = get_session(client.request)
        try:
            async with session.edit():
                session.touch()
        except SessionGone:
            with client:
                ui.navigate.reload()


app.timer(0.2, stay_or_reload)  # 10 is often enough outside of tests


@ui.page("/")
def index(request: Request) -> None:
    session = get_session(request)
    kept, cookie = app.storage.user, app.storage.browser
    kept["visits"] = kept.get("visits", 0) + 1
    cookie["seen"] = cookie.get("seen", 0) + 1
    ui.label(f"{session.user_id}: {kept['visits']} visits, {cookie['seen']} seen")

    def count() -> None:
        kept = app.storage.user
        kept["clicks"] = kept.get("clicks", 0) + 1
        ui.label(
            f"{kept['clicks']} clicks by {session.user_id}, {app.storage.browser['seen']} seen"
        )

    def too_late() -> None:
        try:
            app.storage.browser["late"] = 1
        except TypeError as error:
            ui.label(str(error))

    async def note() -> None:
        async with session.edit():
            session["note"] = "taken"
        ui.label(f"note {session['note']}")

    ui.button("count", on_click=count)
    ui.button("too late", on_click=too_late)
    ui.button("note", on_click=note)


# Only a response can set a cookie, so a login is a request instead of an event.


@app.get("/login/{user}")  # a real application has a form and checks a password
def login(user: str, request: Request) -> RedirectResponse:
    get_session(request).login(user)
    return RedirectResponse("/", 303)


@app.get("/logout-everywhere")
def logout_everywhere(request: Request) -> RedirectResponse:
    get_session(request).logout_everywhere()
    return RedirectResponse("/", 303)


ui.run(host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), show=False, reload=False)
