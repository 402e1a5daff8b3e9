"""Every invalid option is refused, with the given value and the fix."""

from __future__ import annotations

import dataclasses
import math
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from lembro import (
    ConfigError,
    CookieOptions,
    MemoryStore,
    SessionManager,
    SessionOptions,
    Visitor,
    asgi,
    wsgi,
)
from lembro.options import (
    DAY,
    OptionKeywords,
    exact_cookie,
    from_keywords,
    legacy_cookie,
    seconds,
    take_cookie_keywords,
)


async def _describe_later(visitor: Visitor) -> str:
    return visitor.user_agent


STRONG = "correct horse battery staple, 1234"

BAD_COOKIES: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "cookie name must be .*got ''. Example: name=\"sid\""),
    ({"name": "a b"}, "cookie name .*got 'a b'"),
    ({"name": "a;b"}, "cookie name .*got 'a;b'"),
    ({"name": "a=b"}, "cookie name .*got 'a=b'"),
    ({"name": "a\r\nb"}, "cookie name .*" + re.escape("got 'a\\r\\nb'")),
    ({"name": "é"}, "cookie name .*got 'é'"),
    ({"name": "x" * 129}, "1 to 128"),
    ({"name": None}, "cookie name .*got None"),
    ({"name": b"sid"}, "cookie name .*got b'sid'"),
    ({"name": "__Host-shop"}, "the prefix __Host-, got '__Host-shop'. Write name=\"shop\""),
    ({"name": "__Host-shop", "secure": True}, 'or is fixed by prefix="host"$'),
    ({"name": "__host-sid", "prefix": None}, "must not include the prefix __host-"),
    ({"name": "__SECURE-"}, 'the prefix __SECURE-.*Write name="sid".*prefix="secure"$'),
    ({"prefix": "Host"}, '"auto", "host", "secure" or None, got \'Host\''),
    ({"prefix": "__Host-"}, "got '__Host-'"),
    ({"prefix": ""}, "cookie prefix must be"),
    ({"prefix": False}, "got False"),
    ({"prefix": ["host"]}, r"got \['host'\]"),
    ({"prefix": "host"}, r'prefix="host" \(__Host-\) needs secure=True.*got secure=\'auto\''),
    ({"prefix": "secure", "secure": False}, r'prefix="secure" \(__Secure-\) needs secure=True'),
    (
        {"prefix": "host", "secure": True, "path": "/a"},
        'needs path="/" and no domain, got path=\'/a\'.*write prefix="secure"',
    ),
    ({"prefix": "host", "secure": True, "domain": "example.com"}, "domain='example.com'. Leave"),
    ({"path": ""}, "cookie path must begin with '/'.*got ''"),
    ({"path": "app"}, "cookie path .*got 'app'"),
    ({"path": "/a;b"}, "cookie path .*got '/a;b'"),
    ({"path": "/a\nb"}, "cookie path"),
    ({"path": "/é"}, "cookie path"),
    ({"path": None}, "cookie path .*got None"),
    ({"domain": ""}, "cookie domain .*got ''.*None, this host only, is the safest"),
    ({"domain": "a b"}, "cookie domain .*got 'a b'"),
    ({"domain": "a;b"}, "cookie domain .*got 'a;b'"),
    ({"domain": "example.com\r\n"}, "cookie domain"),
    ({"domain": "http://example.com"}, "must be a host name"),
    ({"domain": 7}, "cookie domain .*got 7"),
    ({"secure": 1}, 'secure must be True, False or "auto", got 1. Example'),
    ({"secure": 1.0}, "secure must be True.*got 1.0"),
    ({"secure": "yes"}, "secure .*got 'yes'"),
    ({"secure": None}, "secure .*got None"),
    ({"httponly": 1}, "httponly must be True or False, got 1. Example: httponly=True"),
    ({"partitioned": "no"}, "partitioned .*got 'no'"),
    ({"samesite": "Lax"}, "samesite must be \"lax\".*got 'Lax'"),
    ({"samesite": None}, "samesite .*got None"),
    ({"samesite": "none"}, "samesite=\"none\" needs secure=True.*got secure='auto'"),
    ({"partitioned": True}, "partitioned=True needs secure=True"),
    ({"max_age": 0}, "max_age must be more than 0 .*got 0. Example"),
    ({"max_age": "1h"}, "max_age must be seconds .*got '1h'.*timedelta"),
    ({"previous": "example.com"}, "previous must be CookieOptions, got 'example.com'. Example"),
    ({"previous": ["/"]}, r"previous must be CookieOptions, got \['/'\]"),
    (
        {"previous": CookieOptions(path="/a", previous=CookieOptions(path="/b"))},
        "cookie previous must hold CookieOptions that have no previous themselves",
    ),
    ({"previous": CookieOptions()}, "previous must differ in name, domain, path or partitioned"),
]


