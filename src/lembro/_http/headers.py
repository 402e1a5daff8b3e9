"""Request headers that a session reads, and response headers that it adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from .._log import log
from ..errors import printable

Headers = list[tuple[bytes, bytes]]
RequestHeaders = Mapping[str, Any] | Iterable[tuple[bytes, bytes]]
"""The headers of a request: a WSGI environ, a mapping by their names, or ASGI's pairs."""

_VARY: Final = (b"vary", b"Cookie")
_PRIVATE: Final = "private, no-store"
_CACHING: Final = (
    "Cache-Control",
    "CDN-Cache-Control",  # RFC 9213: for a CDN it replaces Cache-Control, as those below do
    "Cloudflare-CDN-Cache-Control",
    "Netlify-CDN-Cache-Control",
    "Vercel-CDN-Cache-Control",
    "Surrogate-Control",
)
_RAW: Final = {name: name.lower().encode() for name in _CACHING}
_TRUST: Final = (
    "configure the server to trust it (uvicorn: --proxy-headers --forwarded-allow-ips; gunicorn: "
    "--forwarded-allow-ips; waitress: trusted_proxy, trusted_proxy_headers; Flask and others over "
    "WSGI: werkzeug's ProxyFix; Django: SECURE_PROXY_SSL_HEADER; Tornado: xheaders=True), or write "
    "CookieOptions(secure=True)"
)
_warned: set[bytes] = set()


def with_session(headers: Iterable[tuple[bytes, bytes]], cookies: Sequence[bytes]) -> Headers:
    """Add the headers of an accessed session to those of a response.

    ``Vary: Cookie`` keeps caches from serving the response to another visitor. A response that sets
    a cookie must not be cached at all (CVE-2023-30861).
    """
    result = list(headers)
    for header in result:
        name = header[0]
        if len(name) == 4 and name.lower() == b"vary":  # the length check saves 0.1 us
            _vary(result)
            break
    else:
        result.append(_VARY)
    if cookies:
        _forbid_storing(result)
        result += [(b"set-cookie", cookie) for cookie in cookies]
    return result


def vary_with_cookie(given: list[str]) -> str | None:
    """Return the value of ``Vary`` with ``Cookie`` added; None if the lines have it already."""
    if not given:
        return "Cookie"
    value = ", ".join(line for line in given if line.strip())
    if not _tokens(value).isdisjoint(("cookie", "*")):
        return None
    return value + ", Cookie" if value else "Cookie"


def caching_with_cookie(lines: Callable[[str], list[str]]) -> Iterator[tuple[str, str]]:
    """Yield the headers to replace in a response that sets the cookie, so that no cache stores it.

    Args:
        lines: Returns all lines of a header.
    """
    for name in _CACHING:
        given = lines(name)
        if given or name == "Cache-Control":
            value = _caching(name, given)
            if value is not None:
                yield name, value


def _caching(name: str, given: list[str]) -> str | None:
    """Return another value for a header; None to keep it. A replaced value is logged once."""
    value = ", ".join(given)
    tokens = _tokens(value)
    if not tokens.isdisjoint(("private", "no-store")) and "public" not in tokens:
        return None
    if given and value.encode("latin-1", "replace") not in _warned and len(_warned) < 100:
        _warned.add(value.encode("latin-1", "replace"))
        log.warning(
            "lembro: a response that sets the session cookie had %s: %s. lembro "
            "replaced it with %s, so that no cache serves the cookie to another visitor",
            name,
            printable(value),
            _PRIVATE,
        )
    return _PRIVATE


def _tokens(value: str) -> set[str]:
    return {token.strip().lower() for token in value.split(",")}


def _vary(headers: Headers) -> None:
    value = vary_with_cookie(_values(headers, b"vary"))
    if value is not None:
        _remove(headers, b"vary")
        headers.append((b"vary", value.encode("latin-1")))


