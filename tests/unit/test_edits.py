"""Edits of one session take turns: tasks of asyncio and of trio, and threads."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
import trio
import trio.testing
from anyio import CancelScope, create_task_group, to_thread, wait_all_tasks_blocked

from lembro import LembroError, SessionCommitted, SessionGone, SessionManager
from lembro._core.turns import Turns, loop_event
from lembro._http.cookie import Presented
from lembro._runtime.exchange import session_by_id
from lembro._threads import LoopBridge, in_event_loop
from lembro.manager import runner_of
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter, BlockingAdapter

STORES: dict[str, Callable[[Recorder], Any]] = {
    "in-process": lambda store: store,
    "async": AsyncAdapter,
    "blocking": BlockingAdapter,
}


class Open:
    """A session whose response has begun, and the data that is stored."""

    def __init__(self, kind: str = "in-process") -> None:
        self.store = Recorder()
        self.elsewhere = SessionManager(self.store)
        self.id = self.elsewhere.create({"n": 0}, user_id="alice")
        presented = Presented(self.id)
        manager = SessionManager(STORES[kind](self.store))
        self.session = session_by_id(runner_of(manager), presented)
        anyio.run(runner_of(manager).acommit, self.session)
        self.log: list[str] = []

    @property
    def stored(self) -> dict[str, Any] | None:
        return self.elsewhere.get(self.id)

    async def edit(self, name: str, scope: CancelScope | None = None) -> None:
        """Edit the session, let all other tasks run meanwhile, and log both."""
        with CancelScope() if scope is None else scope, anyio.fail_after(30):
            async with self.session.edit() as session:
                self.log.append(f"{name} in")
                session["n"] += 1
                await wait_all_tasks_blocked()
                self.log.append(f"{name} out")

    def edit_in_thread(self, name: str) -> None:
        with self.session.edit() as session:
            self.log.append(f"{name} in")
            session["n"] += 1
            self.log.append(f"{name} out")

    def wait_for_waiters(self, number: int = 1) -> None:
        deadline = time.monotonic() + 30
        while len(self.session._turns._waiting) < number:
            assert time.monotonic() < deadline, "no task or thread waits"
            time.sleep(0.001)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest) -> Iterator[Open]:
    opened = Open(request.param)
    yield opened
    opened.store.close()


@pytest.fixture
def near() -> Iterator[Open]:
    """A session in an in-process store, whose verbs do not wait."""
    near = Open()
    yield near
    near.store.close()


# -- tasks -----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_tasks_take_turns_in_the_order_they_came(opened: Open) -> None:
    async with create_task_group() as tasks, opened.session.edit() as session:
        for name in "abc":
            tasks.start_soon(opened.edit, name)
            await wait_all_tasks_blocked()
        session["n"] += 1
        opened.log.append("first out")
    assert opened.log == ["first out", "a in", "a out", "b in", "b out", "c in", "c out"]
    assert opened.stored == {"n": 4}


@pytest.mark.anyio
async def test_a_nested_edit_raises_at_once(opened: Open) -> None:
    async with opened.session.edit() as session:
        with pytest.raises(LembroError, match="do not nest"):
            async with opened.session.edit():
                pytest.fail("it must not begin")
        session["n"] = 1
    assert opened.stored == {"n": 1}
    await opened.edit("the next")
    assert opened.stored == {"n": 2}


@pytest.mark.anyio
async def test_a_nested_edit_before_the_response_raises_at_once(near: Open) -> None:
    session = near.elsewhere.load(near.id)
    async with session.edit():
        with pytest.raises(LembroError, match="do not nest"):
            async with session.edit():
                pytest.fail("it must not begin")
        session["n"] = 1
    assert near.stored == {"n": 1}


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_while_it_waits_leaves_the_queue(opened: Open) -> None:
    scope = CancelScope()
    async with create_task_group() as tasks, opened.session.edit():
        tasks.start_soon(opened.edit, "a", scope)
        await wait_all_tasks_blocked()
        tasks.start_soon(opened.edit, "b")
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
    assert opened.log == ["b in", "b out"]
    await opened.edit("c")
    assert opened.stored == {"n": 2}


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_at_its_turn_passes_it_on(near: Open) -> None:
    scope = CancelScope()
    async with create_task_group() as tasks:
        async with near.session.edit():
            tasks.start_soon(near.edit, "a", scope)
            await wait_all_tasks_blocked()
            tasks.start_soon(near.edit, "b")
            await wait_all_tasks_blocked()
        assert len(near.session._turns._waiting) == 1
        scope.cancel()  # the first task has its turn, but is not awake yet
    assert near.log == ["b in", "b out"]
    await near.edit("c")
    assert near.stored == {"n": 2}


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_in_its_edit_passes_the_turn_on(opened: Open) -> None:
    async with create_task_group() as tasks:
        with CancelScope() as scope:
            async with opened.session.edit() as session:
                tasks.start_soon(opened.edit, "a")
                await wait_all_tasks_blocked()
                session["n"] = 100
                scope.cancel()
                await anyio.sleep_forever()
    assert opened.stored == {"n": 1}


@pytest.mark.anyio
async def test_an_edit_that_raises_passes_the_turn_on(opened: Open) -> None:
    async with create_task_group() as tasks:
        with pytest.raises(KeyError):
            async with opened.session.edit() as session:
                tasks.start_soon(opened.edit, "a")
                await wait_all_tasks_blocked()
                session["n"] = 100
                raise KeyError
    assert opened.stored == {"n": 1}


@pytest.mark.anyio
async def test_an_edit_that_cannot_begin_passes_the_turn_on(opened: Open) -> None:
    ended: list[str] = []

    async def edit(name: str) -> None:
        with pytest.raises(SessionGone):
            await opened.edit(name)
        ended.append(name)

    async with create_task_group() as tasks, opened.session.edit():
        for name in "ab":
            tasks.start_soon(edit, name)
            await wait_all_tasks_blocked()
        opened.elsewhere.destroy(opened.id)
    assert ended == ["a", "b"]
    assert opened.log == []


@pytest.mark.anyio
async def test_an_edit_that_waited_during_a_logout_finds_no_session(near: Open) -> None:
    async def edit() -> None:
        with pytest.raises(SessionCommitted, match="no stored session to edit"):
            await near.edit("a")

    async with create_task_group() as tasks, near.session.edit() as session:
        tasks.start_soon(edit)
        await wait_all_tasks_blocked()
        session.logout()
    assert near.log == []


def test_plain_asyncio_needs_neither_anyio_nor_trio(
    near: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("anyio", "trio"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed

    async def edit(n: int) -> None:
        async with near.session.edit() as session:
            await asyncio.sleep(0)
            session["n"] += n

    async def edits() -> None:
        await asyncio.gather(*map(edit, range(1, 5)))

    asyncio.run(edits())
    assert near.stored == {"n": 10}


def test_the_turn_skips_a_task_whose_loop_is_closed(near: Open) -> None:
    """A task of that loop cannot be woken, and takes no turn when it is discarded."""
    inside, leave = threading.Event(), threading.Event()

    def edit() -> None:
        with near.session.edit():
            inside.set()
            leave.wait(30)

    first = threading.Thread(target=edit)
    first.start()
    assert inside.wait(30)
    loop = asyncio.new_event_loop()
    waiting = near.session.edit().__aenter__()
    task = loop.create_task(waiting)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    near.wait_for_waiters()
    second = threading.Thread(target=near.edit_in_thread, args=("second",))
    second.start()
    near.wait_for_waiters(2)
    leave.set()
    for thread in (first, second):
        thread.join(30)
    assert near.log == ["second in", "second out"]
    with near.session.edit():
        waiting.close()
        assert near.session._turns._current is not None
    assert not task.done()


# -- threads ---------------------------------------------------------------------------------------


def test_threads_take_turns(near: Open) -> None:
    thread = threading.Thread(target=near.edit_in_thread, args=("b",))
    with near.session.edit() as session:
        thread.start()
        near.wait_for_waiters()
        session["n"] += 1
        near.log.append("a out")
    thread.join(30)
    assert near.log == ["a out", "b in", "b out"]
    assert near.stored == {"n": 2}


def test_many_threads_lose_no_edit(near: Open) -> None:
    def edits() -> None:
        for _ in range(20):
            with near.session.edit() as session:
                session["n"] += 1

    threads = [threading.Thread(target=edits) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert near.stored == {"n": 160}


def test_a_nested_edit_of_a_thread_raises_at_once(near: Open) -> None:
    with near.session.edit() as session:
        with pytest.raises(LembroError, match="do not nest"), near.session.edit():
            pytest.fail("it must not begin")
        session["n"] = 1
    assert near.stored == {"n": 1}


def test_an_edit_in_a_loop_that_runs_within_an_edit_is_nested(near: Open) -> None:
    with near.session.edit(), pytest.raises(LembroError, match="do not nest"):
        asyncio.run(near.edit("a"))


def test_an_interrupted_wait_leaves_nothing_locked(near: Open) -> None:
    # A process that a shell starts in the background ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    inside, leave = threading.Event(), threading.Event()

    def edit() -> None:
        with near.session.edit():
            inside.set()
            near.wait_for_waiters()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # Ctrl-C
            leave.wait(30)

    thread = threading.Thread(target=edit)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(KeyboardInterrupt):
        near.edit_in_thread("a")
    signal.signal(signal.SIGINT, before)
    leave.set()
    thread.join(30)
    near.edit_in_thread("b")
    assert near.log == ["b in", "b out"]


# -- tasks and threads -----------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_thread_waits_for_a_task(near: Open) -> None:
    async with create_task_group() as tasks, near.session.edit() as session:
        tasks.start_soon(to_thread.run_sync, near.edit_in_thread, "thread")
        await to_thread.run_sync(near.wait_for_waiters)
        session["n"] += 1
        near.log.append("task out")
    assert near.log == ["task out", "thread in", "thread out"]
    assert near.stored == {"n": 2}


@pytest.mark.anyio
async def test_a_task_waits_for_a_thread(near: Open) -> None:
    inside = threading.Event()

    def edit() -> None:
        with near.session.edit() as session:
            inside.set()
            near.wait_for_waiters()
            session["n"] += 1
            near.log.append("thread out")

    async with create_task_group() as tasks:
        tasks.start_soon(to_thread.run_sync, edit)
        await to_thread.run_sync(inside.wait)
        await near.edit("task")
    assert near.log == ["thread out", "task in", "task out"]
    assert near.stored == {"n": 2}


@pytest.mark.anyio
async def test_a_plain_with_does_not_block_the_loop(near: Open) -> None:
    near.edit_in_thread("a")  # no other edit is open, so it does not wait

    async def edit() -> None:
        with pytest.raises(LembroError, match="async with"):
            near.edit_in_thread("b")
        near.log.append("raised")

    async with create_task_group() as tasks, near.session.edit():
        tasks.start_soon(edit)
        await wait_all_tasks_blocked()
    assert near.log == ["a in", "a out", "raised"]


# -- the lock of a session -------------------------------------------------------------------------


def test_a_session_that_is_never_edited_has_no_lock(near: Open) -> None:
    assert near.session["n"] == 0
    assert not hasattr(near.session, "_turns")
    with near.session.edit():
        assert near.session._turns._current is not None
    assert near.session._turns._current is None


def test_the_first_edits_of_two_threads_share_a_lock(near: Open) -> None:
    at_once, turns = threading.Barrier(2), []

    def first() -> None:
        at_once.wait(30)
        turns.append(near.session.edit()._turns)

    threads = [threading.Thread(target=first) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert turns[0] is turns[1]


# -- races -----------------------------------------------------------------------------------------


def test_a_thread_does_not_wait_for_a_turn_that_becomes_free_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = Turns()
    turns.acquire()  # no limit: Turns.acquire takes none

    def event() -> Any:
        turns.release()  # by another thread, before this one has joined the queue
        return Event()

    def acquire() -> None:
        monkeypatch.setattr(threading, "Event", event)
        turns.acquire()  # no limit: Turns.acquire takes none
        monkeypatch.undo()

    Event = threading.Event
    in_a_thread(acquire)
    turns.release()


@pytest.mark.anyio
async def test_a_task_does_not_wait_for_a_turn_that_becomes_free_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = Turns()
    in_a_thread(turns.acquire)

    def signal() -> Any:
        turns.release()
        return asyncio.Event().wait, None

    monkeypatch.setattr("lembro._core.turns.loop_event", signal)
    with anyio.fail_after(30):
        await turns.aacquire()
    turns.release()


def in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_a_second_thread_finds_a_lock_that_was_created_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_ = Open()
    first = Turns()

    class Creating:
        def __enter__(self) -> None:
            open_.session._turns = first

        def __exit__(self, *exc: object) -> None: ...

    monkeypatch.setattr("lembro._core.edit._creating", Creating())
    with open_.session.edit() as session:
        session["n"] = 5
        assert first._current is not None
    assert open_.stored == {"n": 5}
    open_.store.close()


def test_trio_as_a_guest_of_asyncio() -> None:
    """A loop of asyncio runs, but the task belongs to trio."""
    open_ = Open()

    async def edits() -> None:
        async with trio.open_nursery() as nursery:
            for name in ("one", "other"):
                nursery.start_soon(edit, name)

    async def edit(name: str) -> None:
        async with open_.session.edit() as session:
            open_.log.append(f"{name} in")
            session["n"] += 1
            await trio.testing.wait_all_tasks_blocked()
            open_.log.append(f"{name} out")

    async def host() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        trio.lowlevel.start_guest_run(
            edits, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
        )
        (await asyncio.wait_for(done, 30)).unwrap()

    asyncio.run(host())
    assert open_.stored == {"n": 2}
    assert [entry.split()[1] for entry in open_.log] == ["in", "out", "in", "out"]
    open_.store.close()


def test_trio_where_asyncio_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> bool:
        wait, wake = loop_event()
        wake()
        await wait()
        return in_event_loop()

    monkeypatch.delitem(sys.modules, "asyncio")
    assert trio.run(scenario)


def test_a_coroutine_runs_on_the_known_loop_where_anyio_is_not_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bridge = LoopBridge()

    async def answer() -> int:
        return 42

    async def scenario() -> int:
        bridge.note_loop()
        return await asyncio.to_thread(bridge.run, answer)

    monkeypatch.delitem(sys.modules, "anyio")
    assert asyncio.run(scenario()) == 42
