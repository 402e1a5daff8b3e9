"""Surprising behaviour of the stores of express-session, each shown with the real package."""

from __future__ import annotations

import hmac
import json
import math
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from lembro import CodecError, MemoryStore, SessionManager
from lembro.express import ConnectMongoDBSession, ExpressCookie, ExpressManager
from lembro.migrate import ExpressSessionReader
from tests.support.express import Express, ExpressSite
from tests.support.express.python import WSGISite
from tests.support.express.world import MINUTE, SECRET, Visitor, World, sid_of
from tests.support.servers import mongo

FRESH = '{"originalMaxAge":60000,"expires":"2099-01-01T00:00:00.000Z","httpOnly":true,"path":"/"}'


def cookie_of(sid: str, secret: str = SECRET) -> str:
    mac = b64encode(hmac.digest(secret.encode(), sid.encode(), "sha256")).decode().rstrip("=")
    return f"connect.sid={quote(f's:{sid}.{mac}', safe='')}"


# -- the record ------------------------------------------------------------------------------------


def test_a_record_without_a_cookie_object_breaks_express_until_python_writes_it(
    world: World, visitor: Visitor
) -> None:
    world.store.write("no-cookie-object", '{"user":"ann"}')
    visitor.cookie = cookie_of("no-cookie-object")
    assert world.express.ask("/read", None, visitor.cookie).status == 500
    assert visitor.ask(world.python, "/read").session == {"user": "ann"}
    visitor.ask(world.python, "/write", key="cart", value=1)
    assert visitor.ask(world.express, "/read").session == {"user": "ann", "cart": 1}


def test_a_record_with_an_empty_cookie_object_is_read_by_both(
    world: World, visitor: Visitor
) -> None:
    world.store.write("empty-cookie", '{"cookie":{},"user":"ann"}')
    visitor.cookie = cookie_of("empty-cookie")
    for site in (world.express, world.python):
        assert visitor.ask(site, "/read").session == {"user": "ann"}


@pytest.mark.parametrize("text", ['{"cookie":7,"user":"ann"}', '{"cookie":["x"]}', "[1]", '"text"'])
def test_a_strange_record_is_no_error_in_python(world: World, text: str) -> None:
    world.store.write("strange", text)
    assert world.python.ask("/read", None, cookie_of("strange")).status == 200
    assert world.async_python.ask("/read", None, cookie_of("strange")).status == 200
    assert world.store.read("strange") == json.loads(text)


def test_text_that_is_no_json_is_kept_and_the_session_is_anonymous(
    world: World, visitor: Visitor
) -> None:
    if world.store.name == "connect-pg-simple":
        return  # its column is of the type json
    world.store.write("no-json", "no {json")
    visitor.cookie = cookie_of("no-json")
    assert world.express.ask("/read", None, visitor.cookie).status == 500
    assert visitor.ask(world.python, "/read").session == {}
    assert world.store.raw("no-json") == "no {json"
    visitor.ask(world.python, "/write", key="one", value=1)
    assert sid_of(visitor.cookie) != "no-json"
    assert visitor.ask(world.express, "/read").session == {"one": 1}
    assert world.store.raw("no-json") == "no {json"


def test_express_keeps_the_metadata_of_lembro_and_drops_other_keys_from_the_cookie(
    world: World, visitor: Visitor
) -> None:
    visitor.ask(world.python, "/login", username="ann")
    sid = sid_of(visitor.cookie)
    facts = world.store.read(sid)["lembro"]
    text = f'{{"cookie":{FRESH[:-1]},"ours":1}},"lembro":{json.dumps(facts)},"cart":1}}'
    world.store.write(sid, text)
    visitor.ask(world.express, "/write", key="one", value=1)
    stored = world.store.read(sid)
    assert stored["lembro"] == facts
    assert "ours" not in stored["cookie"]


