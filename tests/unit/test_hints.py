"""Hints for keywords of other libraries at the stores and the cookie, and for milliseconds."""

from __future__ import annotations

import dataclasses
import inspect
import re
from functools import partial
from typing import Any

import pytest

from lembro import ConfigError, CookieOptions, MemoryStore, SessionOptions
from lembro._hints import STORE_NAMES
from lembro.express import (
    ConnectMongo,
    ConnectMongoDBSession,
    ConnectPgSimple,
    ConnectRedis,
    ExpressCookie,
    ExpressMySQLSession,
)
from lembro.stores import (
    DjangoStore,
    MongoStore,
    PostgresStore,
    RedisStore,
    SQLAlchemyStore,
    SQLiteStore,
    from_url,
)
from lembro.stores.external.settings import check_timeout

SERVERS: list[Any] = [PostgresStore, SQLAlchemyStore, DjangoStore, RedisStore, MongoStore]
EXPRESS: list[Any] = [
    ConnectRedis,
    ConnectPgSimple,
    ConnectMongo,
    ConnectMongoDBSession,
    ExpressMySQLSession,
]
NOT_NEEDED = [
    ("resave", "; leave it out, because an unmodified session is never stored again ("),
    ("rolling", "; leave it out, because each use extends the session, and its cookie ("),
    ("saveUninitialized", "; leave it out, because an empty session is never stored ("),
]


def refusal(make: Any, name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make(**{name: 1})
    text = str(caught.value)
    assert text.startswith(f"no option {name!r}")
    return text.removeprefix(f"no option {name!r}")


@pytest.mark.parametrize("store", [SQLiteStore, *SERVERS])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ttl", ", which belongs to the sessions: SessionManager(store, idle_timeout=...) ("),
        ("secret", ", which belongs to the sessions: SessionManager(store, secret=...) ("),
        ("reduce_to", ", which belongs to the store: MemoryStore(reduce_to=...) ("),
        ("maxAge", "; write cookie=CookieOptions(max_age=...), in seconds; for the session's"),
        *NOT_NEEDED,
    ],
)
def test_a_store_explains_a_keyword_of_another_library(store: Any, name: str, hint: str) -> None:
    assert refusal(partial(store, "x"), name).startswith(hint)


@pytest.mark.parametrize("store", [*SERVERS, *EXPRESS])
@pytest.mark.parametrize("name", ["max_bytes", "max", "max_size"])
def test_a_store_in_a_server_has_no_size(store: Any, name: str) -> None:
    assert refusal(partial(store, "x"), name).startswith(
        "; leave it out, because the server has its own limit, and max_session_size limits one "
        "session (options: "
    )


def test_an_sqlite_store_has_a_size() -> None:
    for name in ("max_bytes", "max"):
        assert refusal(partial(SQLiteStore, "x"), name).startswith("; write max_size=... (")


@pytest.mark.parametrize("name", ["checkPeriod", "pruneSessionInterval"])
def test_a_check_period_is_an_interval_in_seconds(name: str) -> None:
    hints = {store: refusal(partial(store, "x"), name) for store in (SQLiteStore, *SERVERS)}
    for store in (RedisStore, MongoStore):
        assert hints.pop(store).startswith(
            "; leave it out, because the server itself removes expired sessions ("
        )
    for hint in (*hints.values(), refusal(MemoryStore, name)):
        assert hint.startswith("; write interval=..., in seconds (")


@pytest.mark.parametrize("store", EXPRESS)
def test_the_ttl_of_an_express_store_belongs_to_its_manager(store: Any) -> None:
    assert refusal(partial(store, "x"), "ttl").startswith(
        ", which belongs to the sessions: ExpressManager(store, idle_timeout=...) ("
    )


@pytest.mark.parametrize("cookie", [CookieOptions, ExpressCookie])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("maxAge", "; write max_age=..., in seconds ("),
        ("httpOnly", "; write httponly=... ("),
        ("sameSite", "; write samesite=... ("),
        ("max-age", "; write max_age=... ("),
        ("cookie_name", "; write name=... ("),
        ("nmae", "; did you mean name? ("),
        ("expires", ", which belongs to the sessions: SessionManager(store, idle_timeout=...) ("),
        ("signed", ", which belongs to the sessions: SessionManager(store, secret=...) ("),
        ("zzz", " (options: name, "),
    ],
)
def test_the_cookie_explains_a_word_of_javascript(cookie: Any, name: str, hint: str) -> None:
    assert refusal(cookie, name).startswith(hint)


def test_session_options_explain_a_keyword() -> None:
    assert refusal(SessionOptions, "ttl").startswith("; write idle_timeout=... (")


def test_the_parameters_of_a_url_are_explained() -> None:
    for url, hint in (
        ("redis://h/0?ttl=3", "'ttl', which belongs to the sessions: SessionManager(store, idle_"),
        ("memory:64M?checkPeriod=3", "'checkPeriod'; write interval=..., in seconds (parameters: "),
    ):
        with pytest.raises(ConfigError, match=re.escape(f"URL has no parameter {hint}")):
            from_url(url)


def test_the_known_names_are_those_of_the_signature() -> None:
    assert {*STORE_NAMES, "clock"} == {*inspect.signature(MemoryStore).parameters}
    assert [*inspect.signature(CookieOptions).parameters] == [
        field.name for field in dataclasses.fields(CookieOptions)
    ]


# -- milliseconds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CookieOptions(max_age=3_600_000), "max_age=3600 (1:00:00)"),
        (lambda: SessionOptions(idle_timeout=1_800_000), "idle_timeout=1800 (0:30:00)"),
        (lambda: SessionOptions(rotation_grace=30_000), "rotation_grace=30 (0:00:30)"),
        (
            lambda: MemoryStore("64K", snapshot_max_age=120_000),
            "snapshot_max_age=120 (0:02:00)",
        ),
        (lambda: SQLiteStore("x", interval=900_000), "interval=900 (0:15:00)"),
    ],
)
def test_a_number_that_is_probably_in_milliseconds_is_warned_of(
    make: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    make()
    [text] = [record.getMessage() for record in caplog.records]
    assert " is in seconds: " in text
    assert f". If you mean milliseconds, write {said}. Otherwise write " in text


def test_a_usual_number_of_seconds_is_no_mistake(caplog: pytest.LogCaptureFixture) -> None:
    for idle in (900_000 - 1, 864_000, 30 * 86_400, 90 * 86_400, 1_000_000, 2_592_000):
        SessionOptions(idle_timeout=idle, absolute_timeout=None, rotation_grace=3600)
    MemoryStore("64K", snapshot_max_age=86_400)
    MemoryStore("64K", snapshot_max_age=float("inf"))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: check_timeout(200), "timeout=0.2"),
        (lambda: MemoryStore("64K", interval=86_400_000), "interval=86400"),
        (lambda: CookieOptions(max_age=31_536_000_000), "max_age=31536000"),
    ],
)
def test_a_refused_number_of_milliseconds_is_written_in_seconds(make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"If you mean milliseconds, write {said}\. Example: "):
        make()


@pytest.mark.parametrize("value", [0, -1, 10**9, float("inf"), float("nan"), "9"])
def test_another_refused_number_is_not_read_as_milliseconds(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        check_timeout(value)
    assert "milliseconds" not in str(caught.value)