@pytest.mark.parametrize(("options", "message"), BAD_COOKIES, ids=lambda given: str(given)[:50])
def test_an_invalid_cookie_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CookieOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "sid"},
        {"name": "!#$%&'*+.^_`|~-"},
        {"name": "__HostX"},
        {"prefix": None},
        {"prefix": "host", "secure": True},
        {"prefix": "secure", "secure": True, "path": "/a", "domain": "example.com"},
        {"path": "/a b"},
        {"domain": "example.com"},
        {"domain": ".example.com"},
        {"domain": "localhost"},
        {"samesite": "none", "secure": True, "partitioned": True},
        {"max_age": timedelta(days=1)},
        {"max_age": 0.5},
    ],
    ids=str,
)
def test_a_valid_cookie_option_is_accepted(options: dict[str, Any]) -> None:
    CookieOptions(**options)


BAD_DURATIONS = [
    0,
    -1,
    -0.1,
    math.nan,
    math.inf,
    -math.inf,
    2**63,
    10**400,
    timedelta.max,
    timedelta(0),
    timedelta(days=-1),
    "3600",
    "1h",
    True,
    None,
    [],
]


@pytest.mark.parametrize("name", ["idle_timeout", "absolute_timeout", "rotation_grace"])
@pytest.mark.parametrize("value", BAD_DURATIONS, ids=lambda value: repr(value)[:20])
def test_an_invalid_duration_is_refused(name: str, value: Any) -> None:
    if name == "absolute_timeout" and value is None:  # without a limit
        return
    if name == "rotation_grace" and value in (0, timedelta(0)):  # without a grace
        assert SessionOptions(rotation_grace=value).rotation_grace == value
        return
    with pytest.raises(
        ConfigError, match=rf"{name} must be .*Example: {name}=timedelta\(hours=8\)$"
    ):
        SessionOptions(**{name: value})


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1), (0.5, 0.5), (timedelta(hours=1), 3600), (100 * 365 * DAY, None)]
)
def test_a_duration_is_accepted(value: Any, expected: float | None) -> None:
    result = seconds("idle_timeout", value)
    assert type(result) is float
    assert result == (value if expected is None else expected)


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"idle_timeout": 10, "absolute_timeout": 9},
        r"at least idle_timeout \(10\), got 9. Lower idle_",
    ),
    ({"idle_timeout": 40 * DAY}, "raise absolute_timeout"),
    ({"rotation_grace": -1}, "at least 0"),
    ({"rotation_grace": False}, "rotation_grace must be seconds .*got False"),
    ({"cookie": "sid"}, r"got 'sid'. Example: cookie=CookieOptions\(name=\"sid\"\)"),
    ({"cookie": None}, "cookie must be CookieOptions, got None"),
    ({"secret": ""}, "at least 32 bytes and 8 different characters, got 0 bytes and 0 different"),
    ({"secret": "changeme"}, "got 8 bytes and 7 .*can be guessed. Make one: python -c"),
    ({"secret": "ñ" * 20}, "got 40 bytes and 1 different"),
    ({"secret": "abcdefg" * 10}, "70 bytes and 7 different"),
    ({"secret": []}, r"None or at least one str, got \[\]. Make one: python -c"),
    ({"secret": [STRONG, "old"]}, "3 bytes"),
    ({"secret": [None]}, "a str or a list of str, got NoneType"),
    ({"secret": STRONG.encode()}, "a str or a list of str, got bytes"),
    ({"secret": 12345}, "a str or a list of str, got int"),
    ({"max_sessions_per_user": 0}, "a whole number from 1 to 1,000,000, or None, got 0. Example"),
    ({"max_sessions_per_user": -1}, "max_sessions_per_user must be .*got -1"),
    ({"max_sessions_per_user": 10**7}, "max_sessions_per_user must be .*got 10000000"),
    ({"max_sessions_per_user": True}, "max_sessions_per_user must be a whole number .*got True"),
    ({"max_sessions_per_user": 2.0}, "max_sessions_per_user must be .*got 2.0"),
    ({"max_sessions_per_user": "2"}, "max_sessions_per_user must be .*got '2'"),
    ({"at_max_sessions": "newest"}, 'must be "oldest" or "refuse", got \'newest\'. Example'),
    ({"describe": "Firefox"}, "plain function of a Visitor, or None, got 'Firefox'. Example"),
    ({"describe": _describe_later}, "plain function of a Visitor"),
    ({"store_address": 1}, "store_address must be True or False, got 1. Example"),
    ({"store_address": None}, "store_address must be True or False, got None"),
    ({"load": "later"}, 'load must be "ahead" or "asked", got \'later\'. Example'),
    ({"at_max_sessions": None}, "at_max_sessions must be .*got None"),
]


