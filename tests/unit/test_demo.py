"""The demo's application, without server and browser."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from lembro import MemoryStore, SessionManager, StoreError
from lembro.demo import app as demo
from lembro.demo import bots as demo_bots
from lembro.demo.live import Live
from lembro.demo.visitors import REGULARS, Regulars
from lembro.testing import FakeClock

ORIGIN = "http://127.0.0.1"


def client_of(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN)


@asynccontextmanager
async def cafe() -> AsyncIterator[httpx.AsyncClient]:
    """A visitor who has opened the page; no other visitors exist."""
    async with client_of(demo.create_app()) as client:
        await client.get("/")
        yield client


async def me(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get("/me")).json()
    return answer


# -- allowed requests ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("LOCALHOST.:8000", 200),
        ("demo.localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        ("192.0.2.7:8000", 200),
        ("mine.example:8000", 200),
        ("rebound.example:8000", 403),
        ("rebound.example", 403),
        ("127.0.0.1.rebound.example", 403),
        ("localhost.rebound.example:8000", 403),
        ("rebound.example:localhost", 403),
        ("xlocalhost", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/me", "/static/icon.svg"])
def test_a_host_name_of_another_site_is_refused(host: str, status: int, path: str) -> None:
    """With DNS rebinding, the other site's page would have the origin of the demo and could read
    it.
    """

    async def run() -> None:
        async with client_of(demo.create_app(names=["Mine.example"])) as client:
            answer = await client.get(path, headers={"host": host})
            assert answer.status_code == status
            assert ("set-cookie" in answer.headers) == (
                status == 200 and path != "/static/icon.svg"
            )

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 204),
        ({"sec-fetch-site": "none"}, 204),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, 403),
        ({"origin": ORIGIN}, 204),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 204),  # not a browser
    ],
)
def test_a_request_from_another_site_changes_nothing(headers: dict[str, str], status: int) -> None:
    async def run() -> None:
        async with cafe() as client:
            answer = await client.post("/tray/Bica", headers=headers)
            assert answer.status_code == status
            assert (await me(client))["tray"] == ({"Bica": 1} if status == 204 else {})

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/", "/me", "/static/page.js", "/nowhere"])
def test_a_page_may_load_only_its_own_files(path: str) -> None:
    async def run() -> None:
        async with cafe() as client:
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"

    asyncio.run(run())


def test_the_page_uses_no_other_host() -> None:
    for path in demo.STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("*/", ""), path


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\nb", 5, None])
def test_an_invalid_name_is_refused(name: object) -> None:
    async def run() -> None:
        async with cafe() as client:
            assert (await client.post("/login", json={"name": name})).status_code == 422
            assert (await me(client))["user"] is None

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"Ana"', b"\xff"])
def test_an_invalid_form_is_refused(body: bytes) -> None:
    async def run() -> None:
        async with cafe() as client:
            assert (await client.post("/login", content=body)).status_code == 400

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/logout/others", "/logout/everywhere", "/sessions/x/end"])
def test_session_management_requires_a_login(path: str) -> None:
    async def run() -> None:
        async with cafe() as client:
            assert (await client.post(path)).status_code == 401

    asyncio.run(run())


def test_remember_me_sets_a_persistent_cookie() -> None:
    async def run() -> None:
        async with cafe() as client:
            for remember in (True, False):
                form = {"name": "Ana", "remember": remember}
                cookie = (await client.post("/login", json=form)).headers["set-cookie"]
                assert ("Max-Age=" in cookie) is remember
                assert "HttpOnly; SameSite=Lax" in cookie

    asyncio.run(run())


def test_a_user_cannot_end_the_session_of_another() -> None:
    async def run() -> None:
        app = demo.create_app()
        async with client_of(app) as ana, client_of(app) as eve:
            await ana.post("/login", json={"name": "Ana"})
            await eve.post("/login", json={"name": "Eve"})
            handle = (await me(ana))["sessions"][0]["handle"]
            await eve.post(f"/sessions/{handle}/end")
            assert (await me(ana))["user"] == "Ana"

    asyncio.run(run())


# -- the tray --------------------------------------------------------------------------------------


def test_parallel_orders_are_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        all_here = asyncio.Barrier(20)
        monkeypatch.setattr(demo, "brew", all_here.wait)
        async with cafe() as client:
            orders = [client.post(f"/tray/{demo.MENU[n % 4]}") for n in range(20)]
            assert [answer.status_code for answer in await asyncio.gather(*orders)] == [204] * 20
            seen = await me(client)
            assert sum(seen["tray"].values()) == seen["counted"] == 20
            assert set(seen["tray"].values()) == {5}

    asyncio.run(run())


def test_the_tray_is_kept_at_a_login() -> None:
    async def run() -> None:
        async with cafe() as client:
            await client.post("/tray/Torrada")
            await client.post("/login", json={"name": "Ana"})
            assert (await me(client))["tray"] == {"Torrada": 1}
            await client.post("/login", json={"name": "Bruno"})  # another user
            assert (await me(client))["tray"] == {}

    asyncio.run(run())


def test_a_full_tray_refuses_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FULL_TRAY", 2)

    async def run() -> None:
        async with cafe() as client:
            codes = [(await client.post("/tray/Bica")).status_code for _ in range(3)]
            assert codes == [204, 204, 409]
            await client.post("/tray/clear")
            seen = await me(client)
            assert (seen["tray"], seen["counted"]) == ({}, 0)
            assert (await client.post("/tray/Mona Lisa")).status_code == 404

    asyncio.run(run())


def test_a_session_that_ends_during_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with cafe() as client:

            async def log_out_meanwhile() -> None:
                await client.post("/logout")

            monkeypatch.setattr(demo, "brew", log_out_meanwhile)
            answer = await client.post("/tray/Bica")
            assert answer.status_code == 409
            assert answer.text == "Your session has ended."
            assert "set-cookie" not in answer.headers
            assert (await me(client))["tray"] == {}

    asyncio.run(run())


# -- the store -------------------------------------------------------------------------------------


async def events(
    app: Starlette, cookie: str, leaves: asyncio.Event | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Return what /live sends to a page, until the stream ends, or the page is left (at
    ``leaves``).
    """
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    left = leaves or asyncio.Event()

    async def receive() -> dict[str, Any]:
        await asyncio.wait_for(left.wait(), 60)
        return {"type": "http.disconnect"}

    async def call() -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "GET",
            "path": "/live",
            "query_string": b"",
            "headers": [(b"cookie", cookie.encode())],
        }
        await app(scope, receive, messages.put)  # type: ignore[arg-type]
        await messages.put({"body": b""})

    stream = asyncio.create_task(call())
    assert (await asyncio.wait_for(messages.get(), 60))["status"] == 200
    while body := (await asyncio.wait_for(messages.get(), 60))["body"]:
        assert body.startswith(b"data: ")
        assert body.endswith(b"\n\n")
        yield json.loads(body[6:])
    await stream


