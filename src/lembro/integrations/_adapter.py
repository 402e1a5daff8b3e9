"""What those integrations share that a framework calls before and after the handler, instead of
letting them stand around it (Flask, aiohttp, Pyramid, Falcon, ...).

Before the handler ``begin``, or ``abegin``, which loads what a networked store holds. Once there is
a response ``commit``, or ``acommit``; if that returns an answer, it goes out in place of the
response, else the response gets what ``add_headers`` adds. When the last byte has gone out:
``session._manager.finish(session)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, Protocol, TypeVar, cast

from .._core.session import Session
from .._http.cookie import ABSENT, Presented
from .._http.error_response import COMMIT_ERRORS, HEADERS, ErrorResponse, error_response_for
from .._http.headers import RequestHeaders, caching_with_cookie, vary_with_cookie
from ..errors import ConfigError
from ..manager import SessionManager

TEXT: Final = {name.decode().title(): value.decode() for name, value in HEADERS}
"""The headers of an answer in place of a response."""

S = TypeVar("S", bound=Session)


class Headers(Protocol):
    """The headers of a framework's response."""

    def __setitem__(self, name: str, value: str, /) -> None:
        """Put this line in place of all of the name."""


def check_app(app: object, kind: type, framework: str, call: str = "Lembro") -> None:
    """Raise ConfigError unless ``app`` is an application: it is easily forgotten."""
    if not isinstance(app, kind):
        raise ConfigError(
            f"{app!r} is no {framework} application: that comes first, write {call}(app, sessions)"
        )


def begin(
    manager: SessionManager, cookies: str | None, *, https: bool, asynchronous: bool = False
) -> Session:
    """The session of a request with this Cookie header; it is read at the first look.
    ``asynchronous``: the handler runs in an event loop."""
    return Session(manager, read, (manager, cookies, https), None, asynchronous)


async def abegin(manager: SessionManager, cookies: str | None, *, https: bool) -> Session:
    """As ``begin``, for handlers in an event loop; over a networked store it is loaded."""
    session = begin(manager, cookies, https=https, asynchronous=True)
    if manager.preloads:
        await manager.apreload(session)
    return session


def as_kind(session: Session, kind: type[S]) -> S:
    """The session of whoever is around the application, who commits it, made one of this ``kind``
    too: it keeps the words that it has, and has no state of its own that would be missing."""
    has = type(session)
    if not issubclass(has, kind):
        session.__class__ = kind if issubclass(kind, has) else _both(kind, has)
    return cast("S", session)


@cache
def _both(kind: type[Session], has: type[Session]) -> type[Session]:
    return type(kind.__name__, (kind, has), {})


def read(source: tuple[SessionManager, str | None, bool]) -> Presented:
    """How the session of ``begin`` reads its cookie."""
    manager, cookies, https = source
    if not cookies:
        return ABSENT
    return manager.cookie.read([cookies.encode("utf-8", "replace")], https=https)


def commit(session: Session, status: int) -> ErrorResponse | None:
    """The response begins, with this status: an answer in place of it if the session could not be
    stored, None if all is well."""
    try:
        session._manager.commit(session, failed=status >= 500)
    except COMMIT_ERRORS as error:
        session._nested_possible = False  # what is lost has been said
        return error_response_for(error)
    return None


async def acommit(session: Session, status: int) -> ErrorResponse | None:
    """As ``commit``."""
    try:
        await session._manager.acommit(session, failed=status >= 500)
    except COMMIT_ERRORS as error:
        session._nested_possible = False  # what is lost has been said
        return error_response_for(error)
    return None


def add_headers(
    session: Session,
    headers: Headers,
    lines_of: Callable[[str], list[str]],
    *,
    https: bool,
    client: str | None,
    request: RequestHeaders | None = None,
) -> Sequence[str]:
    """Add to the headers of a response what a committed session adds: nothing, unless it was looked
    at. Returns the Set-Cookie lines that are to be added as well.

    ``lines_of``: all lines that the response has of a header; ``client``: the address that the
    request came from; ``request``: its headers.
    """
    if session._is_unused():
        return ()
    vary = vary_with_cookie(lines_of("Vary"))
    if vary is not None:
        headers["Vary"] = vary
    cookie = session._manager.set_cookie(session, client, request, https=https)
    if cookie is None:
        return ()
    caching = caching_with_cookie(lines_of("Cache-Control"))
    if caching is not None:
        headers["Cache-Control"] = caching
    old = session._manager.cleared_legacy_cookies(session, https=https)
    return [line.decode("ascii") for line in (cookie, *old)]
