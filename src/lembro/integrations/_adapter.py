"""The base of all integrations: the steps of a request, and one wording for each error.

Every integration has the same parts, in this order:

1. The import guard names the extra to install.
2. The exchange is an :class:`Exchange` that reads the framework's request.
3. The response is a :class:`Response` that reads and changes the framework's response.
4. The entry point is what an application calls to add sessions.
5. The typed accessor is ``get_session`` or a typed ``session``.

A request goes through them in one direction. Before the handler, the integration makes an exchange
with its session. With a store that does not answer at once, an async framework awaits ``preload``.
When there is a response, ``respond`` (or ``arespond``) commits the session and adds its headers. If
the session could not be stored, it replaces the response. After the last byte, ``finish`` reports
late changes and ends the exchange.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol, TypeVar, cast

from .._core.session import Session
from .._core.state import COMMITTED, NOT_LOADED, RESPONSE_BEGUN
from .._http.error_response import ANSWERED_ERRORS, ErrorResponse, error_response_for
from .._http.headers import RequestHeaders, caching_with_cookie, vary_with_cookie
from .._paths import path_of_environ, path_of_scope, path_prefixes
from .._runtime.exchange import Exchange
from .._runtime.runner import Runner
from ..errors import ConfigError
from ..manager import SessionManager, manager_of, runner_of

__all__ = [
    "ANSWERED_ERRORS",
    "ErrorResponse",
    "Exchange",
    "RequestHeaders",
    "Response",
    "Runner",
    "SessionManager",
    "add_headers",
    "already_installed",
    "arespond",
    "as_kind",
    "begin_unused",
    "check_app",
    "encoded",
    "error_response_for",
    "finish",
    "manager_of",
    "no_session",
    "path_of_environ",
    "path_of_scope",
    "path_prefixes",
    "preload",
    "respond",
    "runner_of",
]

S = TypeVar("S", bound=Session)


class Response(Protocol):
    """A framework's response."""

    def status(self) -> int:
        """Return the status code."""
        ...

    def lines(self, name: str) -> list[str]:
        """Return all lines of a header."""
        ...

    def set(self, name: str, value: str) -> None:
        """Replace all lines of a header with one."""
        ...

    def add(self, name: str, value: str) -> None:
        """Add a line of a header."""
        ...

    def replace(self, error: ErrorResponse) -> None:
        """Replace the response with an error, and close the body that was to be sent."""
        ...


# -- one request -----------------------------------------------------------------------------------


async def preload(exchange: Exchange) -> None:
    """Load the session before an async handler, if the store does not answer at once."""
    if exchange.runner.preloads:
        await exchange.runner.preload(exchange.session)


def respond(exchange: Exchange, response: Response) -> bool:
    """Commit the session, and add its headers to the response.

    Returns:
        False if the session could not be stored, so that the response was replaced.
    """
    error = exchange.commit(response.status())
    if error is not None:
        response.replace(error)
        return False
    add_headers(exchange, response)
    return True


async def arespond(exchange: Exchange, response: Response) -> bool:
    """Commit the session and add its headers, in an event loop; see :func:`respond`."""
    if not exchange.runner.preloads:  # nothing waits, so no coroutine is needed
        return respond(exchange, response)
    error = await exchange.acommit(response.status())
    if error is not None:
        response.replace(error)
        return False
    add_headers(exchange, response)
    return True


def add_headers(exchange: Exchange, response: Response) -> None:
    """Add the headers of a committed session to a response; none if it was not accessed."""
    if exchange.session._is_unused():
        exchange.begin_without_session()
        return
    vary = vary_with_cookie(response.lines("Vary"))
    if vary is not None:
        response.set("Vary", vary)
    if exchange.session._cookie is None:
        return
    for name, value in caching_with_cookie(response.lines):
        response.set(name, value)
    for cookie in exchange.set_cookies():
        response.add("Set-Cookie", cookie.decode("ascii"))


def begin_unused(session: Session) -> bool:
    """Note that the response begins, if the session was never accessed.

    Returns:
        True if it was never accessed: nothing has to be committed, and the response needs no
        headers.
    """
    if session._loaded is not NOT_LOADED:
        return False
    session._phase, session._too_late = COMMITTED, RESPONSE_BEGUN
    return True


def finish(exchange: Exchange) -> None:
    """Report late changes, and end the exchange."""
    if exchange.session is not None:
        exchange.report_late_changes()
        exchange.close()


def encoded(cookies: str | None) -> list[bytes]:
    """Encode a Cookie header that a framework has decoded, for ``cookie_headers``."""
    return [cookies.encode("utf-8", "replace")] if cookies else []


# -- one application -------------------------------------------------------------------------------


def check_app(app: object, kind: type, framework: str, call: str = "Lembro") -> None:
    """Raise ConfigError unless the first argument is an application of the framework."""
    if not isinstance(app, kind):
        raise ConfigError(
            f"the first argument must be the {framework} application, got {app!r}. "
            f"Example: {call}(app)"
        )


def already_installed(what: str = "Lembro") -> ConfigError:
    """Make the error for an application that already has lembro's sessions."""
    return ConfigError(f"{what} is already installed in this application; add it only once")


def no_session(example: str) -> ConfigError:
    """Make the error for a request without a lembro session. ``example`` installs it."""
    return ConfigError(
        f"this request has no lembro session. Install lembro for the whole application: {example}. "
        f"If it is installed, check that exclude= does not name this path, and that the code that "
        f"accesses the session runs inside that application"
    )


def as_kind(session: Session, kind: type[S]) -> S:
    """Add the methods of a framework's session class to the session of an outer middleware.

    The outer middleware commits the session, and the methods of its class stay.
    """
    present = type(session)
    if not issubclass(present, kind):
        session.__class__ = kind if issubclass(kind, present) else _both(kind, present)
    return cast("S", session)


@cache
def _both(kind: type[Session], present: type[Session]) -> type[Session]:
    return type(kind.__name__, (kind, present), {})
