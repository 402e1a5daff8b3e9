"""The dashboard as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from .._core.session import Session
from .._threads import is_coroutine_function
from ..errors import ConfigError
from ..manager import SessionManager, runner_of
from ..wsgi import KEY, is_https
from .handler import MAX_BODY, Handler, Request, check_allow, name_of, not_found
from .listing import Directory

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Allow: TypeAlias = Callable[[WSGIEnvironment], bool | str | None]
    """Decides whether a request may see the dashboard."""


class WSGIDashboard:
    """A page that lists the sessions of a manager and ends them, as a WSGI application.

    Args:
        manager: The manager of the sessions.
        allow: Called with the ``environ`` of each request, before anything else. It returns True,
            the operator's name for the audit events, or False, which gives a 404. If it raises,
            your application gets the exception, and the request sees nothing.
        show: The keys of the session's data that the page shows. By default it shows none.

    Raises:
        ConfigError: An argument is invalid, ``allow`` is a coroutine function, or the store cannot
            list its sessions, or is asynchronous.
    """

    def __init__(self, manager: SessionManager, *, allow: Allow, show: Sequence[str] = ()) -> None:
        check_allow(allow)
        if is_coroutine_function(allow):
            raise ConfigError(
                f"allow must be a plain function in WSGIDashboard, got the coroutine function "
                f"{allow!r}. Use ASGIDashboard in an ASGI application"
            )
        self._allow = allow
        self._handler = Handler(Directory(manager, show))
        runner_of(manager).require_sync("WSGIDashboard")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request of the WSGI server."""
        operator = name_of(self._allow(environ))
        if operator is None:
            response = not_found()
        else:
            request = _request(environ, operator)
            session = environ.get(KEY)
            if request.path == "/stats" and isinstance(session, Session):
                session.skip_touch()  # an open page polls
            response = self._handler.respond(request)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", response.headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]


def _request(environ: WSGIEnvironment, operator: str) -> Request:
    return Request(
        method=environ["REQUEST_METHOD"],
        root=environ.get("SCRIPT_NAME", "").encode("latin-1").decode("utf-8", "replace"),
        path=environ.get("PATH_INFO", ""),
        query=environ.get("QUERY_STRING", ""),
        headers={
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        },
        https=is_https(environ),
        body=_body(environ),
        operator=operator,
    )


def _body(environ: WSGIEnvironment) -> bytes:
    """Return the body of a request, or its first bytes if it is larger than a form can be."""
    length = environ.get("CONTENT_LENGTH") or "0"
    size = int(length[:9]) if length.isdecimal() else 0  # Python refuses thousands of digits
    body: bytes = environ["wsgi.input"].read(min(size, MAX_BODY + 1)) if size else b""
    return body
