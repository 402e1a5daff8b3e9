"""The exchange: one request and its response, for one session.

A middleware or an integration makes one exchange per request. The exchange reads the cookie,
commits the session before the response begins, and renders the cookies for the response. The
session itself knows nothing of HTTP.
"""

from __future__ import annotations

from typing import Any

from .._core.session import Session
from .._core.state import RESPONSE_BEGUN, SetCookie
from .._device import Visitor
from .._http.cookie import ABSENT, Presented
from .._http.error_response import COMMIT_ERRORS, ErrorResponse, error_response_for
from .._http.headers import RequestHeaders, header_of, warn_of_plain_http
from .issued import note_issued, note_unknown
from .runner import Runner


class Exchange:
    """One request and its response. A subclass reads the request of its framework."""

    __slots__ = ("runner", "session")

    runner: Runner
    session: Any  # a Session, or the framework's subclass of it

    # -- the request: a subclass implements these --------------------------------------------------

    def cookie_headers(self) -> list[bytes]:
        """Return the Cookie headers of the request."""
        raise NotImplementedError

    def https(self) -> bool:
        """Return whether the request came over https."""
        raise NotImplementedError

    def path(self) -> str:
        """Return the path of the request, for the option ``passive``."""
        raise NotImplementedError

    def client(self) -> str | None:
        """Return the address that the request came from, if it is known."""
        return None

    def headers(self) -> RequestHeaders:
        """Return the headers of the request."""
        return ()

    # -- called by the session ---------------------------------------------------------------------

    def read_cookie(self) -> Presented:
        """Read the session cookie. It never raises: a cookie that is not valid is a problem in the
        result."""
        self.runner.serving = True
        headers = self.cookie_headers()
        return self.runner.cookie.read(headers, https=self.https()) if headers else ABSENT

    def unknown_id(self, key: bytes) -> None:
        """Warn once if the store does not know the ID because another manager has issued it."""
        note_unknown(key, self.runner, https=self.https())

    def describe_visitor(self) -> tuple[str, str]:
        """Return the visitor's device and address; each is empty unless the options ask for it."""
        options = self.runner.options
        if options.describe is None and not options.store_address:
            return "", ""
        address = self.client()
        device = ""
        if options.describe is not None:
            user_agent = header_of(self.headers(), "User-Agent")
            device = self.runner.describe(Visitor(user_agent, address))
        if not options.store_address or not isinstance(address, str):
            return device, ""
        return device, address[:64]  # an IPv6 address with a zone; a proxy may pass on any text

    # -- the response ------------------------------------------------------------------------------

    def commit(self, status: int) -> ErrorResponse | None:
        """Commit the session before a response with this status begins.

        Returns:
            None, or the response to send instead if the session could not be stored.
        """
        try:
            self.runner.commit(self.session, failed=status >= 500)
        except COMMIT_ERRORS as error:
            self.session._nested_possible = False  # the error was logged, so report no late change
            return error_response_for(error)
        return None

    async def acommit(self, status: int) -> ErrorResponse | None:
        """Commit the session, in an event loop; see :meth:`commit`."""
        session = self.session  # close() may remove it while this task waits
        try:
            await self.runner.acommit(session, failed=status >= 500)
        except COMMIT_ERRORS as error:
            session._nested_possible = False
            return error_response_for(error)
        return None

    def begin_without_session(self) -> None:
        """Note that a response begins without the headers of an accessed session."""
        self.session._too_late = RESPONSE_BEGUN

    def add_late_headers(self) -> bool:
        """Return False: this response cannot be changed any more."""
        return False

    def set_cookies(self) -> list[bytes]:
        """Return the Set-Cookie headers that the response needs after the commit."""
        action = self.session._cookie
        if action is None:
            return []
        runner, https = self.runner, self.https()
        if not https and runner.options.cookie.secure == "auto":
            warn_of_plain_http(self.client(), self.headers())
        if isinstance(action, SetCookie):
            if self.session._key is not None:
                note_issued(self.session._key, runner)
            cookie = runner.cookie.render(
                action.session_id, action.reputation, https=https, max_age=action.max_age
            )
        else:
            cookie = runner.cookie.render_cleared(https=https)
        legacy = self.session._presented.legacy
        cleared = dict.fromkeys(each.cleared(https=https) for each in legacy)
        return [*runner.cookie.render_previous(https=https), cookie, *cleared]

    def report_late_changes(self) -> None:
        """Report a lost change: one that was made after the response had begun."""
        self.runner.report_late_changes(self.session)

    def close(self) -> None:
        """End the exchange. The session can still be used.

        This breaks the reference cycle of exchange and session, which would otherwise keep the data
        until the garbage collector runs.
        """
        self.session = None


class NoRequest(Exchange):
    """The exchange of a session that is loaded by its ID, without a request."""

    __slots__ = ("_presented",)

    def __init__(self, runner: Runner, presented: Presented = ABSENT) -> None:
        self.runner = runner
        self.session = None
        self._presented = presented

    def read_cookie(self) -> Presented:
        """Return the ID that was given in place of a cookie."""
        return self._presented

    def path(self) -> str:
        """Return an empty path, because there is no request."""
        return ""

    def unknown_id(self, key: bytes) -> None:
        """Do nothing, because no browser has sent the ID."""

    def describe_visitor(self) -> tuple[str, str]:
        """Return empty texts, because there is no visitor."""
        return "", ""


def session_by_id(runner: Runner, presented: Presented = ABSENT) -> Session:
    """Make a session for an ID, without a request."""
    return Session(NoRequest(runner, presented))