def test_express_reads_what_python_writes_under_cookie(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/write", key="one", value=1)
    before = world.store.read(sid_of(visitor.cookie))["cookie"]
    visitor.ask(world.python, "/write", key="two", value=2)
    after = world.store.read(sid_of(visitor.cookie))["cookie"]
    assert {**after, "expires": 0} == {**before, "expires": 0}
    assert list(after) == list(before)
    assert type(after["expires"]) is type(before["expires"])


# -- lifetimes -------------------------------------------------------------------------------------


def test_the_time_of_the_store_counts_and_not_that_of_the_cookie(
    world: World, visitor: Visitor
) -> None:
    past = FRESH.replace("2099", "2001")
    world.store.write("past", f'{{"cookie":{past},"user":"ann"}}')
    visitor.cookie = cookie_of("past")
    for site in (world.express, world.python, world.express):
        assert visitor.ask(site, "/read").session == {"user": "ann"}
    world.store.expire_in("past", -2)
    for site in (world.python, world.express):
        assert visitor.ask(site, "/read").session == {}


def test_a_session_without_a_lifetime_has_that_of_the_store(world: World) -> None:
    left = []
    for site in (world.express_site(), world.python_site()):
        visitor = Visitor()
        answer = visitor.ask(site, "/write", key="one", value=1)
        assert "Expires" not in answer.set_cookies[0]
        left.append(world.store.expires_in(sid_of(visitor.cookie)))
    assert all(world.store.lifetime - 5 < seconds <= world.store.lifetime + 1 for seconds in left)


def test_python_keeps_the_lifetime_that_express_gave_a_session(
    world: World, visitor: Visitor
) -> None:
    five = FRESH.replace("60000", "300000")
    world.store.write("five", f'{{"cookie":{five},"user":"ann"}}')
    visitor.cookie = cookie_of("five")
    visitor.ask(world.python, "/write", key="one", value=1)
    assert world.store.read("five")["cookie"]["originalMaxAge"] == 300_000
    assert 295 < world.store.expires_in("five") <= 301
    answer = visitor.ask(world.express, "/write", key="two", value=2)
    assert answer.json["session"]["cookie"]["originalMaxAge"] == 300_000


def test_a_record_that_never_expires_is_read_by_both(redis_world: World, visitor: Visitor) -> None:
    redis_world.store.write("forever", f'{{"cookie":{FRESH},"user":"ann"}}', seconds=None)
    visitor.cookie = cookie_of("forever")
    for site in (redis_world.express, redis_world.python):
        assert visitor.ask(site, "/read").session == {"user": "ann"}
    visitor.ask(redis_world.python, "/write", key="one", value=1)
    assert 0 < redis_world.store.expires_in("forever") <= MINUTE


def test_the_time_zone_of_the_database_changes_nothing(tokyo: World, visitor: Visitor) -> None:
    # connect-pg-simple's column has no time zone, so it holds the local time of the connection.
    visitor.ask(tokyo.express, "/write", key="one", value=1)
    assert visitor.ask(tokyo.python, "/read").session == {"one": 1}
    visitor.ask(tokyo.python, "/write", key="two", value=2)
    assert MINUTE - 5 < tokyo.store.expires_in(sid_of(visitor.cookie)) <= MINUTE + 1
    assert visitor.ask(tokyo.express, "/read").session == {"one": 1, "two": 2}


def test_the_index_of_express_is_kept() -> None:
    # expiresAfterSeconds of connect-mongodb-session sets another time than ours.
    with mongo.shared().client() as client:
        collection = client.test[mongo.new_collection()]
        collection.create_index("expires", expireAfterSeconds=60)
        store = ConnectMongoDBSession(mongo.shared().url, collection=collection.name, timeout=10)
        with ExpressManager(store, secret=SECRET) as manager:
            manager.create({"one": 1})
        indexes = collection.index_information()
        assert (len(indexes), indexes["expires_1"]["expireAfterSeconds"]) == (2, 60)


# -- values ----------------------------------------------------------------------------------------


def test_python_refuses_what_express_would_change(world: World) -> None:
    for value in (2**60 + 1, math.nan, math.inf, b"bytes", {1}, (1,), datetime.now(UTC), {1: 2}):
        with pytest.raises(CodecError, match=r"one\.two"):
            world.manager.create({"one": {"two": value}})
    for key in ("cookie", "lembro"):
        with pytest.raises(CodecError, match=key):
            world.manager.create({key: {}})


def test_python_reads_what_javascript_writes(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/write-javascript")
    session = world.manager.get(sid_of(visitor.cookie))
    assert session is not None
    assert (session["one"], "missing" in session) == (1, world.store.name.endswith("db-session"))
    visitor.ask(world.python, "/write", key="two", value=2)
    answer = visitor.ask(world.express, "/read")
    assert answer.session["date"] == "1970-01-01T00:00:00.000Z"
    assert (answer.session["nan"], answer.session["two"]) == (None, 2)


def test_a_float_comes_back_as_a_whole_number(world: World, visitor: Visitor) -> None:
    visitor.ask(world.python, "/write", key="one", value={"items": [1.0]})
    visitor.ask(world.express, "/push", key="one", value=2)
    session = world.manager.get(sid_of(visitor.cookie))
    assert session is not None
    assert repr(session["one"]["items"]) == "[1, 2]"


# -- the user --------------------------------------------------------------------------------------


def test_the_user_can_be_at_another_path(redis_world: World, visitor: Visitor) -> None:
    python = redis_world.python_site(user="user", cookie=ExpressCookie(max_age=MINUTE))
    visitor.ask(redis_world.express, "/login-by-hand", username="ann")
    assert visitor.ask(python, "/read").json["user"] == "ann"
    visitor.ask(python, "/login", username="joe")
    assert visitor.ask(redis_world.express, "/read").session == {"user": "joe"}
    visitor.ask(python, "/logout")
    assert visitor.ask(redis_world.express, "/read").session == {}


def test_a_number_stays_a_number_for_express(redis_world: World, visitor: Visitor) -> None:
    python = redis_world.python_site(user="account.id", user_type=int)
    visitor.ask(python, "/login", username="7")
    assert visitor.ask(redis_world.express, "/read").session == {"account": {"id": 7}}


def test_functions_can_read_and_write_the_user(redis_world: World, visitor: Visitor) -> None:
    def write(data: dict[str, Any], user: str) -> None:
        data["who"] = [user]

    python = redis_world.python_site(user=lambda data: data.get("who", [None])[0], set_user=write)
    visitor.ask(python, "/login", username="ann")
    assert visitor.ask(redis_world.express, "/read").session == {"who": ["ann"]}
    assert visitor.ask(python, "/read").json["user"] == "ann"


# -- the cookie ------------------------------------------------------------------------------------

OPTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"maxAge": 60_000}, {"max_age": 60}),
    ({"maxAge": 90_500, "httpOnly": False}, {"max_age": 90.5, "httponly": False}),
    (
        {"domain": "example.com", "path": "/", "sameSite": True, "priority": "high"},
        {"domain": "example.com", "path": "/", "samesite": "strict", "priority": "high"},
    ),
    ({"sameSite": "lax", "priority": "low"}, {"samesite": "lax", "priority": "low"}),
    (
        {"secure": True, "sameSite": "none", "partitioned": True, "priority": "medium"},
        {"secure": True, "samesite": "none", "partitioned": True, "priority": "medium"},
    ),
    ({"secure": "auto"}, {"secure": "auto"}),
]


