"""An application under each real server, with several clients at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers.commands import ASGI_SERVERS, OWN_SERVERS, PROXIED, SERVERS, running
from tests.support.servers import Server

PARALLEL = 12
TIMEOUT = 30.0


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(SERVERS[request.param]) as server:
        yield server


@pytest.fixture(scope="module", params=ASGI_SERVERS)
def asgi_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(ASGI_SERVERS[request.param]) as server:
        yield server


def browser(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=TIMEOUT)


def me(client: httpx.Client) -> Any:
    return client.get("/me").raise_for_status().json()


def at_once(
    server: Server, work: Callable[[httpx.AsyncClient, int], Coroutine[Any, Any, None]], count: int
) -> None:
    """Run ``work`` for this number of clients, each with its own cookie jar."""

    async def one(number: int) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=TIMEOUT) as client:
            await work(client, number)

    async def everyone() -> None:
        await asyncio.gather(*(one(number) for number in range(count)))

    asyncio.run(everyone())


async def all_of(*answers: Awaitable[httpx.Response]) -> None:
    for answer in await asyncio.gather(*answers):
        answer.raise_for_status()


def test_a_login_and_a_logout_work(server: Server) -> None:
    with browser(server) as client:
        assert not client.get("/").cookies
        assert me(client) == {"user": None, "data": {}}
        assert not client.cookies
        client.post("/cart/1").raise_for_status()
        before = client.cookies["sid"]
        answer = client.post("/login/ada").raise_for_status()
        assert client.cookies["sid"] != before
        assert answer.headers["vary"] == "Cookie"
        assert answer.headers["cache-control"] == "private, no-store"
        assert me(client) == {"user": "ada", "data": {"cart": [1], "item-1": 1}}
        stolen = client.cookies["sid"]
        client.post("/logout").raise_for_status()
        assert not client.cookies
    with browser(server) as thief:
        for cookie in (before, stolen):
            thief.cookies.set("sid", cookie)
            assert me(thief)["user"] is None
            thief.cookies.clear()


def test_parallel_updates_of_one_session_are_all_kept(server: Server) -> None:
    """Several users send many parallel requests. No update is lost, and no data are mixed."""

    async def shop(client: httpx.AsyncClient, user: int) -> None:
        items = [1000 * user + item for item in range(PARALLEL)]
        await client.post(f"/login/user-{user}")
        await all_of(*(client.post(f"/cart/{item}") for item in items))
        await all_of(*(client.post("/count") for _ in range(PARALLEL)))
        seen = (await client.get("/me")).json()
        assert seen["user"] == f"user-{user}"
        assert sorted(seen["data"].pop("cart")) == items
        assert seen["data"].pop("count") == PARALLEL
        assert seen["data"] == {f"item-{item}": item for item in items}

    at_once(server, shop, 5)


def test_parallel_requests_during_a_rotation_stay_logged_in(server: Server) -> None:
    async def rotate(client: httpx.AsyncClient, user: int) -> None:
        await client.post(f"/login/turning-{user}")
        await all_of(
            *(client.post(f"/cart/{item}") for item in range(PARALLEL)),
            client.post("/rotate"),
            *(client.post(f"/cart/{item}") for item in range(PARALLEL, 2 * PARALLEL)),
        )
        seen = (await client.get("/me")).json()
        assert seen["user"] == f"turning-{user}"
        assert sorted(seen["data"]["cart"]) == list(range(2 * PARALLEL))

    at_once(server, rotate, 3)


def test_logout_everywhere_ends_all_sessions(server: Server) -> None:
    clients = [browser(server) for _ in range(4)]
    for client in clients:
        client.post("/login/everywhere").raise_for_status()
    answer = clients[0].post("/logout-everywhere").raise_for_status()
    assert "sid=;" in answer.headers["set-cookie"]
    assert [me(client)["user"] for client in clients] == [None] * 4
    for client in clients:
        client.close()


def test_a_stream_edits_the_session(server: Server) -> None:
    with browser(server) as client:
        client.post("/login/streamer").raise_for_status()
        with client.stream("GET", "/stream") as answer:
            assert "".join(answer.iter_text()).splitlines() == ["0", "done"]
        assert me(client)["data"] == {"streamed": True}


def test_a_failed_request_saves_nothing(server: Server) -> None:
    with browser(server) as client:
        client.post("/login/unlucky").raise_for_status()
        assert client.get("/fails").status_code == 500
        assert me(client) == {"user": "unlucky", "data": {}}


def test_the_log_has_no_error(server: Server) -> None:
    assert "Traceback" not in server.log
    assert server.running


# -- only with ASGI --------------------------------------------------------------------------------


def test_server_sent_events_edit_the_session(asgi_server: Server) -> None:
    with browser(asgi_server) as client:
        client.post("/login/listener").raise_for_status()
        with client.stream("GET", "/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            data = [line for line in answer.iter_lines() if line.startswith("data:")]
        assert data == ["data: listener"] * 3
        assert me(client)["data"] == {"last event": 2}


def test_a_client_may_leave_a_stream(asgi_server: Server) -> None:
    with browser(asgi_server) as client:
        client.post("/login/impatient").raise_for_status()
        with client.stream("GET", "/events") as answer:
            next(answer.iter_lines())
        assert me(client)["user"] == "impatient"


def test_a_websocket_edits_the_session(asgi_server: Server) -> None:
    talk(asgi_server)


@pytest.mark.parametrize("name", OWN_SERVERS)
def test_a_websocket_of_a_frameworks_own_server_edits_the_session(name: str) -> None:
    with running(OWN_SERVERS[name]) as server:
        talk(server)


def test_a_late_change_over_a_websocket_is_in_the_log_of_sanic() -> None:
    """Sanic does not report that the client has closed the WebSocket."""
    with running(OWN_SERVERS["sanic"], DEBUG="lembro") as server, browser(server) as client:
        client.post("/login/late").raise_for_status()
        url = server.url.replace("http", "ws") + "/ws"
        cookie = {"Cookie": f"sid={client.cookies['sid']}"}
        with connect(url, additional_headers=cookie) as socket:
            for message, answer in (("a", "late: 1"), ("late", "it will be said")):
                socket.send(message)
                assert socket.recv(TIMEOUT) == answer
        assert me(client)["data"] == {"said": ["a"]}
    assert server.log.count("changed after the response had begun; the change is lost") == 1


def talk(server: Server) -> None:
    with browser(server) as client:
        client.post("/login/talker").raise_for_status()
        url = server.url.replace("http", "ws") + "/ws"
        cookie = {"Cookie": f"sid={client.cookies['sid']}"}
        with (
            connect(url, additional_headers=cookie) as one,
            connect(url, additional_headers=cookie) as two,
        ):
            one.send("a")
            assert one.recv(TIMEOUT) == "talker: 1"
            two.send("b")
            assert two.recv(TIMEOUT) == "talker: 2"
            client.post("/cart/1").raise_for_status()
            one.send("c")
            assert one.recv(TIMEOUT) == "talker: 3"
        assert me(client)["data"] == {"said": ["a", "b", "c"], "cart": [1], "item-1": 1}


def test_the_lifespan_opens_and_closes_the_store() -> None:
    for command in ASGI_SERVERS.values():
        with running(command) as server:
            assert server.log.count("the application starts") == 1
        assert server.log.count("the application stops") == 1
        assert "Traceback" not in server.log


# -- behind a proxy --------------------------------------------------------------------------------


def test_the_cookie_behind_a_proxy_that_terminates_tls_is_secure() -> None:
    with running(PROXIED) as server:
        answer = httpx.post(
            f"{server.url}/login/ada", headers={"X-Forwarded-Proto": "https"}, timeout=TIMEOUT
        )
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-sid=")
        assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
        # A request over http with the https cookie is not the browser's, so it is anonymous.
        value = cookie.partition(";")[0]
        plain = httpx.get(f"{server.url}/me", headers={"Cookie": value}, timeout=TIMEOUT)
        assert plain.json() == {"user": None, "data": {}}
        secure = httpx.get(
            f"{server.url}/me",
            headers={"Cookie": value, "X-Forwarded-Proto": "https"},
            timeout=TIMEOUT,
        )
        assert secure.json() == {"user": "ada", "data": {}}


def test_a_late_change_is_in_the_servers_log() -> None:
    with running(ASGI_SERVERS["uvicorn"], DEBUG="lembro") as server, browser(server) as client:
        client.post("/cart/1").raise_for_status()
        assert client.get("/late").text == "first\nlast\n"
        assert me(client)["data"]["cart"] == [1]
        session_id = client.cookies["sid"][:43]
    # It is logged after the last byte, when the client may have continued already.
    assert "changed after the response had begun; the change is lost" in server.log
    assert session_id not in server.log
