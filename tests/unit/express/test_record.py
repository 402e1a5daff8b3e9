"""A session of Express as a record of lembro, and the way back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from lembro import CodecError, Record
from lembro._core import codec
from lembro.express.record import Stored, Times, encode_json, iso, read, stored, write
from lembro.express.users import Users

NOW = 1_796_051_799_162
COOKIE = {"originalMaxAge": None, "expires": None, "httpOnly": True, "path": "/"}


def found_of(body: Any, left: float = 100.0) -> Any:
    return read(body, "raw", Users(), now=NOW, left=left)


def parts_of(body: Any) -> Any:
    return codec.decode(found_of(body).payload)


def test_a_session_of_express_is_read() -> None:
    found = found_of({"cookie": COOKIE, "passport": {"user": 5}, "a": [1]})
    assert (found.user, found.age, found.idle_left, found.life_left) == ("5", 0.0, 100.0, math.inf)
    meta, data = codec.decode(found.payload)
    assert data == {"passport": {"user": 5}, "a": [1]}
    assert meta["remember"] is False
    assert meta["fresh"] is False  # lembro does not know when the user logged in
    assert (found.payload.raw, found.payload.born) == ("raw", None)


def test_the_lifetime_comes_from_the_cookie() -> None:
    meta, _ = parts_of({"cookie": {**COOKIE, "originalMaxAge": 60000, "expires": "strange"}})
    assert (meta["remember"], meta["idle"]) == (True, b"60")
    assert json.loads(meta["cookie"]) == {"httpOnly": True, "path": "/"}


@pytest.mark.parametrize("age", [None, 0, -5, True, "60000", 1e300, [], {}])
def test_a_strange_max_age_counts_as_none(age: Any) -> None:
    meta, _ = parts_of({"cookie": {"originalMaxAge": age}})
    assert meta == {"remember": False}


@pytest.mark.parametrize("cookie", [None, 5, [], "x", ...])
def test_a_strange_cookie_counts_as_none(cookie: Any) -> None:
    body = {"a": 1} if cookie is ... else {"cookie": cookie, "a": 1}
    assert parts_of(body) == ({"remember": False}, {"a": 1})


@pytest.mark.parametrize("body", [None, 5, "text", [], {"a": {1, 2, object}}, {5: 1}])
def test_a_value_that_is_no_object_cannot_be_read(body: Any) -> None:
    found = found_of(body)
    assert (found.payload, found.payload.raw, found.user) == (b"", "raw", None)
    with pytest.raises(CodecError):
        codec.decode(found.payload)


@pytest.mark.parametrize(
    "facts",
    [5, [], {"mark": 5}, {"mark": "zz"}, {"mark": "00"}, {"born": "x"}, {"born": -1}, {"meta": 5},
     {"death": True}, {"born": 1e300}, {"meta": {"a": 5}}],
)  # fmt: skip
def test_strange_metadata_of_lembro_is_ignored(facts: Any) -> None:
    found = found_of({"cookie": {}, "lembro": facts})
    assert codec.decode(found.payload) == ({"remember": False}, {})
    assert found.payload.endswith(bytes(codec.MARK))
    assert (found.age, found.life_left) == (0.0, math.inf)


def test_the_absolute_deadline_ends_a_session() -> None:
    body = {"cookie": {}, "lembro": {"born": NOW - 5000, "death": NOW + 7000}}
    found = found_of(body)
    assert (found.age, found.idle_left, found.life_left) == (5.0, 7.0, 7.0)
    body["lembro"]["death"] = NOW
    assert found_of(body) is None


def test_what_is_written_is_read_again() -> None:
    body = {
        "cookie": {"originalMaxAge": 60000, "expires": "x", "httpOnly": True, "path": "/"},
        "a": {"ü": [1, None, 2**60 + 24]},
        "passport": {"user": "ann"},
        "lembro": {"mark": "00112233aabb", "born": NOW - 1000, "meta": {"device": "Firefox"}},
    }
    found = found_of(body)
    again = write(Record(found.payload), Times(NOW, 60.0, found.payload.born, None))
    assert list(again["cookie"]) == ["originalMaxAge", "expires", "httpOnly", "path"]
    assert again == {**body, "cookie": {**body["cookie"], "expires": iso(NOW + 60000)}}  # type: ignore[dict-item]
    assert found_of(again).payload == found.payload


def test_the_attributes_of_the_cookie_are_in_the_order_of_express() -> None:
    cookie = {
        "originalMaxAge": None,
        "partitioned": True,
        "priority": "low",
        "expires": None,
        "secure": True,
        "httpOnly": True,
        "domain": "example.com",
        "path": "/",
        "sameSite": "none",
    }
    found = found_of({"cookie": cookie, "a": 1})
    body = write(Record(found.payload), Times(NOW, 60.0, None, None))
    assert encode_json(body["cookie"]) == encode_json(cookie)


def test_flags_of_lembro_are_kept() -> None:
    meta, _ = parts_of({"cookie": {}, "lembro": {"meta": {"adopted": True}}})
    assert meta == {"adopted": True, "remember": False}


def test_a_session_that_is_nested_too_deeply_cannot_be_read() -> None:
    raw = b'{"a":' + b"[" * 150 + b"]" * 150 + b"}"
    body = json.loads(raw)
    assert read(body, raw, Users(), now=NOW, left=5.0).payload == b""  # type: ignore[union-attr]


def test_an_unknown_age_stays_unknown() -> None:
    found = found_of({"cookie": {}, "passport": {"user": "ann"}})
    body = write(Record(found.payload), Times(NOW, 60.0, None, None))
    assert body["lembro"] == {"mark": "000000000000"}
    assert found_of(body).payload == found.payload


def test_a_lifetime_without_a_persistent_cookie_is_in_the_metadata() -> None:
    payload = codec.encode({"idle": b"600", "remember": False}, {"a": 1})
    body = write(Record(payload), Times(NOW, 600.0, NOW, NOW + 900_000))
    assert body["cookie"] == {"originalMaxAge": None, "expires": None}
    assert body["lembro"]["meta"] == {"idle": "600"}
    assert codec.decode(found_of(body).payload)[0]["idle"] == b"600"


@pytest.mark.parametrize(
    ("meta", "age"),
    [
        ({}, None),
        ({"idle": b"1.5"}, 1500),
        ({"idle": b"0.00025"}, 0.25),
        ({"remember": True}, 60000),
    ],
)
def test_the_max_age_follows_from_the_metadata(meta: Any, age: Any) -> None:
    body = write(Record(codec.encode(meta, {})), Times(NOW, 60.0, NOW, None))
    assert body["cookie"]["originalMaxAge"] == age


def test_a_time_is_written_as_javascript_writes_it() -> None:
    assert iso(NOW) == "2026-11-30T15:16:39.162Z"
    assert iso(5) == "1970-01-01T00:00:00.005Z"


def test_a_payload_shows_no_text_of_the_store() -> None:
    payload = stored(b"x", b"raw", 1, 2)
    assert isinstance(payload, Stored)
    assert payload == b"x"
