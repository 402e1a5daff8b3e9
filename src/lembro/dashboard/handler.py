"""The requests of the dashboard, without a framework: one request in, one response out.

The adapters for ASGI and WSGI ask ``allow`` first. So every request that arrives here comes from
somebody who may see all sessions and end them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

from .._log import log
from ..errors import ConfigError, StoreError, UsageError, printable
from ..ids import MAX_USER_ID
from . import csrf, page
from .listing import Directory, Place, Query
from .samples import STATIC

MAX_BODY: Final = 16 * 1024  # bytes; a form of the page has less than 2 KiB
_MAX_TEXT: Final = 200  # characters of a search
_FORM: Final = "application/x-www-form-urlencoded"
FILES: Final = {
    "theme.css": "text/css",
    "charts.css": "text/css",
    "list.css": "text/css",
    "page.css": "text/css",
    "charts.js": "text/javascript",
    "live.js": "text/javascript",
}
"""The scripts and styles, and their types."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


@dataclass(frozen=True)
class Request:
    """A request, as an adapter reads it."""

    method: str
    root: str
    """The path that the dashboard is mounted at."""
    path: str
    """The path below it."""
    query: str
    headers: Mapping[str, str]
    """The headers, by their names in lower case."""
    https: bool
    body: bytes
    operator: str = ""
    """The name that ``allow`` returned, for the audit events."""


