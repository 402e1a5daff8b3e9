"""FastAPI: the session, its user, and typed parts of it, as dependencies."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, Final, TypeVar

from .. import asgi
from .._core import typed
from .._core.session import Session
from .._log import log
from ..errors import LoginRequired
from ..options import CookieOptions

try:
    from fastapi import Depends, HTTPException
    from fastapi.openapi.models import APIKey
    from fastapi.security.base import SecurityBase
    from starlette.requests import HTTPConnection

    from . import starlette
    from .starlette import session_of
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.fastapi needs FastAPI: pip install 'lembro[fastapi]'"
    ) from _missing

__all__ = [
    "SessionData",
    "SessionDep",
    "SessionMiddleware",
    "UserDep",
    "current_session",
    "current_user",
    "get_session",
]

T = TypeVar("T")

_around: Final[ContextVar[starlette.SessionMiddleware]] = ContextVar("lembro_around")


class SessionMiddleware(starlette.SessionMiddleware):
    """``app.add_middleware(SessionMiddleware, sessions)``: takes what that of
    ``lembro.integrations.starlette`` takes."""

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        _around.set(self)  # whose cookie /openapi.json names
        await super().__call__(scope, receive, send)


def get_session(connection: HTTPConnection) -> Session:
    """The session of a request or WebSocket, typed; as a dependency: ``SessionDep``.

    Raises ConfigError where there is none.
    """
    return session_of(connection, __name__)


class _CurrentSession(SecurityBase):
    """The session, as a security scheme: OpenAPI says by which cookie a client has it."""

    scheme_name = "session"
    __globals__: dict[str, Any] = globals()  # where older FastAPIs look up what is annotated below

    @property
    def model(self) -> APIKey:  # type: ignore[override]
        """Made when OpenAPI is, since it is the application's middleware that names the cookie."""
        around = _around.get(None)
        cookie = CookieOptions() if around is None else around.manager.options.cookie
        name, plain = (cookie.name_over(https=https) for https in (True, False))
        only = "" if name == plain else f" Over plain http its name is {plain}."
        described = f"Set by the server; the browser sends it by itself.{only}"
        return APIKey.model_validate({"in": "cookie", "name": name, "description": described})

    async def __call__(self, connection: HTTPConnection) -> Session:
        return get_session(connection)


current_session: Final = _CurrentSession()
"""What ``SessionDep`` depends on; for ``app.dependency_overrides``. A coroutine function: FastAPI
calls a plain one in a thread, which takes ten times as long as all that a session does."""

SessionDep = Annotated[Session, Depends(current_session)]
"""``def page(session: SessionDep)``, for HTTP and WebSocket endpoints alike."""


class _NotLoggedIn(LoginRequired, HTTPException):
    """A 401, unless the application answers ``LoginRequired`` itself."""

    def __init__(self) -> None:
        HTTPException.__init__(self, 401, "Not logged in", {"WWW-Authenticate": "Cookie"})


async def current_user(session: SessionDep) -> str:
    """What ``UserDep`` depends on."""
    if session.user is None:
        raise _NotLoggedIn
    return session.user


UserDep = Annotated[str, Depends(current_user)]
"""``def page(user: UserDep)``: who is logged in. Nobody is: the answer is 401, or what the handler
for ``LoginRequired`` makes of it (``@app.exception_handler(LoginRequired)``)."""


def SessionData(  # noqa: N802 - named as what it stands for in a signature
    key: str,
    kind: type[T],
    *,
    default: Callable[[], T] | None = None,
    upgrade: Callable[[Any], T] | None = None,
) -> Any:
    """A typed part of the session: ``CartDep = Annotated[Cart, SessionData("cart", Cart)]``.

    ``kind`` is a pydantic model, a dataclass, a msgspec Struct, a TypedDict, or a list of such.
    What is stored under ``key`` is checked when it is loaded; the object is stored when the
    response begins, if it has changed. Without a stored one it is ``default()``, else ``kind()``.

    If what is stored no longer fits (an older version of the application has stored it), the object
    is ``upgrade(what_is_stored)``; ``upgrade=lambda old: Cart()`` begins anew. Without ``upgrade``,
    or if it raises ValueError, the answer is 409, the log says what does not fit, and what is
    stored stays. Raises ConfigError.
    """
    load, dump = typed.converters(key, kind)
    loaded = typed.loader(key, kind, default, upgrade, load=load)

    def answered(value: Any) -> T:
        try:
            return loaded(value)
        except typed.Misfit as misfit:
            raise _conflict(key, misfit) from None

    async def part(session: SessionDep) -> T:
        return session._view(key, answered, dump)

    return Depends(part)


def _conflict(key: str, misfit: typed.Misfit) -> HTTPException:
    """Log for the developer what does not fit, and return the answer to the client, a 409."""
    log.warning("%s; the answer is 409", misfit)
    return HTTPException(
        409,
        f"This session holds a {key!r} from another version of this application, which it cannot "
        f"use. A new session begins once this one is ended: log out, or delete the cookie.",
    )