def without_time(cookie: str) -> tuple[str, datetime | None]:
    head, found, rest = cookie.partition("; Expires=")
    if not found:
        return cookie, None
    text, _, tail = rest.partition(";")
    when = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    return f"{head}; Expires=...;{tail}", when


@pytest.mark.parametrize(("express", "python"), OPTIONS)
def test_the_cookies_of_both_are_byte_identical(
    redis_world: World, express: dict[str, Any], python: dict[str, Any]
) -> None:
    secure = express.get("secure") is True
    sites: tuple[ExpressSite, WSGISite] = (
        redis_world.express_site(rolling=True, proxy=True, cookie=express),
        redis_world.python_site(rolling=True, cookie=ExpressCookie(**python)),
    )
    headers = {"X-Forwarded-Proto": "https"} if secure else {}
    for first, second in (sites, sites[::-1]):
        cookie = ""
        sent = []
        for site, path in ((first, "/write"), (second, "/read"), (first, "/read")):
            body = {"key": "one", "value": 1} if path == "/write" else None
            answer = site.ask(path, body, cookie, headers)
            assert answer.status == 200, answer.text
            assert len(answer.set_cookies) == 1
            sent.append(without_time(answer.set_cookies[0]))
            cookie = answer.set_cookies[0].partition(";")[0]
        texts, times = zip(*sent, strict=True)
        assert texts[0] == texts[1] == texts[2]
        known = [time for time in times if time is not None]
        assert len(known) == (3 if "maxAge" in express else 0)
        if known:
            assert max(known) - min(known) <= timedelta(seconds=10)


