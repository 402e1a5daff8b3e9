"""Bottle: ``request.session``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Unpack

from .. import wsgi
from .._core.session import Session
from .._http.error_response import error_response_for
from ..errors import ConfigError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..stores.base import Store
from . import _adapter

try:
    import bottle
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.bottle needs Bottle: pip install 'lembro[bottle]'"
    ) from _missing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Lembro", "get_session"]

_KEY: Final = "bottle.request.ext.session"  # where Bottle finds request.session


class Lembro:
    """A plugin: ``app.install(Lembro(sessions))``, or ``Lembro(store=MemoryStore("64M"),
    idle_timeout=...)`` with the options of :class:`~lembro.SessionOptions` as keywords. With the
    application before them, ``Lembro(app, sessions)``, it installs itself.

    Install it in the application that is served; those that are mounted share its sessions. Raises
    ConfigError.
    """

    name: str = "lembro"
    api: int = 2

    def __init__(
        self,
        app: bottle.Bottle | SessionManager | None = None,
        manager: SessionManager | None = None,
        *,
        store: Store | None = None,
        **options: Unpack[OptionKeywords],
    ) -> None:
        served: Any = app
        if served is not None and manager is not None:
            _adapter.check_app(served, bottle.Bottle, "Bottle")
        elif not isinstance(served, bottle.Bottle):
            manager, served = manager or served, None
        self.manager: SessionManager = manager_of(manager, store, options)
        if not hasattr(self.manager.store, "blocking"):
            raise ConfigError(
                f"{type(self.manager.store).__name__} is asynchronous, and Bottle is not: give "
                f"the plain store of its kind"
            )
        if served is not None:
            served.install(self)

    def setup(self, app: bottle.Bottle) -> None:
        """Called by Bottle when it is installed."""
        if any(isinstance(plugin, Lembro) for plugin in app.plugins):
            raise ConfigError("lembro is installed in this application already")
        # Around all of it: what a route returns is made a response, and an error a page, after the
        # plugins.
        app.wsgi = wsgi.SessionMiddleware(_with_session(app.wsgi), self.manager)

    def apply(self, callback: Callable[..., Any], route: bottle.Route) -> Callable[..., Any]:
        """Called by Bottle for each route: a store that fails is a 503, and no 500 of Bottle's."""

        @wraps(callback)
        def answered(*args: Any, **keywords: Any) -> Any:
            try:
                return callback(*args, **keywords)
            except StoreError as error:
                answer = error_response_for(error)
                return bottle.HTTPResponse(answer.body.decode(), answer.status, _adapter.TEXT)

        return answered


def get_session() -> Session:
    """``request.session`` of the current request, with its type."""
    session: object = bottle.request.environ.get(_KEY)
    if not isinstance(session, Session):
        raise ConfigError(
            "there is no lembro session here: app.install(Lembro(sessions)) from "
            "lembro.integrations.bottle, in the application that is served"
        )
    return session


def _with_session(application: WSGIApplication) -> WSGIApplication:
    def named(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[_KEY] = environ[wsgi.KEY]
        return application(environ, start_response)

    return named