@pytest.mark.parametrize(
    ("options", "message"), BAD_OPTIONS, ids=lambda given: str(given).partition(" at 0x")[0][:50]
)
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SessionOptions(**options)
    with pytest.raises(ConfigError, match=message):
        SessionManager(MemoryStore(), **options)


def test_the_repr_hides_the_secret() -> None:
    assert STRONG not in repr(SessionOptions(secret=STRONG))
    with pytest.raises(ConfigError) as caught:
        SessionOptions(secret="hunter2")
    assert "hunter2" not in str(caught.value)


def test_secrets_become_a_tuple() -> None:
    assert SessionOptions().secret == ()
    assert SessionOptions(secret=STRONG).secret == (STRONG,)
    assert SessionOptions(secret=[STRONG, STRONG[::-1]]).secret == (STRONG, STRONG[::-1])


def test_options_are_keyword_only_and_immutable() -> None:
    with pytest.raises(TypeError):
        SessionOptions(60)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        SessionOptions().idle_timeout = 1  # type: ignore[misc]


def test_the_defaults_are_the_documented_ones() -> None:
    options = SessionOptions()
    assert (options.idle_timeout, options.absolute_timeout) == (DAY, 30 * DAY)
    assert (options.max_sessions_per_user, options.at_max_sessions) == (100, "oldest")
    assert (options.cookie.samesite, options.cookie.httponly) == ("lax", True)
    assert (options.cookie.name, options.cookie.prefix) == ("sid", "auto")
    assert options.store_address is False
    assert options.describe is not None
    assert options.describe(Visitor("curl/8.5.0", None)) == "curl"


def test_by_default_no_device_is_described() -> None:
    assert SessionOptions(describe=None).describe is None
    assert from_keywords({}, SessionOptions(describe=None, store_address=True)) == SessionOptions(
        describe=None, store_address=True
    )


def test_the_presets_follow_nist() -> None:
    two, three = SessionOptions.aal2(), SessionOptions.aal3(secret=STRONG)
    assert (two.idle_timeout, two.absolute_timeout) == (3600, DAY)
    assert (three.idle_timeout, three.absolute_timeout) == (900, DAY / 2)
    assert three.secret == (STRONG,)
    with pytest.raises(ConfigError, match="no option 'idle'; did you mean idle_timeout"):
        SessionOptions.aal3(idle=1)  # type: ignore[call-arg]


