"""Visits to a small application, in any framework.

A :class:`Visit` is one request. It carries a script: a function that the application's handler
calls with the visit, and that uses ``visit.session``. A :class:`Tab` is a browser. A :class:`World`
is the application, its store and its clock. Everything runs in one process, without a server and
without a real clock.

A race is tested by a visit from within a script: the inner visit takes place between the load and
the commit of the outer one.
"""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import anyio

from lembro import Session, SessionManager
from lembro._threads import in_event_loop
from lembro.events import EVENTS, Event
from lembro.testing import FakeClock
from tests.support.meetings import Meeting, TaskMeeting, ThreadMeeting
from tests.support.messages import Answer, Request, parse_set_cookie
from tests.support.stores import Backend

T = TypeVar("T")
Script = Callable[["Visit"], Any]
"""Sync or async. Its return value is the ``result`` of the answer."""

HEADER: Final = "x-visit"
COOKIE: Final = "sid"
SECURE_COOKIE: Final = "__Host-sid"
BODY: Final = b"ok"
FIRST: Final = b"first "
LAST: Final = b"last"
"""The body of the response; with ``later`` it has two chunks."""


class Visit:
    """One request, as the handler sees it."""

    session: Session

    def __init__(
        self,
        script: Script,
        *,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        later: Script | None = None,
    ) -> None:
        self.script = script
        self.status = status
        self.headers = list(headers)
        self.later = later
        """If set, the body is a stream, and this is called between its two chunks."""
        self.result: Any = None
        self.sync = False
        self.accept: Callable[[], Awaitable[None]]
        """Accepts a WebSocket."""
        self.meeting: Meeting | None = None

    def begin(self, session: Any, *, sync: bool) -> Visit:
        """Note that the handler is called."""
        assert isinstance(session, Session)
        self.session, self.sync = session, sync
        return self

    async def run(self) -> None:
        self.result = await self._call(self.script)

    async def run_later(self) -> None:
        assert self.later is not None
        self.result = await self._call(self.later)

    async def _call(self, script: Script) -> Any:
        result = script(self)
        return await result if inspect.isawaitable(result) else result

    # The differences between a sync and an async application.

    async def save(self) -> None:
        if self.sync:
            self.session.save()
        else:
            await self.session.asave()

    async def reload(self) -> None:
        if self.sync:
            self.session.reload()
        else:
            await self.session.areload()

    async def touch(self) -> None:
        if self.sync:
            self.session.touch()
        else:
            await self.session.atouch()

    async def atomic(self, function: Callable[[dict[str, Any]], T]) -> T:
        if self.sync:
            return self.session.atomic(function)
        return await self.session.aatomic(function)

    @asynccontextmanager
    async def edit(self) -> AsyncIterator[Session]:
        if self.sync:
            with self.session.edit() as session:
                yield session
        else:
            async with self.session.edit() as session:
                yield session

    async def meet(self) -> None:
        """Wait until all visits that were sent ``together`` have called this."""
        assert self.meeting is not None
        await self.meeting.meet()


def chunks(visit: Visit) -> Iterator[bytes]:
    """Yield the body of a visit with ``later``."""
    yield FIRST
    drive(visit.run_later())
    yield LAST


async def achunks(visit: Visit) -> AsyncIterator[bytes]:
    """Yield the body of a visit with ``later``, in an event loop."""
    yield FIRST
    await visit.run_later()
    yield LAST


issued: Final[set[str]] = set()
"""Every session ID that was issued to a tab, for tests that search for IDs."""

_numbers = itertools.count(1)
_visits: dict[str, Visit] = {}


def announce(visit: Visit) -> str:
    """Return the value of the header by which a handler finds its visit."""
    number = str(next(_numbers))
    _visits[number] = visit
    return number


def visit_of(header: str | bytes | None) -> Visit:
    """Return the visit that a request belongs to."""
    number = header.decode() if isinstance(header, bytes) else header
    return _visits[number or ""]


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, as a sync application does with a script."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a synchronous application cannot wait for anything")


class Integration(Protocol):
    """A small application in one framework, and how to call it in this process."""

    name: str
    sync: bool
    websockets: bool
    own_driver: bool
    """Whether it calls the store itself, instead of using another integration."""

    def __init__(self, manager: SessionManager) -> None: ...

    async def fetch(self, request: Request) -> Answer: ...


# -- the world -----------------------------------------------------------------------------------


