"""Requests without a framework or a server: tests open and close them one by one.

So a test can stop in the middle of a race.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from lembro import Event, Session, SessionManager
from lembro._http.cookie import Presented
from lembro._runtime.exchange import NoRequest, session_by_id
from lembro.events import EVENTS
from lembro.manager import runner_of
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter, BlockingAdapter

T = TypeVar("T")
Driver = Literal["sync", "async", "blocking"]
DRIVERS: tuple[Driver, ...] = ("sync", "async", "blocking")
"""An in-process store, an AsyncStore under an async driver, and a blocking one under one."""


def cookies_of(session: Session, *, https: bool = True) -> list[bytes]:
    """Return the Set-Cookie headers of a response with this session."""

    class Response(NoRequest):
        def https(self) -> bool:
            return https

    response = Response(session._transport.runner)
    response.session = session
    return response.set_cookies()


@dataclass
class Reply:
    """The result of a request, as seen from outside."""

    verbs: list[str] = field(default_factory=list)
    cookie: str = ""
    """``set``, ``clear`` or nothing."""
    header: str = ""
    id: str | None = None
    """The cookie of the browser afterwards, if it was set."""
    events: list[Event] = field(default_factory=list)

    @property
    def happened(self) -> list[str]:
        return [event.name for event in self.events]


class Site:
    """A manager over a recording store on a fake clock, and the requests to it."""

    def __init__(
        self, driver: Driver = "sync", store: Recorder | None = None, **options: Any
    ) -> None:
        self.driver = driver
        self.store = Recorder() if store is None else store
        self.clock = self.store.clock
        kinds = {"sync": lambda s: s, "async": AsyncAdapter, "blocking": BlockingAdapter}
        self.manager = SessionManager(kinds[driver](self.store), **options)
        self.runner = runner_of(self.manager)
        self.elsewhere = SessionManager(self.store, self.manager.options)
        """Another manager over the same store, for calls within a step of a request."""
        self.events: list[Event] = []
        for name in EVENTS:
            self.manager.on(name, self.events.append)
        self._loop = asyncio.Runner() if driver != "sync" else None

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()
        self.store.close()

    def wait(self, awaitable: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        return self._loop.run(awaitable)

    # -- requests ----------------------------------------------------------------------------------

    def open(self, cookie: str | Presented | None = None, *, looks: bool = True) -> Session:
        """Begin a request. With a networked store the session is loaded now.

        Args:
            looks: False for a path that is left out, whose session is not loaded.
        """
        presented = cookie if isinstance(cookie, Presented) else Presented(cookie)
        session = session_by_id(self.runner, presented)
        if self.driver != "sync" and looks:
            self.wait(self.runner.preload(session))
        return session

    def commit(self, session: Session, *, failed: bool = False) -> Reply:
        """Begin the response of a request."""
        if self._loop is None:
            self.runner.commit(session, failed=failed)
        else:
            self.wait(self.runner.acommit(session, failed=failed))
        header = next(iter(cookies_of(session)), None)
        reply = Reply(self._taken(self.store.verbs), events=self._taken(self.events))
        if header is not None:
            reply.header = header.decode()
            reply.cookie = "clear" if "Max-Age=0" in reply.header else "set"
            match = re.match(r"[^=]+=([\w-]{43})", reply.header)
            reply.id = match[1] if match else None
        return reply

    @contextmanager
    def request(self, cookie: str | Presented | None = None) -> Iterator[Request]:
        """``with site.request(cookie) as r: r.session["n"] = 1``, then ``r.reply``."""
        request = Request(self.open(cookie))
        yield request
        request.reply = self.commit(request.session)

    def new(self, user: str | None = None, **data: Any) -> str:
        """Return the ID of a new stored session."""
        with self.request() as r:
            r.session.update(data or {"n": 1})
            if user is not None:
                r.session.login(user)
        assert r.reply.id is not None
        return r.reply.id

    def rotate(self, cookie: str) -> str:
        with self.request(cookie) as r:
            r.session.regenerate_id()
        assert r.reply.id is not None
        return r.reply.id

    def login(self, cookie: str, user: str) -> str:
        with self.request(cookie) as r:
            r.session.login(user)
        assert r.reply.id is not None
        return r.reply.id

    def logout(self, cookie: str) -> None:
        with self.request(cookie) as r:
            r.session.logout()

    def data(self, cookie: str | None) -> dict[str, Any] | None:
        """Return what the store holds for this ID, or None."""
        session = self.open(cookie)
        held = None if session.is_new else dict(session)
        self._taken(self.store.verbs)
        self._taken(self.events)
        return held

    def user(self, cookie: str) -> str | None:
        session = self.open(cookie)
        user = session.user_id
        self._taken(self.store.verbs)
        return user

    @property
    def count(self) -> int:
        return self.store.length()

    # -- calls of a session that do I/O, on either driver ------------------------------------------

    def save(self, session: Session) -> None:
        self._either(session, "save")

    def reload(self, session: Session) -> None:
        self._either(session, "reload")

    def atomic(self, session: Session, function: Any) -> Any:
        return self._either(session, "atomic", function)

    @contextmanager
    def edit(self, session: Session) -> Iterator[Session]:
        if self._loop is None:
            with session.edit():
                yield session
            return
        edit = session.edit()
        self.wait(edit.__aenter__())
        try:
            yield session
        except BaseException as error:
            self.wait(edit.__aexit__(type(error), error, None))
            raise
        self.wait(edit.__aexit__(None, None, None))

    def _either(self, session: Session, name: str, *args: Any) -> Any:
        if self._loop is None:
            return getattr(session, name)(*args)
        return self.wait(getattr(session, f"a{name}")(*args))

    @staticmethod
    def _taken(items: list[Any]) -> list[Any]:
        taken = items[:]
        items.clear()
        return taken


@dataclass
class Request:
    session: Session
    reply: Reply = field(default_factory=Reply)