# -- as keywords -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("timeout", "idle_timeout|absolute_timeout"),
        ("max_sessions", "at_max_sessions|max_sessions_per_user"),
        ("secrets", "secret"),
        ("secret_key", "secret"),
        ("cookies", "cookie"),
    ],
)
def test_a_misspelled_keyword_names_the_nearest_one(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"no option '{name}'; did you mean ({meant})[?; ]"):
        from_keywords({name: 1})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("idletimeout", "; write idle_timeout=..."),
        ("ttl", "; write idle_timeout=..."),
        ("lifetime", "; write idle_timeout=..."),
        ("session_lifetime", "; write idle_timeout=..."),
        ("PERMANENT_SESSION_LIFETIME", "; write idle_timeout=..."),
        ("expires_in", "; write idle_timeout=..."),
        ("maxage", "; write cookie=CookieOptions(max_age=...); for the session's lifetime, write"),
        ("max_age", "; write cookie=CookieOptions(max_age=...); for the session's lifetime, write"),
        ("SESSION_COOKIE_SAMESITE", "; write cookie=CookieOptions(samesite=...)"),
        ("sid", "; write cookie=CookieOptions(name=...)"),
        ("max_bytes", ", which belongs to the store: MemoryStore(max_size=...)"),
        ("max_sise", ", which belongs to the store: MemoryStore(max_size=...)"),
        ("interwal", ", which belongs to the store: MemoryStore(interval=...)"),
        ("samesight", "; write cookie=CookieOptions(samesite=...)"),
        ("maxsize", ", which belongs to the store: MemoryStore(max_size=...)"),
        ("purge_interval", ", which belongs to the store: MemoryStore(interval=...)"),
        ("max", ", which belongs to the store: MemoryStore(max_size=...)"),
        ("checkPeriod", ", which belongs to the store: MemoryStore(interval=...)"),
        ("resave", "; leave it out, because an unmodified session is never stored again"),
        ("rolling", "; leave it out, because each use extends the session, and its cookie"),
        (
            "saveUninitialized",
            "; leave it out, because an empty session is never stored",
        ),
    ],
)
def test_a_keyword_of_another_library_names_the_option(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"no option '{name}'{meant}")):
        from_keywords({name: 1})
    app: Any = print
    takers: list[Any] = [
        partial(SessionManager, MemoryStore("64K")),
        partial(asgi.SessionMiddleware, app),
        partial(wsgi.SessionMiddleware, app),
    ]
    for takes in takers:
        with pytest.raises(ConfigError, match=re.escape(f"no option '{name}'{meant}")):
            takes(**{name: 1})


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *((f.name, f.name) for f in dataclasses.fields(CookieOptions)),
        ("same_site", "samesite"),
        ("http_only", "httponly"),
        ("https_only", "secure"),
        ("cookie_name", "name"),
        ("session_cookie", "name"),
        ("cookie_secure", "secure"),
    ],
)
def test_a_keyword_of_the_cookie_names_cookie_options(name: str, field: str) -> None:
    message = rf"no option '{name}'; write cookie=CookieOptions\({field}=\.\.\.\)"
    with pytest.raises(ConfigError, match=message):
        from_keywords({name: 1})


@pytest.mark.parametrize("name", ["max_size", "interval", "max_session_size", "reduce_to"])
def test_a_keyword_of_the_store_names_the_store(name: str) -> None:
    message = rf"no option '{name}', which belongs to the store: MemoryStore\({name}=\.\.\.\)"
    with pytest.raises(ConfigError, match=message):
        from_keywords({name: 1})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ttl", ", which belongs to the sessions: SessionManager(store, idle_timeout=...)"),
        ("max_bytes", "; write max_size=..."),
        ("max", "; write max_size=..."),
        ("checkPeriod", "; write interval=..."),
        ("rolling", "; leave it out, because each use extends the session"),
        ("max_age", "; write cookie=CookieOptions(max_age=...)"),
        ("max_sise", "; did you mean max_size?"),
        (
            "xyz",
            " (options: max_size, interval, max_session_size, reduce_to, "
            "clock, snapshot, snapshot_max_age)",
        ),
    ],
)
def test_a_keyword_of_another_library_at_the_store_names_the_option(name: str, meant: str) -> None:
    keywords: Any = {name: 1}
    with pytest.raises(ConfigError, match=re.escape(f"no option '{name}'{meant}")):
        MemoryStore(**keywords)


