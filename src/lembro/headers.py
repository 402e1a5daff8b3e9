"""What a session adds to the headers of a response."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from .logs import log

Headers = list[tuple[bytes, bytes]]

_PRIVATE: Final = b"private, no-store"
_said: set[bytes] = set()


def with_session(headers: Iterable[tuple[bytes, bytes]], cookie: bytes | None) -> Headers:
    """The headers of a response that looked at the session, and sets ``cookie`` if there is one.

    ``Vary: Cookie`` keeps caches from serving it to somebody else; one that sets a cookie is not
    to be kept at all (CVE-2023-30861).
    """
    result = list(headers)
    _vary(result)
    if cookie is not None:
        _forbid_storing(result)
        result.append((b"set-cookie", cookie))
    return result


def _tokens(value: bytes) -> set[bytes]:
    return {token.strip().lower() for token in value.split(b",")}


def _vary(headers: Headers) -> None:
    at = None
    for i, (name, value) in enumerate(headers):
        if len(name) == 4 and name.lower() == b"vary":  # the length first: 0.1 us a response
            if not _tokens(value).isdisjoint((b"cookie", b"*")):
                return
            at = i
    if at is None:
        headers.append((b"vary", b"Cookie"))
    else:
        name, value = headers[at]
        headers[at] = (name, value + b", Cookie" if value.strip() else b"Cookie")


def _forbid_storing(headers: Headers) -> None:
    given = [value for name, value in headers if name.lower() == b"cache-control"]
    tokens = set().union(*map(_tokens, given))
    if not tokens.isdisjoint((b"private", b"no-store")) and b"public" not in tokens:
        return
    headers[:] = [header for header in headers if header[0].lower() != b"cache-control"]
    headers.append((b"cache-control", _PRIVATE))
    joined = b", ".join(given)
    if given and joined not in _said and len(_said) < 100:
        _said.add(joined)
        log.warning(
            "a response that sets the session cookie said Cache-Control: %s; it was replaced by "
            "%s, so that no cache hands the cookie to somebody else",
            joined.decode("latin-1"),
            _PRIVATE.decode(),
        )


def warn_of_plain_http(client: str | None) -> None:
    """Say once that a session went over plain http to somewhere beyond this machine."""
    if client is None or b"http" in _said:
        return
    try:
        if ipaddress.ip_address(client).is_loopback:
            return
    except ValueError:  # a test client, a socket in the file system
        return
    _said.add(b"http")
    log.warning(
        "a session cookie was set over plain http for a client that is not on this machine, so it "
        "has no Secure and anyone on the way can read it. The likely reason is a proxy that ends "
        "TLS and whose X-Forwarded-Proto the server does not trust: tell the server to (uvicorn: "
        "--proxy-headers --forwarded-allow-ips), or write CookieOptions(secure=True)"
    )


def warn_of_shared_cookie(name: str) -> None:
    """Say once that two middlewares, one within the other, set one cookie."""
    said = b"shared " + name.encode()
    if said in _said:
        return
    _said.add(said)
    log.warning(
        "two session middlewares, one within the other, have sessions of their own and both set "
        "the cookie %r: each will take it from the other. Give both the same SessionManager (then "
        "they share the session), or one of them a cookie name of its own",
        name,
    )