class World:
    """An application over a store, and its events."""

    def __init__(
        self,
        integration: type[Integration],
        backend: type[Backend],
        *,
        store: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.clock = FakeClock()
        self.backend = backend(**{"clock": self.clock, **(store or {})})
        self.events: list[Event] = []
        self._integration = integration
        self.start(**options)

    def start(self, **options: Any) -> None:
        """Start the application with these options. The stored sessions stay."""
        self.manager = SessionManager(self.backend.store, **options)
        self.app: Integration = self._integration(self.manager)
        for name in EVENTS:
            self.manager.off(name, self._hear)
            self.manager.on(name, self._hear)

    def _hear(self, event: Event) -> None:
        self.events.append(event)

    def tab(self, cookie: str | None = None, *, https: bool = False) -> Tab:
        """Return a new browser; with ``cookie``, one that has only this cookie."""
        tab = Tab(self, https=https)
        if cookie is not None:
            tab.jar[tab.name] = cookie
        return tab

    def heard(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    async def revoke_user(self, user: str) -> int:
        """End the user's sessions, as an operator would."""
        return int(await self.call("revoke_user", user))

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method of the manager, or await its async form if an event loop runs."""
        if in_event_loop():
            return await getattr(self.manager, f"a{method}")(*args)
        return getattr(self.manager, method)(*args)

    async def together(self, visits: Sequence[tuple[Tab, Script]]) -> list[Answer]:
        """Make parallel visits, whose scripts wait for each other at ``visit.meet()``."""
        if self.app.sync:
            return _in_threads(visits)
        meeting = TaskMeeting(len(visits))
        answers: dict[int, Answer] = {}

        async def go(number: int, tab: Tab, script: Script) -> None:
            answers[number] = await tab.visit(script, meeting=meeting)

        async with anyio.create_task_group() as group:
            for number, (tab, script) in enumerate(visits):
                group.start_soon(go, number, tab, script)
        return [answers[number] for number in range(len(visits))]


class Tab:
    """A browser: it keeps cookies and sends them."""

    def __init__(self, world: World, *, https: bool = False) -> None:
        self.world = world
        self.https = https
        self.jar: dict[str, str] = {}

    @property
    def name(self) -> str:
        return SECURE_COOKIE if self.https else COOKIE

    @property
    def cookie(self) -> str | None:
        """The value of the session cookie."""
        return self.jar.get(self.name)

    def twin(self) -> Tab:
        """Return another browser with the same cookies."""
        twin = Tab(self.world, https=self.https)
        twin.jar = dict(self.jar)
        return twin

    async def visit(
        self,
        script: Script = lambda visit: None,
        *,
        cookies: Sequence[bytes] | None = None,
        path: str = "/",
        query: str = "",
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        sent: Iterable[tuple[bytes, bytes]] = (),
        later: Script | None = None,
        websocket: bool = False,
        meeting: Meeting | None = None,
        sending: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """Make one request.

        Args:
            cookies: raw Cookie headers instead of the stored ones.
            sent: further headers of the request.
            status: the status of the application's response.
            headers: the headers of the application's response.
        """
        visit = Visit(script, status=status, headers=headers, later=later)
        visit.meeting = meeting
        number = announce(visit)
        request = Request(
            cookies=self._cookies() if cookies is None else list(cookies),
            https=self.https,
            path=path,
            query=query,
            headers=[(HEADER.encode(), number.encode()), *sent],
            websocket=websocket,
            sending=sending,
        )
        try:
            answer = await self.world.app.fetch(request)
        finally:
            del _visits[number]
        answer.result = visit.result
        for header in answer.set_cookies:
            self._keep(header)
        return answer

    def _cookies(self) -> list[bytes]:
        pairs = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        return [pairs.encode("latin-1")] if pairs else []

    def _keep(self, header: str) -> None:
        name, value, attributes = parse_set_cookie(header)
        if attributes.get("max-age") == "0":
            self.jar.pop(name, None)
        else:
            self.jar[name] = value
            issued.add(value.partition(".")[0])

    # The most frequent visits.

    async def read(self) -> dict[str, Any]:
        """Return the data of this browser's session."""
        data = (await self.visit(look)).result
        assert isinstance(data, dict)
        return data

    async def user(self) -> str | None:
        user: str | None = (await self.visit(lambda visit: visit.session.user_id)).result
        return user

    async def write(self, **values: Any) -> Answer:
        return await self.visit(write(**values))

    async def login(self, user: str, **keywords: Any) -> Answer:
        return await self.visit(login(user, **keywords))

    async def logout(self) -> Answer:
        return await self.visit(logout)


# -- scripts -------------------------------------------------------------------------------------


def look(visit: Visit) -> dict[str, Any]:
    return dict(visit.session)


def write(**values: Any) -> Script:
    return lambda visit: visit.session.update(values)


def login(user: str, **keywords: Any) -> Script:
    return lambda visit: visit.session.login(user, **keywords)


def logout(visit: Visit) -> None:
    visit.session.logout()


def rotate(visit: Visit) -> None:
    visit.session.regenerate_id()


# -- visits that wait for each other ---------------------------------------------------------------


def _in_threads(visits: Sequence[tuple[Tab, Script]]) -> list[Answer]:
    meeting = ThreadMeeting(len(visits))
    answers: dict[int, Answer] = {}

    def go(number: int, tab: Tab, script: Script) -> None:
        answers[number] = drive(tab.visit(script, meeting=meeting))

    threads = [
        threading.Thread(target=go, args=(number, tab, script))
        for number, (tab, script) in enumerate(visits)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [answers[number] for number in range(len(visits))]