@pytest.mark.parametrize(
    ("cookie", "example"),
    [
        ({"maxAge": 1, "httpOnly": True}, "max_age=..., httponly=...). max_age is in seconds"),
        ({"sameSite": "lax", "x": 1}, "samesite=...)"),
    ],
)
def test_a_dict_as_cookie_names_the_fields(cookie: Any, example: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"Write cookie=CookieOptions({example}") + "$"):
        SessionOptions(cookie=cookie)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: SessionOptions(idle_timeout=86_400_001, absolute_timeout=None),
            "idle_timeout=86400001 is in seconds: 1000 days, 0:00:01. If you mean milliseconds, "
            "write idle_timeout=86400.001 (1 day, 0:00:00.001000). Otherwise write "
            "idle_timeout=timedelta(days=1000)",
        ),
        (
            lambda: MemoryStore("64K", interval=360_000),
            "interval=360000 is in seconds: 4 days, 4:00:00. If you mean milliseconds, write "
            "interval=360 (0:06:00). Otherwise write interval=timedelta(days=4.16667)",
        ),
    ],
)
def test_a_number_that_is_probably_in_milliseconds_is_warned_of_once(
    make: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    make()
    make()
    assert [record.getMessage() for record in caplog.records] == [f"lembro: {said}"]


def test_a_timedelta_of_any_length_is_no_mistake(caplog: pytest.LogCaptureFixture) -> None:
    SessionOptions(idle_timeout=timedelta(days=1001), absolute_timeout=None)
    SessionOptions(idle_timeout=400 * 86_400, absolute_timeout=None)
    MemoryStore("64K", interval=timedelta(days=2))
    MemoryStore("64K", interval=86_400)
    assert caplog.records == []


@pytest.mark.parametrize("name", ["session", "sessions"])
def test_a_manager_as_another_keyword_is_refused(name: str) -> None:
    message = f"no option '{name}'; the keyword for a SessionManager is manager"
    with pytest.raises(ConfigError, match=message):
        from_keywords({name: 1})


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no option 'xyz' \(options: idle_timeout, .*\)$"):
        from_keywords({"xyz": 1})


def test_keywords_take_precedence_over_options() -> None:
    base = SessionOptions(idle_timeout=60, secret=STRONG)
    both = from_keywords({"absolute_timeout": 600}, base)
    assert (both.idle_timeout, both.absolute_timeout, both.secret) == (60, 600, (STRONG,))
    assert from_keywords({}, SessionOptions()) == SessionOptions()
    assert from_keywords({"secret": None}, base).secret == ()
    with pytest.raises(ConfigError, match="at least idle_timeout"):
        from_keywords({"absolute_timeout": 30}, base)


@pytest.mark.parametrize(
    ("max_age", "absolute"),
    [(3600, 30 * DAY), (timedelta(days=90), 90 * DAY), (None, None)],
    ids=str,
)
def test_cookie_keywords_of_other_libraries_are_converted(
    max_age: Any, absolute: float | None
) -> None:
    options = OptionKeywords()
    take_cookie_keywords(options, {"name": "sid", "max_age": max_age})
    assert options.get("cookie") == CookieOptions(name="sid", prefix=None, max_age=max_age)
    assert options.get("idle_timeout") == max_age
    assert options.get("absolute_timeout") == absolute


@pytest.mark.parametrize(
    ("fields", "http", "https"),
    [
        ({"name": "shop"}, "shop", "shop"),
        ({"name": "shop", "secure": True}, "shop", "shop"),
        ({"name": "__Host-shop", "secure": True}, "__Host-shop", "__Host-shop"),
        ({"name": "__Secure-shop", "secure": True, "path": "/a"}, *["__Secure-shop"] * 2),
        ({"name": "shop", "prefix": "auto"}, "shop", "__Host-shop"),
        ({"path": "/a"}, "sid", "__Secure-sid"),
        ({}, "sid", "__Host-sid"),
    ],
    ids=str,
)
def test_a_cookie_name_of_another_library_is_kept(
    fields: dict[str, Any], http: str, https: str
) -> None:
    cookie = exact_cookie(fields)
    assert (cookie.name_over(https=False), cookie.name_over(https=True)) == (http, https)


@pytest.mark.parametrize("name", ["__Host-shop", "__Secure-shop"])
def test_a_prefixed_name_of_another_library_needs_secure(name: str) -> None:
    with pytest.raises(ConfigError, match="needs secure=True"):
        exact_cookie({"name": name})


def test_a_legacy_cookie_has_only_an_explicit_prefix() -> None:
    assert legacy_cookie(CookieOptions(path="/a")) == CookieOptions(path="/a", prefix=None)
    fixed = CookieOptions(prefix="host", secure=True)
    assert legacy_cookie(fixed) is fixed


def test_cookie_keywords_and_cookie_options_cannot_be_mixed() -> None:
    options = OptionKeywords(cookie=CookieOptions(), idle_timeout=60)
    take_cookie_keywords(options, {})
    assert options == {"cookie": CookieOptions(), "idle_timeout": 60}
    with pytest.raises(
        ConfigError, match=r"got name, path. Write cookie=CookieOptions\(name=\.\.\., path"
    ):
        take_cookie_keywords(options, {"name": "sid", "path": "/"})
