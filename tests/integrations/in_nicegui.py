"""NiceGUI over lembro: its own simulated user, on the application of ``nicegui_app.py``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from nicegui import core
from nicegui.app.app import prune_user_storage
from nicegui.testing.user import User
from nicegui.testing.user_simulation import user_simulation

from lembro import SessionGone, SessionManager

APP = Path(__file__).with_name("nicegui_app.py")

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def user() -> AsyncIterator[User]:
    async with user_simulation(main_file=APP) as user:
        yield user


def another() -> User:
    transport = httpx.ASGITransport(core.app)
    return User(httpx.AsyncClient(transport=transport, base_url="http://test"))


def sessions_of(user: User) -> SessionManager:
    assert user.client is not None
    runner = user.client.request.session._transport.runner  # type: ignore[attr-defined]
    return SessionManager(runner.store, runner.options)


def only(user: User) -> dict[str, Any]:
    [session] = sessions_of(user).all()
    return session.data


async def test_the_storages_of_user_and_browser_are_kept(user: User) -> None:
    await user.open("/")
    await user.should_see("None: 1 visits, 1 seen")
    await user.open("/")
    await user.should_see("None: 2 visits, 2 seen")
    assert only(user)["seen"] == 2
    other = another()
    await other.open("/")
    await other.should_see("None: 1 visits, 1 seen")
    await other.http_client.aclose()


async def test_a_click_is_kept_in_the_storage_of_the_user(user: User) -> None:
    await user.open("/")
    user.find("count").click()
    await user.should_see("1 clicks by None, 1 seen")
    await user.open("/")
    user.find("count").click()
    await user.should_see("2 clicks by None, 2 seen")


async def test_the_browser_storage_is_read_only_once_the_page_is_loaded(user: User) -> None:
    await user.open("/")
    user.find("too late").click()
    await user.should_see("the response to the browser has already been built")
    assert "late" not in only(user)


async def test_an_event_handler_edits_the_session(user: User) -> None:
    await user.open("/")
    user.find("note").click()
    await user.should_see("note taken")
    assert only(user)["note"] == "taken"


async def test_a_login_keeps_the_storage_of_the_user_and_a_logout_clears_it(user: User) -> None:
    await user.open("/")
    await user.open("/login/heidi")
    await user.should_see("heidi: 2 visits, 2 seen")
    await user.open("/logout-everywhere")
    await user.should_see("None: 1 visits, 1 seen")


async def test_a_page_whose_session_has_ended_reloads(user: User) -> None:
    await user.http_client.get("/login/heidi")
    before = await user.open("/")
    await user.should_see("heidi: 1 visits, 1 seen")
    sessions_of(user).revoke_user("heidi")
    with pytest.raises(SessionGone):
        before.request.session["id"]
    with pytest.raises(SessionGone):  # NiceGUI's own cleanup fails with it, so it must be removed
        await prune_user_storage()
    await user.should_see("None: 1 visits, 1 seen", retries=50)
    before.delete()  # as NiceGUI does once a page has not been connected for some time
    await prune_user_storage()


async def test_an_open_page_keeps_its_session_alive(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user.open("/")
    store = sessions_of(user).store
    touched = asyncio.Event()

    def touch(key: bytes, *, idle: float) -> bool:
        touched.set()
        return True

    monkeypatch.setattr(store, "touch", touch)
    async with asyncio.timeout(10):
        await touched.wait()
