"""What the middleware answers when the commit fails, and what the log says."""

from __future__ import annotations

from typing import Final, NamedTuple

from .._log import log
from ..errors import CodecError, LembroError, SessionTooLarge, StoreError, TooManySessions


class ErrorResponse(NamedTuple):
    """A response of the middleware's own, without a cookie."""

    status: int
    phrase: str
    body: bytes


_TEXT: Final = {
    503: ("Service Unavailable", b"The session could not be stored. Try again in a moment.\n"),
    500: ("Internal Server Error", b"The session could not be stored.\n"),
    403: ("Forbidden", b"Too many sessions: log out on another device first.\n"),
}

HEADERS: Final = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Cookie"),
)

COMMIT_ERRORS: Final = (StoreError, SessionTooLarge, CodecError, TooManySessions)
"""What a commit raises for reasons that are not a fault of lembro's."""


def error_response_for(error: LembroError) -> ErrorResponse:
    """The response in place of the application's, whose changes could not be stored."""
    if isinstance(error, TooManySessions):
        status = 403
    elif isinstance(error, StoreError):
        status = 503
        log.error("the session store failed: %s", str(error))
    else:
        status = 500
        log.error("the session could not be stored: %s", str(error))
    phrase, body = _TEXT[status]
    return ErrorResponse(status, phrase, body)
