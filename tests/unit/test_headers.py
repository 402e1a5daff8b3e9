"""The headers that a session adds to a response, and the warnings about them, each logged once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from multidict import CIMultiDict

from lembro._http import headers
from lembro._http.headers import (
    RequestHeaders,
    caching_with_cookie,
    warn_of_plain_http,
    warn_of_several_cookies,
    warn_of_shared_cookie,
    with_session,
)

COOKIE = b"sid=x"
Headers = list[tuple[bytes, bytes]]


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "_warned", set())


@pytest.mark.parametrize(
    ("given", "vary"),
    [
        ([], [b"Cookie"]),
        ([(b"vary", b"Accept")], [b"Accept, Cookie"]),
        ([(b"Vary", b"Accept, cookie")], [b"Accept, cookie"]),
        ([(b"vary", b"COOKIE")], [b"COOKIE"]),
        ([(b"vary", b"*")], [b"*"]),
        ([(b"vary", b"")], [b"Cookie"]),
        ([(b"vary", b""), (b"vary", b"Accept")], [b"Accept, Cookie"]),
        ([(b"vary", b"Accept"), (b"vary", b"Origin")], [b"Accept, Origin, Cookie"]),
        ([(b"vary", b"cookie"), (b"vary", b"Origin")], [b"cookie", b"Origin"]),
        ([(b"vary", b"X-Cookie")], [b"X-Cookie, Cookie"]),
    ],
)
def test_vary_gets_cookie_once(given: Headers, vary: list[bytes]) -> None:
    sets: list[list[bytes]] = [[], [COOKIE]]
    for cookies in sets:
        result = with_session(given, cookies)
        assert [value for name, value in result if name.lower() == b"vary"] == vary


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], [b"private, no-store"]),
        ([b"private"], [b"private"]),
        ([b"no-store"], [b"no-store"]),
        ([b"Private, max-age=60"], [b"Private, max-age=60"]),
        ([b"max-age=60", b"no-store"], [b"max-age=60", b"no-store"]),
        ([b"private", b"max-age=60"], [b"private", b"max-age=60"]),
        ([b"max-age=60"], [b"private, no-store"]),
        ([b"public, max-age=60"], [b"private, no-store"]),
        ([b"public, private"], [b"private, no-store"]),
        ([b"no-cache"], [b"private, no-store"]),
        ([b'private="set-cookie"'], [b"private, no-store"]),
        ([b"public", b"s-maxage=60"], [b"private, no-store"]),
    ],
)
def test_a_response_that_sets_the_cookie_is_not_stored(
    given: list[bytes], expected: list[bytes]
) -> None:
    before = [(b"Cache-Control", value) for value in given]

    def control(*cookies: bytes) -> list[bytes]:
        result = with_session(before, cookies)
        return [value for name, value in result if name.lower() == b"cache-control"]

    assert control(COOKIE) == expected
    assert control() == given


@pytest.mark.parametrize(
    "name", ["CDN-Cache-Control", "surrogate-control", "Cloudflare-CDN-Cache-Control"]
)
def test_headers_for_cdns_are_replaced_too(name: str, caplog: pytest.LogCaptureFixture) -> None:
    header = name.encode()
    result = with_session([(header, b"max-age=60")], [COOKIE])
    assert (header.lower(), b"private, no-store") in result
    assert (header, b"max-age=60") not in result
    assert f"{name}: max-age=60".lower() in caplog.text.lower()
    assert (header, b"no-store") in with_session([(header, b"no-store")], [COOKIE])
    assert (header, b"max-age=60") in with_session([(header, b"max-age=60")], [])


def test_other_headers_are_not_changed() -> None:
    given: Headers = [(b"content-type", b"text/html"), (b"set-cookie", b"a=b")]
    assert with_session(given, [COOKIE, b"legacy="]) == [
        *given,
        (b"vary", b"Cookie"),
        (b"cache-control", b"private, no-store"),
        (b"set-cookie", COOKIE),
        (b"set-cookie", b"legacy="),
    ]
    assert len(given) == 2


def test_a_replaced_cache_control_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with_session([(b"cache-control", b"public")], [COOKIE])
    with_session([], [COOKIE])
    assert len(caplog.records) == 1
    assert "Cache-Control: public. lembro replaced it with private, no-store" in caplog.text


def test_a_replaced_value_may_have_any_character(caplog: pytest.LogCaptureFixture) -> None:
    """The headers of some frameworks are texts, which nobody has encoded yet."""
    given = {"Cache-Control": ["max-age=60; \u20ac"]}
    for _ in range(2):
        replaced = list(caching_with_cookie(lambda name: given.get(name, [])))
        assert replaced == [("Cache-Control", "private, no-store")]
    assert len(caplog.records) == 1


def test_at_most_100_replaced_values_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    for age in range(300):
        with_session([(b"cache-control", b"max-age=%d" % age)], [COOKIE])
    assert len(caplog.records) == 100


@pytest.mark.parametrize("client", ["203.0.113.7", "10.0.0.1", "2001:db8::1"])
def test_plain_http_from_another_machine_is_logged_once(
    client: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        warn_of_plain_http(client)
    assert len(caplog.records) == 1
    assert "--forwarded-allow-ips" in caplog.text
    assert client not in caplog.text


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "127.8.8.8", "testclient", "", None])
def test_plain_http_on_this_machine_is_not_logged(
    client: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_plain_http(client)
    assert not caplog.records


HTTPS = [
    ("X-Forwarded-Proto", "https"),
    ("x-forwarded-proto", " HTTPS "),
    ("X-Forwarded-Proto", "https, http"),
    ("X-Forwarded-Proto", "http,https"),
    ("X-Forwarded-Proto", "wss"),
    ("Forwarded", "proto=https"),
    ("Forwarded", "proto=https, for=192.0.2.60"),
    ("Forwarded", 'for="[2001:db8::1]:4711"; Proto="HTTPS" ;by=203.0.113.43'),
    ("forwarded", "for=192.0.2.60;proto=http, for=198.51.100.17;proto=https"),
]
NOT_HTTPS = [
    ("X-Forwarded-Proto", ""),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Proto", "httpss, xhttps, https:, http s"),
    ("X-Forwarded-Proto", '"https"'),
    ("X-Forwarded-Proto", "\xff\x00https"),
    ("X-Forwarded-Protocol", "https"),
    ("Forwarded", "https"),
    ("Forwarded", "for=https;host=https;xproto=https;proto=;proto=Xhttps;proto==https;=https;;,"),
    ("Forwarded", "\xff=https;proto=\xffhttps"),
]


def _as_sent(name: str, value: str) -> list[RequestHeaders]:
    """The header in the form of each kind of server."""
    key = f"HTTP_{name.upper().replace('-', '_')}"
    return [
        [(b"host", b"a"), (name.lower().encode(), value.encode("latin-1"))],
        {"wsgi.url_scheme": "http", key: value},
        CIMultiDict({"Host": "a", name: value}),
    ]


@pytest.mark.parametrize("kind", range(3), ids=["asgi", "wsgi", "by name"])
@pytest.mark.parametrize(("name", "value"), HTTPS)
def test_plain_http_behind_a_proxy_that_received_https_is_logged_once(
    name: str, value: str, kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    request = _as_sent(name, value)[kind]
    for client in ("127.0.0.1", None, "203.0.113.7"):
        warn_of_plain_http(client, request)
    assert len(caplog.records) == 1
    assert "whose X-Forwarded-Proto or Forwarded says https" in caplog.text
    assert "ProxyFix" in caplog.text
    assert "SECURE_PROXY_SSL_HEADER" in caplog.text


@pytest.mark.parametrize("kind", range(3), ids=["asgi", "wsgi", "by name"])
@pytest.mark.parametrize(("name", "value"), NOT_HTTPS)
def test_a_header_that_does_not_name_https_is_not_logged(
    name: str, value: str, kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_plain_http("127.0.0.1", _as_sent(name, value)[kind])
    assert not caplog.records


@pytest.mark.parametrize("lines", [(b"http", b"https"), (b"https", b"http")])
def test_every_line_of_a_forwarded_header_counts(
    lines: tuple[bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_plain_http("127.0.0.1", [(b"X-Forwarded-Proto", line) for line in lines])
    assert len(caplog.records) == 1


@pytest.mark.parametrize("headers", [[], {}, {"HTTP_FORWARDED": None, "X-Forwarded-Proto": b"x"}])
def test_a_client_on_another_machine_is_logged_without_a_forwarded_header_too(
    headers: RequestHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_plain_http("127.0.0.1", headers)
    assert not caplog.records
    warn_of_plain_http("203.0.113.7", headers)
    assert "for a client on another machine" in caplog.text


@pytest.mark.parametrize("warn", [warn_of_shared_cookie, warn_of_several_cookies])
def test_a_cookie_name_with_several_owners_is_logged_once(
    warn: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("lembro", "lembro", "sid"):
        warn(name)
    assert [record.args for record in caplog.records] == [("lembro",), ("sid",)]
