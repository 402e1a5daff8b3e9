"""Starlette, and what stands on it (FastAPI, FastHTML, NiceGUI): ``request.session``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

from .. import asgi
from .._core.session import Session
from .._log import log
from ..errors import ConfigError
from ..manager import SessionManager, application, manager_of
from ..options import OptionKeywords, is_weak, take_cookie_keywords
from ..stores.base import AsyncStore, Store

try:
    from starlette.datastructures import Secret
    from starlette.requests import HTTPConnection
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.starlette needs Starlette: pip install 'lembro[starlette]'"
    ) from _missing

if TYPE_CHECKING:
    from .fastapi import SessionData, SessionDep

__all__ = ["SessionData", "SessionDep", "SessionMiddleware", "get_session"]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


class SessionMiddleware(asgi.SessionMiddleware):
    """``app.add_middleware(SessionMiddleware, sessions)``, or with a store and options, or with
    the keywords of Starlette's own ``SessionMiddleware``, in whose place it can stand.

    ``secret_key`` may be left out: the cookie holds a random id and nothing else. ``max_age``
    (seconds) is the idle timeout and the cookie's Max-Age. ``https_only=False``, the default,
    means Secure over https only. Raises ConfigError.
    """

    def __init__(
        self,
        app: asgi.ASGIApp,
        manager: SessionManager | str | Secret | None = None,
        *,
        store: Store | AsyncStore | None = None,
        exclude: Iterable[str] = (),
        secret_key: str | Secret | None = None,
        session_cookie: str | _Unset = UNSET,
        max_age: int | _Unset | None = UNSET,
        path: str | _Unset = UNSET,
        same_site: Literal["lax", "strict", "none"] | _Unset = UNSET,
        https_only: bool | _Unset = UNSET,
        domain: str | _Unset | None = UNSET,
        partitioned: bool | _Unset = UNSET,
        **options: Unpack[OptionKeywords],
    ) -> None:
        application(app)
        if isinstance(manager, str | Secret):  # Starlette's second positional argument
            manager, secret_key = None, manager
        cookie: dict[str, Any] = {
            "name": session_cookie,
            "max_age": max_age,
            "path": path,
            "samesite": same_site,
            "secure": True if https_only is True else UNSET,
            "domain": domain,
            "partitioned": partitioned,
        }
        cookie = {name: value for name, value in cookie.items() if value is not UNSET}
        if manager is not None:  # raises what is to be raised, in the words that were given
            manager_of(manager, store, {**cookie, **options})
        take_cookie_keywords(options, cookie)
        if secret_key is not None:
            _use_secret(str(secret_key), options)
        super().__init__(app, manager, store=store, exclude=exclude, **options)


def _use_secret(secret: str, options: OptionKeywords) -> None:
    """Starlette signs with whatever it is given. An id needs no signature, so a weak secret is
    left out rather than trusted."""
    if is_weak(secret):
        log.warning(
            "secret_key is weak (less than 32 bytes, or few different ones) and is not used; "
            "lembro's cookie holds a random id, which needs no signature: leave secret_key out"
        )
        return
    options.setdefault("secret", secret)


def get_session(connection: HTTPConnection) -> Session:
    """The session of a request or WebSocket, typed; as a FastAPI dependency: ``SessionDep``.

    Raises ConfigError where there is none.
    """
    return session_of(connection, __name__)


def session_of(connection: HTTPConnection, module: str) -> Session:
    """As ``get_session``; ``module``: whose middleware to name where there is none."""
    session = connection.scope.get("session")
    if not isinstance(session, Session):
        raise ConfigError(
            "there is no lembro session here: app.add_middleware(SessionMiddleware, sessions) "
            f"with {module}.SessionMiddleware"
        )
    return session


def __getattr__(name: str) -> Any:
    if name in ("SessionDep", "SessionData"):  # they need FastAPI, which Starlette does without
        from . import fastapi  # noqa: PLC0415

        return getattr(fastapi, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