def cookie_of(client: httpx.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


def test_the_stream_shows_the_store_and_the_end_of_the_session() -> None:
    async def run() -> None:
        app = demo.create_app()
        async with app.router.lifespan_context(app), client_of(app) as client:
            await client.post("/login", json={"name": "Ana"})
            seen = []
            async for event in events(app, cookie_of(client)):
                seen.append(event)
                if len(seen) == 2:
                    await client.post("/logout")
        assert [event["you"] for event in seen] == [{"user": "Ana", "counted": 0}] * 2 + [None]
        samples = [sample for event in seen for sample in event["samples"]]
        times = [sample["at"] for sample in samples]
        assert times == sorted(set(times))  # each once
        assert all(0 < sample["used"] <= sample["max"] == 4 << 20 for sample in samples)
        assert all(sum(sample["tiers"]) == sample["sessions"] for sample in samples)

    asyncio.run(run())


def test_a_full_store_shows_how_long_a_newcomer_survives() -> None:
    clock = FakeClock()
    store = MemoryStore("1M", clock=clock)
    manager = SessionManager(store)
    live = Live(manager, demo_bots.Bots(store, Regulars(1.0)))
    told: list[float | None] = []

    async def run() -> None:
        for n in range(2000):
            manager.create({"text": "x" * 1000, "n": n})
            clock.advance(0.01)
            told.append((await live._sample())["survives"])
        assert (await live._sample())["rss"] == pytest.approx(store.stats().rss, rel=0.5)

    asyncio.run(run())
    full = next(n for n, survives in enumerate(told) if survives is not None)
    assert 500 < full < 1000
    assert told[:full] == [None] * full
    assert None not in told[full:]
    assert told[-1] == pytest.approx(store.stats().sessions / 100, abs=1)  # at 100 a second
    store.close()


def test_a_stream_without_a_session_ends_at_once() -> None:
    async def run() -> None:
        app = demo.create_app()
        assert [event["you"] async for event in events(app, "")] == [None]
        assert app.state.live._manager.stats().sessions == 0

    asyncio.run(run())


def test_a_stream_ends_when_the_page_is_left() -> None:
    async def run() -> None:
        app = demo.create_app()
        leaves = asyncio.Event()
        async with client_of(app) as client:
            await client.get("/")
            async for _ in events(app, cookie_of(client), leaves):
                leaves.set()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_streams_end_when_the_server_does() -> None:
    async def run() -> None:
        app = demo.create_app()
        async with client_of(app) as client:
            await client.get("/")
            async for _ in events(app, cookie_of(client)):
                app.state.live.stop()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_bots_use_the_application_and_one_run_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_bots, "TOTAL", 50)

    async def run() -> None:
        app = demo.create_app()
        async with app.router.lifespan_context(app), client_of(app) as client:
            await asyncio.sleep(0)
            before = app.state.live._manager.stats().sessions
            assert before == REGULARS
            assert (await client.post("/bots")).status_code == 204
            assert (await client.post("/bots")).status_code == 409
            while app.state.bots.running:
                await asyncio.sleep(0.01)
            report = app.state.bots.report()
            assert (report["sent"], report["total"], report["evicted"]) == (50, 50, 0)
            # Each bot has a session; the request of /bots itself does not access its session.
            assert app.state.live._manager.stats().sessions == before + 50

    asyncio.run(run())