@dataclass(frozen=True)
class Response:
    """A response, as an adapter sends it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class RefusedError(Exception):
    """A request that is not answered with a page.

    Args:
        status: The status of the response.
        text: The text for the operator.
        headers: More headers.
    """

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Handler:
    """Answers the requests of a dashboard."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def respond(self, request: Request) -> Response:
        """Answer a request. This may take long: call it in a worker thread."""
        try:
            return self._respond(request)
        except RefusedError as refused:
            body = page.message(HTTPStatus(refused.status).phrase, str(refused))
            return html(refused.status, body, *refused.headers)
        except StoreError as error:
            log.error("lembro: the dashboard cannot read the session store: %s", error)
            text = "The session store does not answer. Try again in a moment."
            return html(503, page.message("Service Unavailable", text))

    def _respond(self, request: Request) -> Response:
        path = request.path
        if not path:  # relative to the present address: the path of a proxy may be unknown here
            location = "./" + quote(request.root.rpartition("/")[2]) + "/"
            return html(308, "", ("Location", location))
        if path == "/":
            if request.method == "POST":
                return self._end(request)
            _require(request, "GET, HEAD, POST")
            return self._list(request)
        name = path[1:]
        if name in FILES:
            _require(request, "GET, HEAD")
            body = (STATIC / name).read_bytes()
            return answer(200, FILES[name], body, caching="private, max-age=300")
        if name == "stats" and self._directory.has_stats:
            _require(request, "GET, HEAD")
            return answer(200, "application/json", json.dumps(self._directory.stats()).encode())
        raise RefusedError(404, "There is no such page.")

    def _list(self, request: Request) -> Response:
        query = query_of(dict(_pairs(request.query)))
        listing = self._directory.find(query)
        secret, cookies = csrf.secret_of(request.headers.get("cookie", ""), https=request.https), []
        if secret is None:
            secret = csrf.new_secret()
            cookies = [("Set-Cookie", csrf.set_cookie(secret, https=request.https))]
        token = csrf.token_for(secret)
        body = page.sessions(listing, query, token, live=self._directory.has_stats)
        return html(200, body, *cookies)

    def _end(self, request: Request) -> Response:
        """End sessions, if the operator has confirmed it. Otherwise ask for the confirmation."""
        form = self._form(request)
        action = Action.of(form)
        if form.get("confirm") != "yes":
            return html(200, page.confirmation(action.question, form))
        return html(200, page.message(action.perform(self._directory, request.operator), ""))

    def _form(self, request: Request) -> dict[str, str]:
        headers = request.headers
        if not csrf.is_same_origin(headers):
            raise RefusedError(403, "This request comes from another site.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise RefusedError(415, f"Send a form: {_FORM}.")
        if len(request.body) > MAX_BODY:
            raise RefusedError(413, f"The form has more than {MAX_BODY} bytes.")
        form = dict(_pairs(request.body.decode("utf-8", "replace")))
        secret = csrf.secret_of(headers.get("cookie", ""), https=request.https)
        if not csrf.is_valid(form.get("token", ""), secret):
            raise RefusedError(
                403, "This form has expired. Go back, reload the page and try again."
            )
        return form


@dataclass(frozen=True)
class Action:
    """The action that a form of the dashboard asks for."""

    name: str
    handle: str
    user: str | None

    @classmethod
    def of(cls, form: Mapping[str, str]) -> Action:
        """Read the fields of a form.

        Raises:
            RefusedError: The form is not one of the page.
        """
        user = user_of({"user": unquote(form.get("user", ""))})
        action = cls(form.get("action", ""), form.get("handle", ""), user)
        complete = {
            "session": bool(action.handle),
            "user": action.user is not None,
            "all": True,
        }
        if not complete.get(action.name):
            raise RefusedError(400, "This form is not complete. Go back and reload the page.")
        return action

    @property
    def question(self) -> str:
        """The text of the confirmation. It shows characters that a screen does not show."""
        whose = "of a visitor"
        if self.user is not None:
            whose = f"of {printable(self.user, MAX_USER_ID)}"
        if self.name == "session":
            return f"End the session {printable(self.handle)} {whose}?"
        if self.name == "user":
            return f"End all sessions {whose}?"
        return "End all sessions, of all users and visitors? You are logged out too."

    def perform(self, directory: Directory, operator: str) -> str:
        """End the sessions. Return a text that says what has happened."""
        if self.name == "session":
            if directory.end_session(self.handle, self.user, operator):
                return "The session has ended."
            return "That session had ended already, or its user has logged in again."
        if self.name == "user":
            assert self.user is not None
            count = directory.end_user(self.user, operator)
            return f"{count:,} {'session has' if count == 1 else 'sessions have'} ended."
        directory.end_all(operator)
        return "All sessions have ended."


def query_of(fields: Mapping[str, str]) -> Query:
    """Return the query that the fields of an address describe."""
    after: Place | None = None
    if "after" in fields:
        owner = fields.get("after_user", "")
        after = not owner, owner, fields["after"]
    return Query(fields.get("q", "").strip()[:_MAX_TEXT], user_of(fields), after)


def user_of(fields: Mapping[str, str]) -> str | None:
    """Return the user ID in a form or address. Empty is None, because no user ID is empty."""
    user = fields.get("user") or None
    if user is not None and len(user.encode()) > MAX_USER_ID:
        raise RefusedError(400, f"A user ID has at most {MAX_USER_ID} bytes.")
    return user


def html(status: int, body: str, *headers: tuple[str, str]) -> Response:
    """Return a response with a page."""
    return answer(status, "text/html", body.encode(), *headers)


def answer(
    status: int, kind: str, body: bytes, *headers: tuple[str, str], caching: str = "no-store"
) -> Response:
    """Return a response with the headers that all of them have."""
    own = (
        ("Content-Type", f"{kind}; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", caching),
    )
    return Response(status, [*own, *_HEADERS, *headers], body)


def name_of(allowed: Any) -> str | None:
    """Return the operator's name from what ``allow`` returned; None: not allowed.

    Raises:
        UsageError: it is neither a bool, a str nor None.
    """
    if allowed is True:
        return ""
    if not allowed and (allowed is None or isinstance(allowed, bool | str)):
        return None
    if isinstance(allowed, str):
        return allowed
    raise UsageError(
        f"allow must return True, the operator's name or False, got "
        f"{type(allowed).__name__}. Example: return user.is_admin"
    )


def not_found() -> Response:
    """Return the response for everybody else. It does not reveal that there is a dashboard."""
    body = b"Not Found"
    headers = (
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    )
    return Response(404, [*headers], body)


def check_allow(allow: Any) -> None:
    """Raise ConfigError if ``allow`` is not a function."""
    if not callable(allow):
        raise ConfigError(
            f"allow must be a function that decides who may see the dashboard, got {allow!r}. "
            f"Example: allow=lambda scope: scope['session'].user_id in ADMINS"
        )


def _require(request: Request, methods: str) -> None:
    if request.method not in methods.split(", "):
        raise RefusedError(405, f"Use {methods}.", ("Allow", methods))


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, max_num_fields=20)
    except ValueError:
        raise RefusedError(400, "The request has too many fields.") from None
