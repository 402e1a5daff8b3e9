"""The promises of Starlette's own ``SessionMiddleware``, tested with lembro's.

The first part is the same in both. The second part tests the differences, each of which has a line
with the reason in ``docs/starlette.md``.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Secret
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

import lembro
from lembro import ConfigError, MemoryStore
from lembro.integrations.starlette import SessionMiddleware, get_session
from lembro.testing import FakeClock

STRONG = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"


# -- an application with one action at each path ---------------------------------------------------


def untouched(request: Request) -> Response:
    return JSONResponse("ok")


def view(request: Request) -> Response:
    return JSONResponse(dict(request.session))


async def update(request: Request) -> Response:
    request.session.update(await request.json())
    return view(request)


async def in_place(request: Request) -> Response:
    session = request.session
    session |= await request.json()
    return view(request)


def pop_item(request: Request) -> Response:
    request.session.popitem()
    return view(request)


def clear(request: Request) -> Response:
    request.session.clear()
    return view(request)


ROUTES = [
    Route("/untouched", untouched),
    Route("/view", view),
    Route("/update", update, methods=["POST"]),
    Route("/in-place", in_place, methods=["POST"]),
    Route("/pop-item", pop_item, methods=["POST"]),
    Route("/clear", clear, methods=["POST"]),
]


def app_with(*args: Any, **keywords: Any) -> Starlette:
    return Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware, *args, **keywords)])


def client_of(*args: Any, base_url: str = "http://testserver", **keywords: Any) -> TestClient:
    return TestClient(app_with(*args, **keywords), base_url=base_url)


def attributes(response: Any) -> list[str]:
    """Return the attributes of the one cookie that was set."""
    header: str = response.headers["set-cookie"]
    return header.split("; ")[1:]


# -- the same in both ------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [STRONG, Secret(STRONG)], ids=["str", "Secret"])
def test_a_session_is_kept_until_it_is_cleared(
    secret: str | Secret,
) -> None:
    client = client_of(secret_key=secret)
    assert client.get("/view").json() == {}
    assert client.post("/update", json={"some": "data"}).json() == {"some": "data"}
    assert client.get("/view").json() == {"some": "data"}
    assert client.post("/clear").json() == {}
    assert client.get("/view").json() == {}


@pytest.mark.parametrize("secret", [STRONG, Secret(STRONG)], ids=["str", "Secret"])
def test_the_secret_may_be_the_second_positional_argument(secret: str | Secret) -> None:
    app = SessionMiddleware(untouched_asgi, secret)
    assert app.manager.options.secret == (STRONG,)


async def untouched_asgi(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("not called")


def test_max_age_limits_the_cookie_and_the_session() -> None:
    clock = FakeClock()
    client = client_of(store=MemoryStore(clock=clock), secret_key=STRONG, max_age=60)
    response = client.post("/update", json={"some": "data"})
    assert "Max-Age=60" in attributes(response)
    stolen = response.headers["set-cookie"].split(";")[0]

    clock.now += 59
    assert client.get("/view", headers={"cookie": stolen}).json() == {"some": "data"}
    clock.now += 61
    # The browser has dropped the cookie, and a copy of it is stale.
    client.cookies.clear()
    assert client.get("/view", headers={"cookie": stolen}).json() == {}


def test_without_max_age_the_cookie_ends_with_the_browser() -> None:
    client = client_of(secret_key=STRONG, max_age=None)
    response = client.post("/update", json={"some": "data"})
    assert "max-age" not in response.headers["set-cookie"].lower()
    assert "expires" not in response.headers["set-cookie"].lower()
    client.cookies.clear()
    assert client.get("/view").json() == {}


def test_the_cookie_can_be_renamed() -> None:
    client = client_of(session_cookie="sid")
    client.post("/update", json={"some": "data"})
    assert list(client.cookies) == ["sid"]
    assert client.get("/view").json() == {"some": "data"}


def test_the_cookie_is_http_only_and_lax() -> None:
    assert attributes(client_of().post("/update", json={"some": "data"})) == [
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
    ]


def test_https_only_sends_the_cookie_only_over_https() -> None:
    app = app_with(https_only=True)
    insecure = TestClient(app, base_url="http://testserver")
    secure = TestClient(app, base_url="https://testserver")

    assert insecure.post("/update", json={"some": "data"}).json() == {"some": "data"}
    assert insecure.get("/view").json() == {}  # the client did not send the Secure cookie

    assert secure.get("/view").json() == {}
    response = secure.post("/update", json={"some": "data"})
    assert "Secure" in attributes(response)
    assert secure.get("/view").json() == {"some": "data"}
    assert secure.post("/clear").json() == {}
    assert secure.get("/view").json() == {}


@pytest.mark.parametrize("partitioned", [False, True])
def test_partitioned_is_set_with_the_cookie_and_when_it_is_cleared(
    partitioned: bool,
) -> None:
    client = client_of(
        https_only=True, same_site="none", partitioned=partitioned, base_url="https://testserver"
    )
    response = client.post("/update", json={"some": "data"})
    assert ("Partitioned" in attributes(response)) is partitioned
    assert ("Partitioned" in attributes(client.post("/clear"))) is partitioned


def test_the_cookie_has_the_given_path_and_domain() -> None:
    client = client_of(path="/second_app", domain=".example.com")
    response = client.post("/update", json={"some": "data"})
    assert "Path=/second_app" in attributes(response)
    assert "Domain=.example.com" in attributes(response)


@pytest.mark.parametrize("same_site", ["lax", "strict"])
def test_same_site_is_set(same_site: str) -> None:
    response = client_of(same_site=same_site).post("/update", json={"some": "data"})
    assert f"SameSite={same_site.capitalize()}" in attributes(response)


@pytest.mark.parametrize("value", ["invalid", "null", "", "A" * 43, "A" * 43 + ".x", "é", '"q"'])
def test_an_unknown_cookie_is_an_empty_session(value: str) -> None:
    client = client_of(secret_key=STRONG, session_cookie="session")
    assert client.get("/view", headers={b"cookie": f"session={value}".encode()}).json() == {}


def test_the_cookie_is_set_only_after_a_write() -> None:
    client = client_of()
    assert "set-cookie" in client.post("/update", json={"some": "data"}).headers
    assert "set-cookie" not in client.get("/view").headers
    assert "set-cookie" not in client.get("/untouched").headers
    assert "set-cookie" not in TestClient(client.app).get("/view").headers  # an empty session


def test_vary_contains_cookie_if_the_session_was_used() -> None:
    client = client_of()
    assert client.post("/update", json={"some": "data"}).headers["vary"] == "Cookie"
    assert client.get("/view").headers["vary"] == "Cookie"
    assert "vary" not in client.get("/untouched").headers


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("/in-place", {"c": "3"}, {"a": "1", "b": "2", "c": "3"}),
        ("/pop-item", None, {"a": "1"}),
    ],
)
def test_every_kind_of_write_is_kept(path: str, data: Any, expected: dict[str, str]) -> None:
    client = client_of()
    client.post("/update", json={"a": "1", "b": "2"})
    assert client.post(path, json=data).json() == expected
    assert client.get("/view").json() == expected


def test_a_mounted_application_shares_the_session() -> None:
    routes = [*ROUTES, Mount("/sub", routes=ROUTES), Mount("/app", Starlette(routes=ROUTES))]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(SessionMiddleware)]))
    client.post("/sub/update", json={"a": 1})
    client.post("/app/update", json={"b": 2})
    assert client.get("/view").json() == {"a": 1, "b": 2}


def test_a_mounted_application_may_have_its_own_middleware() -> None:
    inner = app_with(path="/second_app", session_cookie="inner")
    app = Starlette(routes=[Mount("/second_app", inner)])
    client = TestClient(app, base_url="http://testserver/second_app/")
    response = client.post("update", json={"some": "data"})
    assert "Path=/second_app" in attributes(response)
    assert client.get("view").json() == {"some": "data"}


def test_root_path_changes_nothing() -> None:
    client = TestClient(app_with(), root_path="/behind/a/proxy")
    assert "Path=/" in attributes(client.post("/update", json={"some": "data"}))
    assert client.get("/view").json() == {"some": "data"}


def test_an_inner_middleware_serves_its_own_application() -> None:
    inner = Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware, session_cookie="b")])
    app = Starlette(
        routes=[*ROUTES, Mount("/inner", inner)],
        middleware=[Middleware(SessionMiddleware, session_cookie="a")],
    )
    client = TestClient(app)
    client.post("/update", json={"outer": 1})
    client.post("/inner/update", json={"inner": 1})
    assert client.get("/view").json() == {"outer": 1}
    assert client.get("/inner/view").json() == {"inner": 1}


def test_an_inner_middleware_of_the_same_manager_shares_the_session() -> None:
    manager = lembro.SessionManager(MemoryStore())
    inner = Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware, manager)])
    app = Starlette(
        routes=[*ROUTES, Mount("/inner", inner)],
        middleware=[Middleware(SessionMiddleware, manager)],
    )
    client = TestClient(app)
    client.post("/update", json={"outer": 1})
    client.post("/inner/update", json={"inner": 1})
    assert client.get("/view").json() == {"outer": 1, "inner": 1}
    assert manager.length() == 1


def test_other_middleware_sees_the_session_before_and_after_the_handler() -> None:
    async def count(request: Request, call_next: Any) -> Response:
        request.session["seen"] = request.session.get("seen", 0) + 1
        response: Response = await call_next(request)
        return response

    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(SessionMiddleware),
            Middleware(BaseHTTPMiddleware, dispatch=count),
        ],
    )
    client = TestClient(app)
    client.post("/update", json={"a": 1})
    assert client.get("/view").json() == {"seen": 2, "a": 1}


def test_a_websocket_reads_the_session() -> None:
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(dict(websocket.session))
        await websocket.close()

    app = Starlette(
        routes=[*ROUTES, WebSocketRoute("/ws", socket)], middleware=[Middleware(SessionMiddleware)]
    )
    client = TestClient(app)
    client.post("/update", json={"some": "data"})
    with client.websocket_connect("/ws") as websocket:
        assert websocket.receive_json() == {"some": "data"}


def test_request_session_without_a_middleware_says_what_is_missing() -> None:
    client = TestClient(Starlette(routes=ROUTES))
    with pytest.raises(AssertionError, match="SessionMiddleware must be installed"):
        client.get("/view")


@pytest.mark.parametrize("scope", [{}, {"session": {}}], ids=["none", "another's"])
def test_get_session_without_a_middleware_says_what_is_missing(scope: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"lembro\.integrations\.starlette\.SessionMiddleware"):
        get_session(HTTPConnection({"type": "http", "headers": [], **scope}))


# -- differences -----------------------------------------------------------------------------------


def test_no_secret_is_needed_and_the_cookie_contains_no_data() -> None:
    client = client_of()
    client.post("/update", json={"some": "data"})
    [value] = client.cookies.values()
    assert re.fullmatch(r"[\w-]{43}(\.[\w-]+)*", value)


@pytest.mark.parametrize("weak", ["example", "", "a" * 40])
def test_a_weak_secret_is_ignored_with_a_warning(
    weak: str, caplog: pytest.LogCaptureFixture
) -> None:
    middleware = SessionMiddleware(untouched_asgi, secret_key=weak)
    assert not middleware.manager.options.secret
    assert any("secret_key is weak" in message for message in caplog.messages)
    assert not weak or weak not in caplog.text


def test_the_cookie_has_lembros_name_and_a_prefix_over_https() -> None:
    client = client_of()
    client.post("/update", json={"some": "data"})
    assert list(client.cookies) == ["sid"]
    client = client_of(base_url="https://testserver")
    response = client.post("/update", json={"some": "data"})
    assert list(client.cookies) == ["__Host-sid"]
    assert "Secure" in attributes(response)


def test_the_cookie_has_no_max_age_by_default() -> None:
    response = client_of().post("/update", json={"some": "data"})
    assert not any(attribute.startswith("Max-Age") for attribute in attributes(response))


@pytest.mark.parametrize("max_age", [0, -1, float("nan"), True, "60"])
def test_an_invalid_max_age_is_refused(max_age: Any) -> None:
    with pytest.raises(ConfigError, match="max_age"):
        SessionMiddleware(untouched_asgi, max_age=max_age)


def test_without_max_age_a_session_ends_after_a_day_without_use() -> None:
    clock = FakeClock()
    client = client_of(store=MemoryStore(clock=clock), max_age=None)
    client.post("/update", json={"some": "data"})
    clock.now += 24 * 3600 + 1
    assert client.get("/view").json() == {}


def test_a_session_in_use_outlives_its_first_max_age() -> None:
    clock = FakeClock()
    client = client_of(store=MemoryStore(clock=clock), max_age=60)
    cookie = client.post("/update", json={"some": "data"}).headers["set-cookie"].split(";")[0]
    for _ in range(5):
        clock.now += 50
        response = client.get("/view", headers={"cookie": cookie})
        assert response.json() == {"some": "data"}
        assert "Max-Age=60" in attributes(response)  # and the cookie is sent again


def test_a_max_age_above_thirty_days_is_the_absolute_timeout_too() -> None:
    year = 365 * 24 * 3600
    options = SessionMiddleware(untouched_asgi, max_age=year).manager.options
    assert (options.idle_timeout, options.absolute_timeout) == (year, year)


@pytest.mark.parametrize("keywords", [{"same_site": "none"}, {"partitioned": True}])
def test_options_that_browsers_refuse_without_secure_need_https_only(
    keywords: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError, match="secure=True"):
        SessionMiddleware(untouched_asgi, **keywords)
    SessionMiddleware(untouched_asgi, https_only=True, **keywords)


def test_cookie_options_and_keywords_cannot_be_mixed() -> None:
    with pytest.raises(ConfigError, match=r"together with cookie=, got path\. Write cookie="):
        SessionMiddleware(untouched_asgi, path="/a", cookie=lembro.CookieOptions())


def test_the_session_must_be_copied_for_json() -> None:
    def dump(request: Request) -> Response:
        return JSONResponse(request.session)

    app = Starlette(routes=[Route("/", dump)], middleware=[Middleware(SessionMiddleware)])
    with pytest.raises(TypeError, match="Session is not JSON serializable"):
        TestClient(app).get("/")


def test_a_nested_change_is_kept() -> None:
    def append(request: Request) -> Response:
        request.session.setdefault("cart", []).append(1)
        return view(request)

    app = Starlette(routes=[Route("/", append)], middleware=[Middleware(SessionMiddleware)])
    client = TestClient(app)
    client.get("/")
    assert client.get("/").json() == {"cart": [1, 1]}


def test_a_cleared_session_cannot_be_replayed() -> None:
    client = client_of()
    client.post("/update", json={"some": "data"})
    [cookie] = client.cookies.values()
    client.post("/clear")
    assert client.get("/view", headers={"cookie": f"sid={cookie}"}).json() == {}


def test_a_write_after_clear_begins_a_new_session() -> None:
    def relogin(request: Request) -> Response:
        request.session.clear()
        request.session["user_id"] = 1
        return view(request)

    app = Starlette(
        routes=[*ROUTES, Route("/relogin", relogin)], middleware=[Middleware(SessionMiddleware)]
    )
    client = TestClient(app)
    client.post("/update", json={"cart": 1})
    [before] = client.cookies.values()
    assert client.get("/relogin").json() == {"user_id": 1}
    [after] = client.cookies.values()
    assert before != after
    assert client.get("/view").json() == {"user_id": 1}


def test_a_session_emptied_key_by_key_keeps_its_cookie() -> None:
    client = client_of()
    client.post("/update", json={"some": "data"})
    response = client.post("/pop-item")
    assert response.json() == {}
    assert "set-cookie" not in response.headers
    assert client.get("/view").json() == {}


def test_a_handler_that_raises_or_responds_with_5xx_changes_nothing() -> None:
    def fails(request: Request) -> Response:
        request.session["half"] = "done"
        return JSONResponse({}, 500)

    def raises(request: Request) -> Response:
        request.session["half"] = "done"
        raise RuntimeError

    app = Starlette(
        routes=[*ROUTES, Route("/fails", fails), Route("/raises", raises)],
        middleware=[Middleware(SessionMiddleware)],
    )
    client = TestClient(app, raise_server_exceptions=False)
    client.post("/update", json={"some": "data"})
    assert client.get("/fails").status_code == 500
    assert client.get("/raises").status_code == 500
    assert client.get("/view").json() == {"some": "data"}


def test_a_response_that_sets_the_cookie_is_not_cached() -> None:
    response = client_of().post("/update", json={"some": "data"})
    assert response.headers["cache-control"] == "private, no-store"


def test_the_session_has_no_accessed_and_modified() -> None:
    session = lembro.SessionManager(MemoryStore()).load()
    assert not hasattr(session, "accessed")
    assert not hasattr(session, "modified")
    assert not hasattr(session, "mark_accessed")


@pytest.mark.parametrize("value", [object(), {1, object()}, float], ids=["object", "set", "class"])
def test_a_value_that_cannot_be_stored_is_refused_at_the_assignment(value: object) -> None:
    session = lembro.SessionManager(MemoryStore()).load()
    with pytest.raises(lembro.CodecError, match="a session cannot store a"):
        session["key"] = value


def test_a_session_may_be_larger_than_a_cookie() -> None:
    client = client_of()
    client.post("/update", json={"text": "x" * 50_000})
    assert len(client.get("/view").json()["text"]) == 50_000


def test_the_same_cookie_name_on_two_middlewares_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # warnings are logged once: log them again here
    monkeypatch.setattr("lembro._http.headers._warned", set())
    app = Starlette(
        routes=[*ROUTES, Mount("/inner", app_with())], middleware=[Middleware(SessionMiddleware)]
    )
    client = TestClient(app)

    def warnings_logged() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "lembro"]

    client.get("/view")
    assert not warnings_logged()
    client.get("/inner/view")
    client.get("/inner/view")
    [warning] = warnings_logged()
    assert "the cookie 'sid'" in warning


def test_the_arguments_of_starlettes_own_middleware_are_shown_as_unset() -> None:
    assert "= UNSET" in str(inspect.signature(SessionMiddleware))
