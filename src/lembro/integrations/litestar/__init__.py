"""Litestar: ``Litestar(plugins=[LembroPlugin()])`` adds ``request.session``.

There is a session backend too, for ``SessionAuth`` and the test client. ``LembroStore`` stores
rate limits and cached responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Unpack

from ..._core.session import Session
from ...errors import ConfigError
from ...options import SessionOptions
from ...stores.base import AsyncStore, Store
from .._adapter import SessionManager, already_installed, no_session, path_prefixes

try:
    from litestar.di import NamedDependency, Provide
    from litestar.plugins import InitPlugin
    from litestar.types import Scope
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.litestar needs Litestar: pip install 'lembro[litestar]'"
    ) from _missing

from ...caches.litestar import LembroStore
from .config import ConfigKeywords, LembroSessionBackend, LembroSessionConfig

if TYPE_CHECKING:
    from litestar.config.app import AppConfig
    from litestar.connection import ASGIConnection

__all__ = [
    "LembroPlugin",
    "LembroSessionBackend",
    "LembroSessionConfig",
    "LembroStore",
    "WebSessionDep",
    "get_session",
]

_EXAMPLE: Final = (
    "Litestar(plugins=[LembroPlugin()]) (after set_session() or clear_session(), use "
    "request.session)"
)


# -- the entry point -------------------------------------------------------------------------------


class LembroPlugin(InitPlugin):
    """Add sessions to an application: ``Litestar(plugins=[LembroPlugin()])``.

    Handlers have ``request.session``, and get it typed as a parameter ``session: WebSessionDep``.
    ``plugin.config`` is for ``SessionAuth`` and the test client.

    Args:
        manager: The manager, if you have made one. Otherwise one is made from ``store``,
            ``options`` and ``keywords``.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Path prefixes without a session, for example ``["/static/"]``.
        config: A config, if you have made one, instead of the other arguments.
        session_dependency_key: The name of the parameter; None for no such parameter.
        keywords: The fields of :class:`~lembro.SessionOptions`, and other keywords of
            :class:`LembroSessionConfig`.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        config: LembroSessionConfig | None = None,
        session_dependency_key: str | None = "session",
        **keywords: Unpack[ConfigKeywords],
    ) -> None:
        prefixes = path_prefixes(exclude)
        if not isinstance(config, LembroSessionConfig | None):
            raise ConfigError(
                f"config must be a LembroSessionConfig, got {config!r}. "
                f"Give options as LembroPlugin(options=SessionOptions(...))"
            )
        if config is None:
            config = LembroSessionConfig(
                manager,
                store=store,
                options=options,
                exclude=[f"^{re.escape(prefix)}" for prefix in prefixes] or None,
                **keywords,
            )
        else:
            arguments = {
                "manager": manager is not None,
                "store": store is not None,
                "options": options is not None,
                "exclude": bool(prefixes),
                **dict.fromkeys(keywords, True),
            }
            given = [name for name, is_given in arguments.items() if is_given]
            if given:
                raise ConfigError(
                    f"{', '.join(given)} cannot be given together with config; "
                    f"give these to LembroSessionConfig(...)"
                )
        self.config: LembroSessionConfig = config
        self.session_dependency_key: str | None = session_dependency_key

    @property
    def manager(self) -> SessionManager:
        """The manager of the sessions."""
        return self.config.manager

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the middleware, the parameter, and the opening and closing of the store."""
        if sum(isinstance(plugin, LembroPlugin) for plugin in app_config.plugins) > 1:
            raise already_installed("LembroPlugin")
        app_config.middleware.insert(0, self.config.middleware)  # around all others
        app_config.on_startup.append(self.manager.aopen)
        app_config.on_shutdown.append(self.manager.aclose)
        if self.session_dependency_key is not None:
            app_config.dependencies.setdefault(
                self.session_dependency_key, Provide(_provide_session)
            )
        return app_config


# -- the typed accessor ----------------------------------------------------------------------------

WebSessionDep = NamedDependency[Session]
"""The session as a parameter of HTTP and WebSocket handlers: ``session: WebSessionDep``."""


def get_session(connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
    """Return the session of a request or WebSocket, typed.

    Raises:
        ConfigError: the connection has no session, or ``set_session()`` or ``clear_session()`` has
            replaced it.
    """
    return _session_in(connection.scope)


async def _provide_session(scope: Scope) -> Session:
    session = _session_in(scope)
    await session.aload()
    return session


def _session_in(scope: Scope) -> Session:
    session: Any = scope.get("session")
    if not isinstance(session, Session):
        raise no_session(_EXAMPLE)
    return session
