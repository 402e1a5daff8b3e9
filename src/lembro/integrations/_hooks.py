"""What those integrations share that a framework calls before and after the handler, instead of
letting them stand around it (Flask, aiohttp, Pyramid, Falcon, ...).

Before the handler ``begin``, or ``abegin``, which loads what a networked store holds. Once there is
a response ``commit``, or ``acommit``; if that returns an answer, it goes out in place of the
response, else the response gets what ``additions`` says. When the last byte has gone out:
``session._manager.finish(session)``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

from ..answers import FAILURES, Answer, answer_to
from ..cookie import ABSENT, Presented
from ..headers import caching_with_cookie, vary_with_cookie
from ..manager import SessionManager
from ..session import Session

S = TypeVar("S", bound=Session)


class Additions(NamedTuple):
    """Headers of a response; None: as it is."""

    vary: str | None = None
    """In place of what it has."""
    cache_control: str | None = None
    """In place of what it has."""
    set_cookie: str | None = None
    """One more of the name."""


NOTHING = Additions()


def begin(
    manager: SessionManager, cookies: str | None, *, https: bool, asynchronous: bool = False
) -> Session:
    """The session of a request with this Cookie header; it is read at the first look.
    ``asynchronous``: the handler runs in an event loop."""
    return Session(manager, _read, (manager, cookies, https), None, asynchronous)


async def abegin(manager: SessionManager, cookies: str | None, *, https: bool) -> Session:
    """As ``begin``, for handlers in an event loop; over a networked store it is loaded."""
    session = begin(manager, cookies, https=https, asynchronous=True)
    if not manager.in_process:
        await manager.aload_for(session)
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


def _read(source: tuple[SessionManager, str | None, bool]) -> Presented:
    manager, cookies, https = source
    if not cookies:
        return ABSENT
    return manager.cookie.read([cookies.encode("utf-8", "replace")], https=https)


def commit(session: Session, status: int) -> Answer | None:
    """The response begins, with this status: an answer in place of it if the session could not be
    stored, None if all is well."""
    try:
        session._manager.commit(session, failed=status >= 500)
    except FAILURES as error:
        return answer_to(error)
    return None


async def acommit(session: Session, status: int) -> Answer | None:
    """As ``commit``."""
    try:
        await session._manager.acommit(session, failed=status >= 500)
    except FAILURES as error:
        return answer_to(error)
    return None


def additions(
    session: Session,
    *,
    https: bool,
    client: str | None,
    vary: list[str],
    cache_control: list[str],
) -> Additions:
    """What a committed session adds to the headers of its response: nothing, unless it was looked
    at. ``client``: the address that the request came from; ``vary``, ``cache_control``: what the
    response has of these."""
    if session._untouched():
        return NOTHING
    cookie: Any = session._manager.set_cookie(session, client, https=https)
    if cookie is None:
        return Additions(vary_with_cookie(vary))
    return Additions(
        vary_with_cookie(vary), caching_with_cookie(cache_control), cookie.decode("ascii")
    )
