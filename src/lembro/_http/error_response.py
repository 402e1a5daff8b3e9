"""The response that replaces the application's when its session fails, and its log message."""

from __future__ import annotations

from typing import Final, NamedTuple

from .._log import log
from ..errors import (
    LONGEST_REASON,
    CodecError,
    LoginRequired,
    SessionTooLarge,
    StoreError,
    TooManySessions,
    printable,
)


class ErrorResponse(NamedTuple):
    """A plain-text response without a cookie."""

    status: int
    phrase: str
    body: bytes
    close_code: int
    """The code that closes a WebSocket instead (RFC 6455, 7.4.1)."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, except Content-Length."""
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"vary", b"Cookie"),
        ]
        if self.status == 401:  # RFC 9110, 15.5.2: a 401 names a way to authenticate
            headers.append((b"www-authenticate", b"Cookie"))
        if self.status == 503:  # RFC 9110, 10.2.3: the breaker of a store tries again in a second
            headers.append((b"retry-after", b"1"))
        return headers

    @property
    def text_headers(self) -> dict[str, str]:
        """The headers by their names, in the form that most frameworks need."""
        return {name.decode().title(): value.decode() for name, value in self.headers}


_UNAVAILABLE: Final = ErrorResponse(
    503,
    "Service Unavailable",
    b"The session store is not available. Try again in a moment.\n",
    1013,
)
_FAILED: Final = ErrorResponse(
    500, "Internal Server Error", b"The session could not be stored.\n", 1011
)
_TOO_MANY: Final = ErrorResponse(
    403, "Forbidden", b"Too many sessions: log out on another device first.\n", 1011
)
_LOGIN_REQUIRED: Final = ErrorResponse(401, "Unauthorized", b"Log in first.\n", 1008)

COMMIT_ERRORS: Final = (StoreError, SessionTooLarge, CodecError, TooManySessions)
"""The errors of a commit that become a response instead of an exception."""

ANSWERED_ERRORS: Final = (StoreError, LoginRequired)
"""The errors of a handler that become a response: a 503 and a 401."""


def error_response_for(error: BaseException) -> ErrorResponse:
    """Choose the response for an error, and log the error."""
    if isinstance(error, LoginRequired):
        return _LOGIN_REQUIRED
    if isinstance(error, TooManySessions):
        return _TOO_MANY
    if isinstance(error, StoreError):
        log.error("lembro: the session store failed: %s", printable(str(error), LONGEST_REASON))
        return _UNAVAILABLE
    log.error("lembro: the session could not be stored: %s", printable(str(error), LONGEST_REASON))
    return _FAILED
