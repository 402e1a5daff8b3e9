"""The responses that replace the application's: one for each error."""

from __future__ import annotations

import pytest

from lembro import (
    CodecError,
    LoginRequired,
    SessionTooLarge,
    StoreError,
    TooManySessions,
)
from lembro._http.error_response import (
    ANSWERED_ERRORS,
    COMMIT_ERRORS,
    ErrorResponse,
    error_response_for,
)

_PLAIN = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
    "Vary": "Cookie",
}


@pytest.mark.parametrize(
    ("error", "status", "phrase", "close_code", "logged"),
    [
        (StoreError("down"), 503, "Service Unavailable", 1013, "the session store failed: down"),
        (
            SessionTooLarge(3, 2),
            500,
            "Internal Server Error",
            1011,
            "the session could not be stored: the session must take at most 2 bytes, got 3",
        ),
        (CodecError("bad"), 500, "Internal Server Error", 1011, "could not be stored: bad"),
        (TooManySessions("two"), 403, "Forbidden", 1011, ""),
        (LoginRequired("who?"), 401, "Unauthorized", 1008, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_response(
    error: Exception,
    status: int,
    phrase: str,
    close_code: int,
    logged: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = error_response_for(error)
    assert (response.status, response.phrase, response.close_code) == (status, phrase, close_code)
    assert logged in caplog.text
    assert bool(caplog.text) == bool(logged)


def test_no_error_response_is_cached_and_each_status_has_its_header() -> None:
    assert error_response_for(TooManySessions("two")).text_headers == _PLAIN
    unavailable = error_response_for(StoreError("down"))
    assert unavailable.text_headers == {**_PLAIN, "Retry-After": "1"}
    required = error_response_for(LoginRequired("who?"))
    assert required.text_headers == {**_PLAIN, "Www-Authenticate": "Cookie"}
    assert (b"vary", b"Cookie") in required.headers


def test_the_body_says_what_to_do_and_hides_the_error() -> None:
    bodies = {
        error_response_for(error).body
        for error in (StoreError("s3cret"), TooManySessions("s3cret"), LoginRequired("s3cret"))
    }
    assert bodies == {
        b"The session store is not available. Try again in a moment.\n",
        b"Too many sessions: log out on another device first.\n",
        b"Log in first.\n",
    }
    assert error_response_for(CodecError("s3cret")).body == b"The session could not be stored.\n"


def test_only_known_errors_become_responses() -> None:
    assert set(COMMIT_ERRORS) == {StoreError, SessionTooLarge, CodecError, TooManySessions}
    assert set(ANSWERED_ERRORS) == {StoreError, LoginRequired}
    assert isinstance(error_response_for(StoreError()), ErrorResponse)
