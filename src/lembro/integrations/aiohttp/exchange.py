"""One request of aiohttp, its session and its response."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Never

from aiohttp import hdrs, web
from multidict import CIMultiDict

from ..._core.session import Session
from ..._core.state import COMMITTED, RESPONSE_BEGUN
from ..._http.error_response import COMMIT_ERRORS
from .._adapter import (
    ErrorResponse,
    Exchange,
    RequestHeaders,
    Runner,
    add_headers,
    arespond,
    encoded,
    error_response_for,
)

_NO_LINES: Final[list[str]] = []
_AIOHTTP_SESSION: Final = "aiohttp_session"  # aiohttp-session's key of a request's session


# -- the exchange ----------------------------------------------------------------------------------


class AiohttpExchange(Exchange):
    """One request of aiohttp. It keeps the parts that a session needs, not the request itself.

    It refers to its session only during the commit, so that all are freed with the request.
    """

    __slots__ = ("_client", "_headers", "_https", "_path")

    def __init__(self, runner: Runner, request: web.BaseRequest) -> None:
        self.runner = runner
        self.session: Session | None = None
        self._headers = request.headers
        self._https = request.secure
        self._client = request.remote
        self._path = request.path

    def cookie_headers(self) -> list[bytes]:
        """Return the Cookie headers of the request."""
        return encoded("; ".join(self._headers.getall(hdrs.COOKIE, _NO_LINES)))

    def https(self) -> bool:
        """Return whether the request came over https."""
        return self._https

    def path(self) -> str:
        """Return the path of the request."""
        return self._path

    def client(self) -> str | None:
        """Return the address that the request came from, if it is known."""
        return self._client

    def headers(self) -> RequestHeaders:
        """Return the headers of the request."""
        return self._headers

    def begin_without_session(self) -> None:
        """Do nothing: the signal that begins the response adds the headers of a late access."""


class RequestSession:
    """The session of one request and one manager, made at the first access.

    The clones of a request share it.
    """

    may_be_replaced = False
    """Whether this process has a ``LembroStorage``, whose new sessions may replace a request's."""

    runner: Runner
    outer: RequestSession | None = None  # of an outer application with another manager
    session: Session | None = None
    begun = False  # the response has left the middleware, or its first byte was sent
    headed: object = None  # the response that has the session's headers
    error_page: web.HTTPException | None = None  # the response that replaces a stream
    done = False  # the response has begun with all its headers

    def session_of(self, request: web.Request) -> Session:
        """Return the session of the request."""
        session = self.session
        if session is None:
            session = self.session = Session(AiohttpExchange(self.runner, request))
            if self.begun:
                session._phase = COMMITTED
                if self.done:
                    session._too_late = RESPONSE_BEGUN
                report_late_changes_after_task(session)
        return session


class Replacement:
    """A session that the application has made, to replace the request's."""

    was_changed: bool
    """Whether the application has written to it."""

    def replaces_session_of(self, runner: Runner) -> bool:
        """Return whether it replaces the session of this runner."""
        raise NotImplementedError

    def move_into(self, session: Session) -> None:
        """End the session of the request, and write the data into its successor."""
        raise NotImplementedError


REQUEST_SESSION: Final = web.RequestKey("lembro.session", RequestSession)
EXCLUDED: Final = web.RequestKey("lembro.excluded", Runner)
"""The runner whose ``exclude=`` names the path of the request."""


# -- the response ----------------------------------------------------------------------------------


class AiohttpResponse:
    """A response of aiohttp.

    If a handler has returned something else, aiohttp answers 500, without these headers.
    """

    __slots__ = ("_headers", "_response")

    def __init__(self, response: object) -> None:
        self._response = response
        self._headers: CIMultiDict[str] = (
            response.headers if isinstance(response, web.StreamResponse) else CIMultiDict()
        )

    def status(self) -> int:
        """Return the status code."""
        return getattr(self._response, "status", 500)

    def lines(self, name: str) -> list[str]:
        """Return all lines of a header."""
        return self._headers.getall(name, _NO_LINES)

    def set(self, name: str, value: str) -> None:
        """Replace all lines of a header with one."""
        self._headers[name] = value

    def add(self, name: str, value: str) -> None:
        """Add a line of a header."""
        self._headers.add(name, value)

    def replace(self, error: ErrorResponse) -> Never:
        """Raise the response that is sent instead."""
        raise error_page(error)


_ERROR_PAGES: Final[dict[int, type[web.HTTPException]]] = {
    401: web.HTTPUnauthorized,
    403: web.HTTPForbidden,
    500: web.HTTPInternalServerError,
    503: web.HTTPServiceUnavailable,
}


def error_page(error: ErrorResponse) -> web.HTTPException:
    """Make aiohttp's exception for an error response. A middleware may replace it with a page."""
    headers = {**error.text_headers}
    del headers[hdrs.CONTENT_TYPE]  # it follows from the text
    return _ERROR_PAGES[error.status](text=error.body.decode(), headers=headers)


async def commit(session: Session, response: object) -> None:
    """Commit a session before the response, and add its headers.

    Raises:
        web.HTTPException: the response to send instead, if the session could not be stored.
    """
    exchange: AiohttpExchange = session._transport  # type: ignore[assignment]
    exchange.session = session
    try:
        await arespond(exchange, AiohttpResponse(response))
    except web.HTTPException:
        session._cookie = None  # an earlier save() may have set one
        raise
    finally:
        exchange.close()


async def roll_back(session: Session) -> None:
    """Commit a session whose handler failed: changes are dropped, a logout takes effect."""
    exchange: AiohttpExchange = session._transport  # type: ignore[assignment]
    exchange.session = session
    try:
        await exchange.acommit(500)
    finally:
        exchange.close()


def add_headers_again(session: Session, response: web.StreamResponse) -> None:
    """Add the headers of a committed session to the response that is sent in the end."""
    exchange: AiohttpExchange = session._transport  # type: ignore[assignment]
    exchange.session = session
    add_headers(exchange, AiohttpResponse(response))
    exchange.close()


def replacement_in(request: web.Request, runner: Runner) -> Replacement | None:
    """Return the session from ``new_session()`` of aiohttp-session, if it replaces this one."""
    made = request.get(_AIOHTTP_SESSION)
    if isinstance(made, Replacement) and made.replaces_session_of(runner):
        return made
    return None


def replace_session(replacement: Replacement, session: Session) -> None:
    """Move a replacement into the session of the request.

    Raises:
        web.HTTPException: the response to send instead, if that cannot be stored.
    """
    try:
        replacement.move_into(session)
    except COMMIT_ERRORS as error:
        raise error_page(error_response_for(error)) from error


def report_late_changes(session: Session) -> None:
    """Report changes that were made after the response had begun."""
    session._transport.runner.report_late_changes(session)


def report_late_changes_after_task(session: Session) -> None:
    """Report late changes when the task that serves the request has ended."""
    with suppress(RuntimeError):  # a worker thread has no task
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(lambda _: report_late_changes(session))
