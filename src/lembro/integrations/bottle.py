"""Bottle: ``request.session``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Unpack

from .. import wsgi
from .._core.session import Session
from ..options import OptionKeywords, SessionOptions
from ..stores.base import Store
from ._adapter import (
    ANSWERED_ERRORS,
    SessionManager,
    already_installed,
    check_app,
    error_response_for,
    manager_of,
    no_session,
    path_prefixes,
    runner_of,
)

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


# The exchange and the response are those of lembro.wsgi. Its middleware wraps Bottle, which makes
# the response or the error page after its plugins have run.


# -- the entry point -------------------------------------------------------------------------------


class Lembro:
    """A plugin that adds sessions: ``app.install(Lembro())``, or ``Lembro(app)``.

    Install it in the application that is served. Mounted applications share its sessions.

    Args:
        app: The application in which the plugin is installed at once. May be left out.
        manager: The manager, if you have made one; also as the only argument.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Path prefixes without a session.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work, or the application already has lembro's sessions.
    """

    name: str = "lembro"
    api: int = 2

    def __init__(
        self,
        app: bottle.Bottle | SessionManager | None = None,
        manager: SessionManager | None = None,
        *,
        store: Store | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        served: Any = app
        if served is not None and manager is not None:
            check_app(served, bottle.Bottle, "Bottle")
        elif not isinstance(served, bottle.Bottle):
            manager, served = manager or served, None
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        runner_of(self.manager).require_sync("Bottle")
        self._exclude = path_prefixes(exclude)
        if served is not None:
            served.install(self)

    def setup(self, app: bottle.Bottle) -> None:
        """Add the sessions; Bottle calls it when the plugin is installed."""
        if any(isinstance(plugin, Lembro) for plugin in app.plugins):
            raise already_installed()
        app.wsgi = wsgi.SessionMiddleware(_with_name(app.wsgi), self.manager, exclude=self._exclude)

    def apply(self, callback: Callable[..., Any], route: bottle.Route) -> Callable[..., Any]:
        """Wrap a route, so that the errors of a session get their own responses, not Bottle's 500.

        Bottle calls this for each route. A plugin that was installed later may answer them itself.
        """

        @wraps(callback)
        def answered(*args: Any, **keywords: Any) -> Any:
            try:
                return callback(*args, **keywords)
            except ANSWERED_ERRORS as error:
                answer = error_response_for(error)
                return bottle.HTTPResponse(answer.body.decode(), answer.status, answer.text_headers)

        return answered


def _with_name(application: WSGIApplication) -> WSGIApplication:
    """Add the session to the environ under the key that Bottle reads ``request.session`` from."""

    def named(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        session = environ.get(wsgi.KEY)
        if session is not None:  # an excluded path has no session
            environ[_KEY] = session
        return application(environ, start_response)

    return named


# -- the typed accessor ----------------------------------------------------------------------------


def get_session() -> Session:
    """Return ``request.session`` of the current request, typed.

    Raises:
        ConfigError: the request has no session.
    """
    session: object = bottle.request.environ.get(_KEY)
    if not isinstance(session, Session):
        raise no_session("app.install(Lembro()) in the application that is served")
    return session
