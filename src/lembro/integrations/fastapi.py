"""FastAPI: the session, its user, and typed parts of it, as dependencies."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, Final, TypeVar, overload

from .. import asgi
from .._core import typed
from .._core.session import Session
from .._log import log
from ..errors import ConfigError, LoginRequired
from ..options import CookieOptions

try:
    from fastapi import Depends, HTTPException
    from fastapi.openapi.models import APIKey
    from fastapi.security.base import SecurityBase
    from starlette.requests import HTTPConnection

    from . import starlette
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.fastapi needs FastAPI: pip install 'lembro[fastapi]'"
    ) from _missing

__all__ = [
    "SessionData",
    "SessionMiddleware",
    "UserDep",
    "WebSessionDep",
    "current_session",
    "current_user",
    "get_session",
]

T = TypeVar("T")

_serving: Final[ContextVar[starlette.SessionMiddleware]] = ContextVar("lembro_serving")


class SessionMiddleware(starlette.SessionMiddleware):
    """Add sessions to an application: ``app.add_middleware(SessionMiddleware)``.

    It takes the arguments of :class:`lembro.integrations.starlette.SessionMiddleware`.
    """

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection of the ASGI server."""
        _serving.set(self)  # whose cookie /openapi.json names
        await super().__call__(scope, receive, send)


def get_session(connection: HTTPConnection) -> Session:
    """Return the session of a request or WebSocket, typed. As a dependency: ``WebSessionDep``.

    Raises:
        ConfigError: the connection has no session.
    """
    return starlette.session_of(connection, f"app.add_middleware({__name__}.SessionMiddleware)")


class _CurrentSession(SecurityBase):
    """The session as a security scheme, so that OpenAPI names the cookie."""

    scheme_name = "session"
    __globals__: dict[str, Any] = globals()  # where older FastAPIs look up the annotations below

    @property
    def model(self) -> APIKey:  # type: ignore[override]
        """The cookie of the application's middleware, when OpenAPI asks for it."""
        serving = _serving.get(None)
        cookie = CookieOptions() if serving is None else serving.manager.options.cookie
        name, plain = (cookie.name_over(https=https) for https in (True, False))
        only = "" if name == plain else f" Over plain http its name is {plain}."
        description = f"Set by the server; the browser sends it automatically.{only}"
        return APIKey.model_validate({"in": "cookie", "name": name, "description": description})

    async def __call__(self, connection: HTTPConnection) -> Session:
        session = get_session(connection)
        await session.aload()
        return session


current_session: Final = _CurrentSession()
"""The dependency of ``WebSessionDep``, for ``app.dependency_overrides``. It is a coroutine
function, because FastAPI calls a plain one in a thread: ten times the time of a session."""

WebSessionDep = Annotated[Session, Depends(current_session)]
"""The session, for HTTP and WebSocket endpoints: ``def page(session: WebSessionDep)``."""


class _NotLoggedIn(LoginRequired, HTTPException):
    """A 401, unless the application handles ``LoginRequired`` itself."""

    def __init__(self) -> None:
        HTTPException.__init__(self, 401, "Not logged in", {"WWW-Authenticate": "Cookie"})


async def current_user(session: WebSessionDep) -> str:
    """Return the ID of the user who is logged in; ``UserDep`` depends on it."""
    if session.user_id is None:
        raise _NotLoggedIn
    return session.user_id


UserDep = Annotated[str, Depends(current_user)]
"""The ID of the user who is logged in: ``def page(user_id: UserDep)``.

If nobody is logged in, the response is a 401, or the result of the application's handler for
``LoginRequired`` (``@app.exception_handler(LoginRequired)``)."""


@overload
def SessionData(
    key: str,
    kind: type[T],
    *,
    default: Callable[[], T] | None = None,
    upgrade: Callable[[Any], T] | None = None,
) -> Any: ...
@overload
def SessionData(
    key: type[T],
    *,
    default: Callable[[], T] | None = None,
    upgrade: Callable[[Any], T] | None = None,
) -> Any: ...
def SessionData(  # noqa: N802
    key: Any,
    kind: Any = None,
    *,
    default: Callable[[], Any] | None = None,
    upgrade: Callable[[Any], Any] | None = None,
) -> Any:
    """Make a dependency on a typed part: ``CartDep = Annotated[Cart, SessionData("cart", Cart)]``.

    Without a key it is the whole session: ``Annotated[Shop, SessionData(Shop)]``. The stored data
    are checked when they are loaded. The object is stored when the response begins, if it has
    changed.

    If data of an older version of the application do not fit ``kind``, the object is
    ``upgrade(stored)``. Without ``upgrade``, or if it raises ValueError, the response is a 409. The
    log then names the fields that do not fit, and the stored data stay.

    Args:
        key: The key of the part, or the kind of the whole session.
        kind: A pydantic model, a dataclass, a msgspec Struct, a TypedDict, or a list of one of
            these.
        default: Makes the object if nothing is stored; ``kind()`` by default.
        upgrade: Makes the object from stored data that do not fit.

    Raises:
        ConfigError: ``kind`` cannot be stored.
    """
    name: str | None = key
    if kind is None:
        name, kind = None, key
    elif not isinstance(key, str):
        raise ConfigError(
            f"the key of a typed part must be a str, got {key!r}. "
            f"Example: SessionData('cart', Cart)"
        )
    shown = "session" if name is None else name
    if name is None and not isinstance(kind, type):
        raise ConfigError(
            f"the whole session must be a pydantic model, a dataclass, a msgspec Struct or a "
            f"TypedDict, got {kind!r}. Example: SessionData(Shop), or SessionData('cart', Cart)"
        )
    convert, dump = typed.converters(shown, kind)
    load = typed.loader(shown, kind, default, upgrade, load=convert)

    def load_or_conflict(value: Any) -> Any:
        try:
            return load(value)
        except typed.Misfit as misfit:
            raise _conflict(shown, misfit) from None

    async def part(session: WebSessionDep) -> Any:
        return session._typed_view(name, load_or_conflict, dump)

    return Depends(part)


def _conflict(key: str, misfit: typed.Misfit) -> HTTPException:
    """Log the fields that do not fit, for the developer, and return the response for the client."""
    log.warning("lembro: %s; the response is a 409", misfit)
    return HTTPException(
        409,
        f"This session holds a {key!r} that another version of this application has stored, and "
        f"that this version cannot use. Log out or delete the cookie to begin a new session.",
    )
