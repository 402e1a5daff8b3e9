"""The middleware, and the signal that begins a response.

aiohttp calls the middleware around the handler, and the signal ``on_response_prepare`` before the
first byte. Most responses are committed by the middleware. A stream or a WebSocket begins inside
the handler, so the signal commits it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Final

from aiohttp import payload, web
from aiohttp.typedefs import Handler, Middleware

from ..._core.session import Session
from ..._core.state import OPEN, RESPONSE_BEGUN
from .._adapter import ANSWERED_ERRORS, Runner, error_response_for
from .exchange import (
    EXCLUDED,
    REQUEST_SESSION,
    Replacement,
    RequestSession,
    add_headers_again,
    commit,
    error_page,
    replace_session,
    replacement_in,
    report_late_changes,
    report_late_changes_after_task,
    roll_back,
)


class _Nothing:
    """An awaitable that does nothing, without a coroutine."""

    def __await__(self) -> Generator[Any, Any, None]:
        nothing: Any = iter(())
        return nothing  # type: ignore[no-any-return]


_NOTHING: Final = _Nothing()


# -- around the handler ----------------------------------------------------------------------------


def session_middleware(runner: Runner, exclude: tuple[str, ...]) -> Middleware:
    """Make the middleware that loads and commits the sessions of an application."""

    @web.middleware
    async def load_and_commit(request: web.Request, handler: Handler) -> web.StreamResponse:
        # get() takes 0.6 us for a missing key.
        outer = request.get(REQUEST_SESSION) if len(request) else None
        if outer is not None and runner.owns(outer.session_of(request), https=request.secure):
            return await handler(request)
        if exclude and request.path.startswith(exclude):
            request[EXCLUDED] = runner
            return await handler(request)
        request[REQUEST_SESSION] = current = RequestSession()
        current.runner = runner
        if outer is not None:
            current.outer = outer
        if runner.preloads:
            await runner.preload(current.session_of(request))
        try:
            response = await handler(request)
            if current.session is not None:
                await _returned(current, current.session, response)
        except web.HTTPException as raised:
            if not current.begun:
                await _raised(current, raised)
            raise
        except BaseException as error:
            if await _failed(current) and isinstance(error, ANSWERED_ERRORS):
                raise error_page(error_response_for(error)) from error
            raise
        finally:
            current.begun = True
            if outer is not None:
                request[REQUEST_SESSION] = outer
        return response

    return load_and_commit


async def _returned(
    current: RequestSession, session: Session, response: web.StreamResponse
) -> None:
    """Handle the response that the handler returned."""
    if session._phase is OPEN:
        current.begun = True
        await commit(session, response)
        current.headed = None if session._is_unused() else response
        if isinstance(getattr(response, "body", None), payload.Payload):
            # It is sent after this, and the code that makes it may change the session.
            report_late_changes_after_task(session)
    elif current.error_page is not None:  # the handler has caught it
        raise current.error_page
    else:
        report_late_changes(session)


async def _raised(current: RequestSession, raised: web.HTTPException) -> None:
    """Handle the response that the handler raised."""
    current.begun = True
    session = current.session
    if session is not None and session._phase is OPEN:
        await commit(session, raised)
        current.headed = None if session._is_unused() else raised


async def _failed(current: RequestSession) -> bool:
    """Handle an exception. Return whether another response can still be sent."""
    if current.begun:
        return False
    if current.session is not None:
        await roll_back(current.session)
    return True


# -- before the first byte -------------------------------------------------------------------------


def begin_response(request: web.Request, response: web.StreamResponse) -> Awaitable[None]:
    """Commit the session of a stream or WebSocket.

    If an outer middleware has replaced a committed response, add the session's headers to the new
    one.
    """
    try:
        current = request[REQUEST_SESSION]
    except KeyError:  # an excluded path, or the original of a request that a middleware has cloned
        return _NOTHING
    perhaps_replaced = current.may_be_replaced and len(request) > 1
    if current.session is None and current.outer is None and not perhaps_replaced:
        current.begun = True
        current.done = _is_http(response)
        return _NOTHING
    return _begin_with_sessions(request, response, current)


async def _begin_with_sessions(
    request: web.Request, response: web.StreamResponse, innermost: RequestSession
) -> None:
    current: RequestSession | None = innermost
    while current is not None:
        replacement = None if current.begun else replacement_in(request, current.runner)
        if replacement is not None and not replacement.was_changed:  # it is not stored
            replacement = None
        session = current.session if replacement is None else current.session_of(request)
        if session is None:
            current.done = _is_http(response)
        elif not current.done:
            if session._phase is OPEN:
                current.begun = True
                await _commit_stream(request, response, current, session, replacement)
            elif current.headed is not response:
                add_headers_again(session, response)
            current.done = True
            current.headed = None  # a response holds its request, which holds this
            if session._is_unused() and _is_http(response):
                session._too_late = RESPONSE_BEGUN
        current.begun = True
        current = current.outer


def _is_http(response: web.StreamResponse) -> bool:
    """Return whether this is an HTTP response, which a cache may keep, and not a WebSocket."""
    return response.status != 101


async def _commit_stream(
    request: web.Request,
    response: web.StreamResponse,
    current: RequestSession,
    session: Session,
    replacement: Replacement | None,
) -> None:
    try:
        if replacement is not None:
            replace_session(replacement, session)
        await commit(session, response)
    except web.HTTPException as page:
        # Nothing has been sent, so the writer can serve another response.
        current.error_page, current.done = page, True
        writer: Any = request.writer
        writer.chunked, writer.length, writer._compress = False, None, None
        response._payload_writer = None
        raise