def _forbid_storing(headers: Headers) -> None:
    present = {name.lower() for name, _ in headers}  # searching for each header would take 9 us

    def lines(name: str) -> list[str]:
        return _values(headers, _RAW[name]) if _RAW[name] in present else []

    for name, value in caching_with_cookie(lines):
        if _RAW[name] in present:
            _remove(headers, _RAW[name])
        headers.append((_RAW[name], value.encode()))


def _values(headers: Headers, name: bytes) -> list[str]:
    return [v.decode("latin-1") for n, v in headers if n.lower() == name]


def _remove(headers: Headers, name: bytes) -> None:
    headers[:] = [header for header in headers if header[0].lower() != name]


def warn_of_plain_http(client: str | None, request: RequestHeaders | None = None) -> None:
    """Warn once if the cookie is sent over plain http and that is probably a mistake.

    It probably is if a proxy received the request over https, or if the client is on another
    machine.
    """
    if b"http" in _warned:
        return
    if request is not None and _came_by_https(request):
        _warned.add(b"http")
        log.warning(
            "lembro: a session cookie was set over plain http for a request whose "
            "X-Forwarded-Proto or Forwarded says https, so the cookie has no Secure. The likely "
            "reason is a proxy that terminates TLS and that the server does not trust: %s",
            _TRUST,
        )
    elif client is not None and _is_elsewhere(client):
        _warned.add(b"http")
        log.warning(
            "lembro: a session cookie was set over plain http for a client on another machine, so "
            "the cookie has no Secure, and anyone on the network path can read it. The likely "
            "reason is a proxy that terminates TLS and whose X-Forwarded-Proto the server does not "
            "trust: %s",
            _TRUST,
        )


def _is_elsewhere(client: str) -> bool:
    import ipaddress  # noqa: PLC0415 - only https decides this without it

    try:
        return not ipaddress.ip_address(client).is_loopback
    except ValueError:  # a test client, or a socket in the file system
        return False


def _came_by_https(request: RequestHeaders) -> bool:
    """Return whether the headers claim that a proxy received the request over https.

    Any client can send them, so they decide about a warning only, never about the scheme.
    """
    schemes = header_of(request, "X-Forwarded-Proto").split(",")
    for part in header_of(request, "Forwarded").replace(",", ";").split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "proto":
            schemes.append(value.strip().strip('"'))
    return any(scheme.strip().lower() in ("https", "wss") for scheme in schemes)


def header_of(request: RequestHeaders, name: str) -> str:
    """Return the value of a request header; several are joined by commas."""
    if isinstance(request, Mapping):
        named: Mapping[Any, Any] = request
        value = named.get(name) or named.get(f"HTTP_{name.upper().replace('-', '_')}")
        return value if isinstance(value, str) else ""
    wanted = name.lower().encode()
    return ",".join(value.decode("latin-1") for key, value in request if key.lower() == wanted)


def warn_of_shared_cookie(name: str) -> None:
    """Warn once that two managers of this process set the same cookie."""
    warning = b"shared " + name.encode()
    if warning in _warned:
        return
    _warned.add(warning)
    log.warning(
        "lembro: two session managers both set the cookie %r, so each overwrites the other's. Give "
        "both applications or middlewares the same SessionManager, so that they share the session, "
        "or give one of them another cookie name",
        name,
    )


def warn_of_several_cookies(name: str) -> None:
    """Warn once that a browser sends several session cookies, so that none of them is used."""
    warning = b"several " + name.encode()
    if warning in _warned:
        return
    _warned.add(warning)
    log.warning(
        "lembro: a browser sent several session cookies %r that belong to different sessions, or "
        "too many of them, so none is used. If another application on this host or a sibling "
        "domain sets one of them, give one of the applications another cookie name. If this "
        "application has set its cookie with another domain or path before, name these: "
        "CookieOptions(previous=[CookieOptions(...)])",
        name,
    )
