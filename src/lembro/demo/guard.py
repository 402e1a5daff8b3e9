"""A middleware that refuses requests from other sites, before the session is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class Guard:
    """Refuses requests of other sites' pages, and sets security headers (CSP and others).

    The header ``X-Worker`` is the ID of the process, for the page.

    Args:
        app: The application.
        names: Names of this machine, in addition to localhost.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self.app: Final = app
        self.names: Final = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers["X-Worker"] = str(os.getpid())
            await send(message)

        asked = Headers(scope=scope)
        if not is_ours(asked.get("host"), self.names):
            refusal = PlainTextResponse(
                "The demo does not accept this host name. Open it as localhost, or by its address.",
                status_code=403,
            )
            await refusal(scope, receive, send_with_headers)
        elif scope["method"] in SAFE_METHODS or is_same_origin(asked):
            await self.app(scope, receive, send_with_headers)
        else:
            refusal = PlainTextResponse("This request comes from another site.", status_code=403)
            await refusal(scope, receive, send_with_headers)


def is_ours(host: str | None, names: frozenset[str]) -> bool:
    """Return whether a Host is this machine: localhost, an address, or one of the names.

    Another site can point its own name to this machine, and its page would then have the demo's
    origin (DNS rebinding). An address cannot be misused in this way.
    """
    if host is None:  # a browser always sends it
        return True
    name, _, end = host.lower().rpartition(":")
    if not name or "]" in end or not end.isdecimal():
        name = host.lower()
    name = name.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_same_origin(headers: Headers) -> bool:
    """Return whether a request comes from our own page, or from no page.

    Browsers send ``Sec-Fetch-Site``, or (over plain http to another machine) ``Origin``. A client
    that sends neither is not a browser, so no other site controls its cookies.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")
