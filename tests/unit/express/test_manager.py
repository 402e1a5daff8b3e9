"""ExpressManager: its arguments, its cookie, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import redis

from lembro import ConfigError, LoginRequired, MemoryStore, UsageError
from lembro.asgi import SessionMiddleware
from lembro.express import ConnectRedis, ExpressCookie, ExpressManager
from lembro.wsgi import SessionMiddleware as WSGIMiddleware
from tests.support.servers.redis import new_prefix, shared

from .conftest import SECRET, Place, Visitor

SID = "9w6PKbjSm_yO4gFfjC1SdA_6kzRQ7FwN"
URL = "redis://localhost:6379/0"
DAY = 24 * 60 * 60


# -- the cookie


def test_the_cookie_expires_if_the_session_says_so(redis_place: Place) -> None:
    manager = redis_place.manager(cookie=ExpressCookie(max_age=60))
    visitor = Visitor(manager)
    visitor.visit(lambda session: session.update(a=1))
    assert "; Path=/; Expires=" in visitor.sent[0]
    body = redis_place.body(visitor.session_id)
    assert body["cookie"]["originalMaxAge"] == 60000
    visitor.visit(lambda session: session.get("a"))
    assert visitor.sent == []  # without rolling, a request that only reads sends no cookie
    visitor.visit(lambda session: session.update(a=2))
    assert "; Path=/; Expires=" in visitor.sent[0]


def test_a_session_without_max_age_keeps_its_cookie(redis_place: Place) -> None:
    redis_place.put(SID, {"a": 1}, left=50)
    visitor = Visitor(redis_place.manager(cookie=ExpressCookie(max_age=60)), SID)
    visitor.visit(lambda session: session.update(b=1))
    assert visitor.sent == []
    assert redis_place.body(SID)["cookie"]["originalMaxAge"] is None


def test_a_touch_in_express_sends_no_cookie_and_one_of_the_application_does(
    redis_place: Place,
) -> None:
    redis_place.put(SID, {"a": 1}, left=5, originalMaxAge=60000, expires="x")
    visitor = Visitor(redis_place.manager(), SID)
    visitor.visit(lambda session: session.get("a"))
    assert visitor.sent == []
    assert redis_place.left(SID) > 50
    visitor.visit(lambda session: session.touch())
    assert len(visitor.sent) == 1


def test_rolling_sends_the_cookie_with_every_use(redis_place: Place) -> None:
    redis_place.put(SID, {"a": 1}, left=500)
    visitor = Visitor(redis_place.manager(rolling=True), SID)
    visitor.visit(lambda session: session.get("a"))
    assert visitor.sent[0].endswith("; Path=/; HttpOnly")
    assert redis_place.left(SID) > 80_000
    visitor.visit(lambda session: session.skip_touch() or session.get("a"))
    assert visitor.sent == []
    visitor.visit(lambda session: None)
    assert visitor.sent == []


def test_a_passive_write_keeps_the_time_that_is_left(redis_place: Place) -> None:
    redis_place.put(SID, {"a": 1}, left=500)
    visitor = Visitor(redis_place.manager(), SID)
    visitor.visit(lambda session: session.skip_touch() or session.update(b=1))
    assert redis_place.left(SID) < 501
    visitor.visit(lambda session: session.skip_touch() or session.clear() or session.update(b=1))
    assert redis_place.left(visitor.session_id) > 501


def test_a_session_without_an_end_is_read_and_gets_one_by_a_write(redis_place: Place) -> None:
    redis_place.put(SID, {"a": 1})
    shared().do("PERSIST", redis_place.prefix + SID)  # type: ignore[attr-defined]
    visitor = Visitor(redis_place.manager(idle_timeout=700), SID)
    visitor.visit(lambda session: session.get("a"))
    assert redis_place.left(SID) < 0
    visitor.visit(lambda session: session.update(b=1))
    assert 690 < redis_place.left(SID) <= 700


def test_an_emptied_session_stays(redis_place: Place) -> None:
    redis_place.put(SID, {"a": 1}, left=500)
    visitor = Visitor(redis_place.manager(), SID)
    visitor.visit(lambda session: session.pop("a"))
    assert redis_place.left(SID) > 80_000
    visitor.visit(lambda session: session.touch())
    assert redis_place.left(SID) > 80_000


def test_secure_auto_is_stored_as_the_request_came(redis_place: Place) -> None:
    manager = redis_place.manager(cookie=ExpressCookie(secure="auto"))
    for https in (True, False):
        visitor = Visitor(manager)
        visitor.visit(lambda session: session.update(a=1), https=https)
        stored = redis_place.body(visitor.session_id)["cookie"].get("secure", False)
        assert ("Secure" in visitor.sent[0], stored) == (https, https)


def test_a_remembered_login_sets_the_max_age(redis_place: Place) -> None:
    visitor = Visitor(redis_place.manager(remember_timeout=None))
    visitor.visit(lambda session: session.login("ann", remember=True))
    body = redis_place.body(visitor.session_id)
    assert body["cookie"]["originalMaxAge"] == DAY * 1000
    assert "Expires=" in visitor.sent[0]
    visitor.visit(lambda session: session.login("ann", idle_timeout=600))
    body = redis_place.body(visitor.session_id)
    assert body["cookie"]["originalMaxAge"] is None
    assert body["lembro"]["meta"]["idle"] == "600"
    assert redis_place.left(visitor.session_id) <= 600


def test_the_age_of_a_login_in_express_is_unknown(redis_place: Place) -> None:
    redis_place.put(SID, {"passport": {"user": "ann"}})
    visitor = Visitor(redis_place.manager(), SID)
    with pytest.raises(LoginRequired, match="its age is unknown"):
        visitor.visit(lambda session: session.require_recent(300))
    visitor.visit(lambda session: session.login("ann"))
    visitor.visit(lambda session: session.require_recent(300))


# -- logins


def test_functions_say_who_is_logged_in() -> None:
    store = ConnectRedis(
        shared().url,
        prefix=new_prefix(),
        timeout=10.0,
        user=lambda data: data["user"]["id"],
        set_user=lambda data, user_id: data.update(user={"id": int(user_id)}),
    )
    with ExpressManager(store, secret=SECRET) as manager:
        visitor = Visitor(manager)
        visitor.visit(lambda session: session.login(42))
        assert visitor.visit(dict) == {"user": {"id": 42}}
        assert visitor.visit(lambda session: session.user_id) == "42"


def test_a_login_of_another_user_drops_the_data_of_the_first(redis_place: Place) -> None:
    redis_place.put(SID, {"passport": {"user": "ann"}, "secret": 1})
    visitor = Visitor(redis_place.manager(), SID)
    visitor.visit(lambda session: session.login("ben"))
    assert visitor.visit(dict) == {"passport": {"user": "ben"}}


# -- the middlewares


def test_the_middleware_of_asgi(redis_place: Place) -> None:
    redis_place.put(SID, {"passport": {"user": "ann"}, "n": 1})
    manager = redis_place.manager()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        session["n"] += 1
        body = json.dumps([session.user_id, session["n"]]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def scenario() -> None:
        wrapped: Any = SessionMiddleware(application, manager=manager)
        transport = httpx.ASGITransport(wrapped)
        cookies = Visitor(manager, SID).cookie
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            reply = await client.get("/", headers={"Cookie": cookies})
        assert reply.json() == ["ann", 2]
        await manager.aclose()

    asyncio.run(scenario())
    assert redis_place.body(SID)["n"] == 2


def test_the_middleware_of_wsgi(redis_place: Place) -> None:
    redis_place.put(SID, {"passport": {"user": "ann"}, "n": 1})
    manager = redis_place.manager()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["lembro.session"]
        session["n"] += 1
        start_response("200 OK", [])
        return [json.dumps([session.user_id, session["n"]]).encode()]

    wrapped: Any = WSGIMiddleware(application, manager=manager)
    cookies = Visitor(manager, SID).cookie
    with httpx.Client(transport=httpx.WSGITransport(wrapped), base_url="http://test") as client:
        reply = client.get("/", headers={"Cookie": cookies})
    assert reply.json() == ["ann", 2]
    assert redis_place.body(SID)["n"] == 2


# -- refusals


def test_the_sessions_of_a_user_are_refused_with_the_reason(redis_place: Place) -> None:
    manager = redis_place.manager()
    redis_place.put(SID, {"passport": {"user": "ann"}})
    visitor = Visitor(manager, SID)
    for call in (
        lambda: manager.user_sessions("ann"),
        lambda: manager.revoke_user("ann"),
        lambda: visitor.visit(lambda session: session.logout_others()),
        lambda: visitor.visit(lambda session: session.logout_everywhere()),
        lambda: visitor.visit(lambda session: session.user_sessions()),
        lambda: visitor.visit(lambda session: session.revoke("x")),
        lambda: redis_place.store.of_user("ann"),
        lambda: redis_place.store.destroy_user("ann"),
    ):
        with pytest.raises(UsageError, match="express-session keeps no index"):
            call()
    assert visitor.visit(lambda session: session.user_id) == "ann"
    with pytest.raises(UsageError, match="has no reduce"):
        manager.reduce()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rotation_grace": 30}, "has no rotation_grace: Express would read a note"),
        ({"max_sessions_per_user": 5}, "has no max_sessions_per_user: express-session keeps no"),
        ({"at_max_sessions": "oldest"}, "has no at_max_sessions: express-session keeps no index"),
        ({"anonymous_idle_timeout": 5}, "has no anonymous_idle_timeout: express-session has one"),
        ({"migrate_from": ()}, "has no migrate_from: a session of Express needs no migration"),
        ({"idle": 5}, "no option 'idle'"),
        ({"rolling": 1}, "rolling must be True or False, got 1"),
        ({"cookie": 5}, "cookie must be an ExpressCookie, or the name of the cookie, got 5"),
        ({"secret": ""}, "secret must be the secret of express-session"),
        ({"absolute_timeout": 5}, "absolute_timeout must be at least idle_timeout"),
        ({"format": "connect-mango"}, "format must be one of connect-redis"),
        ({"user": "a..b"}, "user must be a path"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: Any, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make: Any = ExpressManager
        make(URL, **{"secret": SECRET, **options})
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("store", "options", "error"),
    [
        ("ftp://localhost", {}, "the URL of an Express store must begin with one of redis, "),
        ("redis://[", {}, "the store's URL cannot be read"),
        ("redis://localhost/0?colour=red", {}, "a redis: URL has no parameter 'colour'"),
        ("redis+cluster://a,b", {}, "connect-redis spreads its keys over all nodes"),
        (MemoryStore("1M"), {}, "an ExpressManager needs a URL or a store of lembro.express, got"),
        (ConnectRedis(URL), {"format": "connect-redis"}, "format needs a URL, got a ConnectRedis"),
        (ConnectRedis(URL), {"user": "id"}, "user needs a URL, got a ConnectRedis. Give it to"),
    ],
)
def test_a_store_that_cannot_work_is_refused(store: Any, options: Any, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ExpressManager(store, secret=SECRET, **options)
    assert error in str(caught.value)


def test_a_url_has_the_parameters_of_its_store() -> None:
    url = f"{shared().url}?prefix={new_prefix()}&timeout=10"
    with ExpressManager(url, secret=SECRET, user="userId", user_type=int) as manager:
        session_id = manager.create(user_id=7)
        assert manager.get(session_id) == {"userId": 7}
        assert repr(manager.store).startswith("<ConnectRedis redis://127.0.0.1")
    assert manager.options.cookie.name == "connect.sid"
    assert repr(manager) == "<ExpressManager over ConnectRedis>"


def test_the_client_of_an_application_is_used_and_not_closed() -> None:
    prefix = new_prefix()
    with redis.Redis.from_url(shared().url) as client:
        store = ConnectRedis(client, prefix=prefix)
        with ExpressManager(store, secret=SECRET, cookie="sid", idle_timeout=50) as manager:
            session_id = manager.create({"a": 1})
            assert manager.get(session_id) == {"a": 1}
        assert client.ttl(prefix + session_id) <= 50
        with pytest.raises(ConfigError, match="timeout needs a URL, got a client"):
            ConnectRedis(client, timeout=5)


def test_the_client_of_a_cluster_is_refused() -> None:
    class Cluster:
        def get_node_from_key(self) -> None: ...

    with pytest.raises(ConfigError, match="connect-redis spreads its keys"):
        ConnectRedis(Cluster())


def test_a_session_id_that_is_no_text_is_refused(redis_place: Place) -> None:
    manager = redis_place.manager()
    with pytest.raises(TypeError, match="the session ID must be a str"):
        manager.get(5)  # type: ignore[arg-type]
    assert manager.get("a\0b") is None