def test_a_regular_whose_session_is_lost_is_counted() -> None:
    async def run() -> None:
        app = demo.create_app()
        async with app.router.lifespan_context(app), client_of(app) as client:
            regulars = app.state.bots._regulars
            await asyncio.sleep(0)
            await regulars.come_back_all()
            assert (regulars.lost, regulars.lost_as_newcomers) == (0, 0)
            regulars._all[0].began -= 60
            app.state.live._manager.clear()
            await regulars.come_back_all()
            assert (regulars.lost, regulars.lost_as_newcomers) == (1, REGULARS - 1)
            assert f"{REGULARS} simulated regulars" in (await client.get("/")).text

    asyncio.run(run())


def test_the_server_ends_during_a_run_of_bots() -> None:
    async def run() -> None:
        app = demo.create_app()
        async with app.router.lifespan_context(app), client_of(app) as client:
            await client.post("/bots")
        assert not app.state.bots.running

    asyncio.run(run())


# -- a store that workers share


def test_the_page_names_the_store_and_the_worker(tmp_path: Path) -> None:
    async def run() -> None:
        app = demo.create_app(store=f"sqlite:///{tmp_path / 'demo.db'}")
        async with app.router.lifespan_context(app), client_of(app) as client:
            page = await client.get("/")
            assert '<html data-store="SQLiteStore" lang="en">' in page.text
            assert page.headers["x-worker"] == str(os.getpid())
            assert (await client.post("/bots")).status_code == 404
            event: dict[str, Any] = {}
            async for event in events(app, cookie_of(client)):
                assert event["bots"] is None
                if event["samples"] and event["samples"][-1]["sessions"]:
                    app.state.live.stop()
            sample = event["samples"][-1]
            assert sample["tiers"] is None
            assert (sample["sessions"], sample["max"]) == (1, 256 * 2**20)  # no simulated visitors

    asyncio.run(run())
    assert "data-store" not in demo.PAGE


def test_the_demo_continues_while_its_store_fails() -> None:
    async def run() -> None:
        app = demo.create_app()
        live = app.state.live
        failures = [StoreError("broken")]

        async def astats() -> Any:
            if failures:
                raise failures.pop()
            return await real()

        real, live._manager.astats = live._manager.astats, astats
        async with app.router.lifespan_context(app):
            while not live._samples:
                await asyncio.sleep(0.01)
        assert not failures

    asyncio.run(run())
