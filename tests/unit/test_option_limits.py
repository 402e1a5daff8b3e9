"""The limits of options, exactly, and the texts of their errors."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lembro import ConfigError, CookieOptions, Event, MemoryStore, SessionManager, SessionOptions
from lembro._durations import DAY, LONGEST
from lembro.events import Events
from lembro.ids import MAX_USER_ID, CookieValue, user_id_text
from lembro.migrate import StarletteCookieReader
from lembro.options import take_cookie_keywords
from tests.support.site import Site


@pytest.mark.parametrize("options", [{"secret": "abcdefgh" * 4}, {"max_sessions_per_user": 10**6}])
def test_a_value_at_its_limit_is_accepted(options: Any) -> None:
    SessionOptions(**options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"secret": "abcdefg" * 5}, "secret must have at least 32 bytes and 8 different char"),
        ({"secret": "\ud800" * 40}, "secret must have .*got 120 bytes and 1 different"),
        ({"max_sessions_per_user": 10**6 + 1}, "max_sessions_per_user must be .*, got 1000001"),
        ({"remember_timeout": 0}, "remember_timeout must be more than 0"),
        ({"anonymous_idle_timeout": "1h"}, "anonymous_idle_timeout must be seconds"),
        ({"passive": "poll"}, r'passive takes path prefixes .*Example: passive=\["/poll'),
        (
            {"cookie": {"max_age": 60}},
            r".*CookieOptions\(max_age=\.\.\.\)\. max_age is in",
        ),
        ({"idle_timeout": LONGEST * 1000}, ".*If you mean milliseconds, write idle_timeout="),
        ({"idle_timeout": LONGEST * 1000 + 1}, r".*got \d+\. Example"),
        ({"samesit": "lax"}, r".*write cookie=CookieOptions\(samesite=\.\.\.\) \(options: "),
    ],
)
def test_a_value_beyond_its_limit_is_refused(options: Any, error: str) -> None:
    with pytest.raises(ConfigError, match=f"^{error}"):
        SessionOptions(**options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"samesite": "none"}, 'cookie samesite="none" needs secure=True'),
        ({"partitioned": True}, "cookie partitioned=True needs secure=True"),
    ],
)
def test_a_cookie_that_browsers_refuse_is_refused(options: Any, error: str) -> None:
    with pytest.raises(ConfigError, match=f"^{error}"):
        CookieOptions(**options)


def test_passive_paths_are_kept_as_a_tuple() -> None:
    assert SessionOptions(passive="/poll").passive == ("/poll",)


@pytest.mark.parametrize(("grace", "warns"), [(3600, False), (3601, True)])
def test_a_grace_of_more_than_an_hour_is_warned_of(
    caplog: pytest.LogCaptureFixture, grace: int, warns: bool
) -> None:
    SessionOptions(rotation_grace=grace)
    assert ("rotation_grace" in caplog.text) == warns


@pytest.mark.parametrize(
    ("timeout", "warns"), [(900_000, True), (840_000, False), (11 * DAY, False)]
)
def test_whole_minutes_in_milliseconds_are_warned_of_above_ten_days(
    caplog: pytest.LogCaptureFixture, timeout: int, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING):
        SessionOptions(anonymous_idle_timeout=timeout)
    assert ("milliseconds" in caplog.text) == warns


def test_a_cookie_keyword_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    options: Any = {}
    take_cookie_keywords(options, {"max_age": 3_660_000})
    assert options["absolute_timeout"] == 3_660_000
    assert caplog.text.count("is in seconds") == 1


# -- two cookies of one name -----------------------------------------------------------------------


PLAIN = CookieOptions(name="sid", prefix=None)
HOST = CookieOptions(name="sid", prefix="host", secure=True)


@pytest.mark.parametrize("cookie", [PLAIN, HOST])
def test_a_legacy_cookie_of_the_same_name_over_one_scheme_is_refused(cookie: CookieOptions) -> None:
    reader: Any = StarletteCookieReader("k" * 32, cookie=cookie)
    with pytest.raises(ConfigError, match=r"^the cookies of migrate_from must have other names"):
        SessionOptions(migrate_from=reader)


def test_a_legacy_reader_without_read_is_refused() -> None:
    class Reader:
        cookie = CookieOptions(name="old")

    reader: Any = Reader()
    with pytest.raises(ConfigError, match=r"^migrate_from must be a reader of legacy sessions"):
        SessionOptions(migrate_from=reader)


@pytest.mark.parametrize("previous", [PLAIN, HOST])
def test_a_previous_cookie_may_have_the_same_name_over_one_scheme(previous: CookieOptions) -> None:
    assert CookieOptions(previous=previous).previous == (previous,)


# -- IDs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user_id", "size"),
    [("a" * (MAX_USER_ID + 1), 257), (2**2047, 617), (2**2048, 614), (2**2304, 691)],
)
def test_a_user_id_that_is_too_long_is_refused_with_its_length(user_id: Any, size: int) -> None:
    with pytest.raises(ValueError, match=f"^login.. takes .* at most 256 bytes, got {size}"):
        user_id_text(user_id, "login")


def test_a_user_id_may_have_256_bytes() -> None:
    assert user_id_text("a" * MAX_USER_ID, "login") == "a" * MAX_USER_ID


def test_a_user_id_of_a_subclass_of_str_becomes_a_plain_str() -> None:
    class Name(str):
        __slots__ = ()

    assert type(user_id_text(Name("ana"), "login")) is str


def test_the_repr_of_a_cookie_value_is_a_fixed_text() -> None:
    assert repr(CookieValue(b"secret")) == "<cookie value>"


# -- events ----------------------------------------------------------------------------------------


def test_a_listener_after_one_that_was_called_meanwhile_is_called() -> None:
    events, calls = Events(), list[str]()

    def nested(event: Event) -> None:
        calls.append("nested")
        if len(calls) == 1:
            events.emit(event)

    events.on("created", nested)
    events.once("created", lambda _: calls.append("once"))
    events.on("created", lambda _: calls.append("last"))
    events.emit(Event("created"))
    assert calls == ["nested", "nested", "once", "last", "last"]


def test_a_conflict_at_two_paths_is_one_event(site: Site) -> None:
    data: dict[str, Any] = {"k" * 70: 0, "n": 0}
    cookie = site.new(**data)
    session, other = site.open(cookie), site.open(cookie)
    for each, value in ((other, 1), (session, 2)):
        each["k" * 70] = each["n"] = value
    site.commit(other)
    (event,) = site.commit(session).events
    assert event.reason == f"{'k' * 57}..., n: the later write won"


def test_an_unknown_keyword_of_a_store_is_explained() -> None:
    unknown: Any = {"max_siz": "1M"}
    with pytest.raises(ConfigError, match=r"^no option 'max_siz'; did you mean max_size"):
        MemoryStore(**unknown)
    with pytest.raises(ConfigError, match=r"^no option 'max_siz', which belongs to the store"):
        SessionManager(**unknown)