def test_all_secrets_are_accepted_and_the_first_one_signs(
    redis_world: World, visitor: Visitor
) -> None:
    secrets = ["a new one", "s3cret & €"]
    old = redis_world.express_site(secret=secrets[1])
    visitor.ask(old, "/login", username="ann", password="right")
    cookie = visitor.cookie
    python = redis_world.python_site(secret=secrets)
    express = redis_world.express_site(secret=secrets)
    for site in (express, python):  # an unmodified session is not signed again
        answer = visitor.ask(site, "/read")
        assert (answer.json["user"], answer.set_cookies) == ("ann", [])
    visitor.ask(python, "/login", username="joe")
    assert visitor.cookie != cookie
    assert cookie_of(sid_of(visitor.cookie), secrets[0]) == visitor.cookie
    assert visitor.ask(express, "/read").json["user"] == "joe"
    assert visitor.ask(redis_world.python, "/read").json["user"] is None  # another secret


@pytest.mark.parametrize("sid", ["0f8fad5b-d9cb-469f-a165-70867728950e", "a.b/c:d e", "ü€", "'--"])
def test_an_id_of_genid_is_read_by_both(world: World, visitor: Visitor, sid: str) -> None:
    world.store.write(sid, f'{{"cookie":{FRESH},"a":1}}')
    visitor.cookie = cookie_of(sid)
    for site in (world.express, world.python):
        assert visitor.ask(site, "/read").session == {"a": 1}


# -- the end of Express ----------------------------------------------------------------------------


def test_the_sessions_are_adopted_when_express_has_gone(
    redis_world: World, visitor: Visitor
) -> None:
    visitor.ask(redis_world.express, "/login", username="ann", password="right")
    visitor.ask(redis_world.python, "/write", key="cart", value=["bread"])
    reader = ExpressSessionReader(
        redis_world.store.raw,
        SECRET,
        prefix="",
        lifetime=MINUTE,
        user=lambda data: data["passport"]["user"],
    )
    with SessionManager(MemoryStore("4M"), migrate_from=reader) as manager:
        answer = visitor.ask(WSGISite(manager), "/read")
        assert answer.json["user"] == "ann"
        assert answer.session == {"passport": {"user": "ann"}, "cart": ["bread"]}
        assert "lembro" not in answer.json["session"]


# -- who writes last -------------------------------------------------------------------------------


def test_express_with_resave_overwrites_a_write_of_python(
    redis_world: World, visitor: Visitor
) -> None:
    express = redis_world.express_site(resave=True)
    visitor.ask(express, "/write", key="one", value=1)
    with express.held("/read", {}, visitor.cookie):
        visitor.ask(redis_world.python, "/write", key="two", value=2)
    assert visitor.ask(express, "/read").session == {"one": 1}


def test_express_leaves_out_a_secure_cookie_over_http(node: Express, redis_world: World) -> None:
    express = redis_world.express_site(cookie={"secure": True})
    assert express.ask("/write", {"key": "one", "value": 1}).set_cookies == []
    python = redis_world.python_site(cookie=ExpressCookie(secure=True))
    [sent] = python.ask("/write", {"key": "one", "value": 1}).set_cookies
    assert "; Secure" in sent
