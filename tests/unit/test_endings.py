"""``session.wait_ended()`` and ``session.on_ended()``."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from lembro import Event, MemoryStore, Session, SessionManager, StoreError, UsageError
from lembro._runtime import endings
from lembro.manager import runner_of
from lembro.testing import FakeClock
from tests.support.site import Site
from tests.support.stores import AsyncAdapter

SOON = 0.01  # seconds between two checks of the store
LIMIT = 20.0


class Waiting:
    """A callback, and the thread that calls it."""

    def __init__(self, session: Session, poll: float = SOON) -> None:
        self.reasons: list[str] = []
        self._called = threading.Event()
        self.stop = session.on_ended(self, poll=poll)

    def __call__(self, reason: str) -> None:
        self.reasons.append(reason)
        self._called.set()

    def told(self) -> str:
        assert self._called.wait(LIMIT)
        (reason,) = self.reasons
        return reason


def sleeps(watching: Any) -> bool:
    """Return whether the thread has asked about all sessions, and waits until one is due."""
    deadline = time.monotonic() + LIMIT
    while not watching._changed._waiters:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def thread_ends() -> bool:
    """Return whether no thread asks a store any more."""
    deadline = time.monotonic() + LIMIT
    while any(thread.name == "lembro-endings" for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(idle_timeout=1000)
    yield site
    assert thread_ends()
    site.close()


def expire(site: Site) -> None:
    site.clock.advance(1001)
    site.manager.purge()


ENDS: dict[str, tuple[Callable[[Site, str], object], str]] = {
    "logout": (Site.logout, "destroyed"),
    "revoke": (lambda site, cookie: site.manager.revoke_user("ada"), "destroyed"),
    "revoke one": (
        lambda site, cookie: site.manager.revoke(site.manager.user_sessions("ada")[0].handle),
        "destroyed",
    ),
    "expiry": (lambda site, cookie: expire(site), "expired"),
    "eviction": (
        lambda site, cookie: [site.manager.create({"n": n}, "ada") for n in range(100)],
        "evicted",
    ),
    "another login": (lambda site, cookie: site.login(cookie, "bob"), "replaced"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("rotations", [0, 2])
def test_an_end_in_this_process_is_noticed_at_once(site: Site, end: str, rotations: int) -> None:
    """The poll would come only in an hour."""
    cookie = site.new("ada")
    session = site.open(cookie)
    session.get("n")
    site.commit(session)
    waiting = Waiting(session, poll=3600)
    for _ in range(rotations):
        cookie = site.rotate(cookie)
    assert waiting.reasons == []
    act, reason = ENDS[end]
    act(site, cookie)
    assert waiting.reasons == [reason]


def test_an_end_in_another_process_is_noticed_by_polling(site: Site) -> None:
    """The store has no events, as one in another process."""
    store = AsyncAdapter(site.store)
    manager = SessionManager(store)

    async def scenario() -> list[str]:
        reasons: list[str] = []
        for act in (site.elsewhere.destroy, site.elsewhere.regenerate, bob):
            cookie = await manager.acreate({"n": 1}, "ada" if act is bob else None)
            session = await manager.aload(cookie)
            waits = asyncio.create_task(session.wait_ended(poll=SOON))
            await asyncio.sleep(0)
            act(cookie)
            reasons.append(await asyncio.wait_for(waits, LIMIT))
        return reasons

    def bob(cookie: str) -> None:
        session = site.elsewhere.load(cookie)
        session.login("bob")
        session.save()

    assert asyncio.run(scenario()) == ["destroyed", "replaced", "replaced"]


def test_a_rotation_elsewhere_is_followed(site: Site) -> None:
    store = Silent(site.store)
    cookie = site.new("ada")
    waiting = Waiting(store.manager().load(cookie))
    for _ in range(2):
        cookie = site.rotate(cookie)
        store.wait_until_asked(4)  # for the old ID, the new one, and the new one again
    site.clock.advance(600)  # no rotated ID finds the session any more
    store.wait_until_asked(2)
    assert waiting.reasons == []
    site.logout(cookie)
    assert waiting.told() == "destroyed"


class Silent:
    """A store in this process that emits no events."""

    blocking = False

    def __init__(self, store: Any) -> None:
        self._store = store
        self.error: Exception | None = None
        self.asked = 0
        self.after_get: Callable[[], object] = lambda: None

    def wait_until_asked(self, times: int) -> None:
        """Wait until the record of a session was asked for several times more."""
        goal, deadline = self.asked + times, time.monotonic() + LIMIT
        while self.asked < goal:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def manager(self, **options: Any) -> SessionManager:
        store: Any = self
        return SessionManager(store, **options)

    def __getattr__(self, name: str) -> Any:
        if name == "events":
            raise AttributeError(name)
        return getattr(self._store, name)

    def get(self, key: bytes) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        found = self._store.get(key)
        after, self.after_get = self.after_get, lambda: None
        after()
        return found


def test_an_answer_from_before_a_rotation_does_not_count(site: Site) -> None:
    store = Silent(site.store)
    manager = store.manager()
    cookie = site.new("ada")
    rotated: list[str | None] = []
    session = manager.load(cookie)
    store.after_get = lambda: rotated.append(manager.regenerate(cookie))
    waiting = Waiting(session, poll=3600)
    store.wait_until_asked(4)  # by the watch, by the rotation, and twice by the watch
    manager.destroy(rotated[0] or "")
    assert waiting.told() == "destroyed"


def test_an_expiry_is_noticed_when_the_time_is_over() -> None:
    store = MemoryStore("64K")
    manager = Silent(store).manager(idle_timeout=0.05)
    waiting = Waiting(manager.load(manager.create({"n": 1})), poll=3600)
    assert waiting.told() == "expired"
    store.close()


def test_while_the_store_is_down_no_end_is_reported(site: Site) -> None:
    store = Silent(site.store)
    manager = store.manager()
    cookie = site.new("ada")
    waiting = Waiting(manager.load(cookie))
    store.error = StoreError("down")
    store.wait_until_asked(2)
    assert waiting.reasons == []
    store.error = None
    site.logout(cookie)
    assert waiting.told() == "destroyed"


def test_a_session_that_was_used_meanwhile_has_not_expired(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0])
    monkeypatch.setattr(endings, "time", clock)
    store = Silent(site.store)
    cookie = site.new("ada")
    waiting = Waiting(store.manager().load(cookie))
    passed[0] = 1100  # more than the idle timeout, but the store's time stands still
    store.wait_until_asked(3)
    site.logout(cookie)
    assert waiting.told() == "destroyed"


def test_an_event_that_follows_the_end_gives_the_reason(site: Site) -> None:
    """The store has dropped the session already, but has not reported that yet."""
    store = Silent(site.store)
    manager = store.manager()
    cookie = site.new("ada")
    session = manager.load(cookie)
    evicted = Event("evicted", session.handle)

    def report_at_the_next_question() -> None:
        store.after_get = lambda: runner_of(manager).events.emit(evicted)

    site.logout(cookie)
    store.after_get = report_at_the_next_question
    assert Waiting(session, poll=3600).told() == "evicted"


def test_an_end_after_a_rotation_elsewhere_is_noticed_at_once(site: Site) -> None:
    """Its event names the new handle, and the poll would come only after half the grace."""
    manager = Silent(site.store).manager()
    cookie = site.new("ada")
    session = manager.load(cookie)
    rotated = site.rotate(cookie)
    waiting = Waiting(session, poll=3600)
    assert sleeps(runner_of(manager).endings)
    manager.destroy(rotated)
    assert waiting.reasons == ["destroyed"]


def test_a_new_watch_wakes_the_thread(site: Site) -> None:
    first, second = site.new("ada"), site.new("bob")
    earlier = Waiting(site.open(first), poll=3600)
    session = site.open(second)
    session.get("n")
    site.logout(second)
    assert sleeps(runner_of(site.manager).endings)
    assert Waiting(session, poll=3600).told() == "destroyed"
    earlier.stop()


def test_the_thread_runs_while_somebody_waits(site: Site) -> None:
    waiting = Waiting(site.open(site.new("ada")), poll=3600)
    [thread] = (thread for thread in threading.enumerate() if thread.name == "lembro-endings")
    assert thread.daemon
    waiting.stop()
    assert thread_ends()
    # A thread that has just ended may still be alive. The next watch starts another one.
    assert runner_of(site.manager).endings._thread is None


def test_an_end_before_the_wait_is_noticed(site: Site) -> None:
    cookie = site.new("ada")
    session = site.open(cookie)
    session.get("n")
    site.commit(session)
    site.logout(cookie)
    assert Waiting(session, poll=3600).told() == "destroyed"


def test_a_stopped_watch_is_not_called(site: Site) -> None:
    cookie = site.new("ada")
    first, second = Waiting(site.open(cookie), 3600), Waiting(site.open(cookie), 3600)
    first.stop()
    first.stop()
    site.logout(cookie)
    assert (first.reasons, second.reasons) == ([], ["destroyed"])


def test_without_watches_no_listener_is_registered(site: Site) -> None:
    events = runner_of(site.manager).events
    heard = {name: events._listeners.get(name, ()) for name in ("destroyed", "regenerated")}
    cookie = site.new("ada")
    waiting = Waiting(site.open(cookie), 3600)
    assert events._listeners["destroyed"] != heard["destroyed"]
    waiting.stop()
    assert {name: events._listeners.get(name, ()) for name in heard} == heard


def test_a_callback_that_fails_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def fail(reason: str) -> None:
        raise ZeroDivisionError

    cookie = site.new("ada")
    site.open(cookie).on_ended(fail)
    later = Waiting(site.open(cookie), 3600)
    with caplog.at_level(logging.ERROR):
        site.logout(cookie)
    assert "a callback for the end of a session failed" in caplog.text
    assert later.reasons == ["destroyed"]


def test_a_callback_that_exits_does_not_stop_the_other_watches(site: Site) -> None:
    def leave(reason: str) -> None:
        raise SystemExit

    store = Silent(site.store)
    first, second = site.new("ada"), site.new("bob")
    store.manager().load(first).on_ended(leave, poll=SOON)
    waiting = Waiting(store.manager().load(second))
    site.logout(first)
    store.wait_until_asked(4)
    site.logout(second)
    assert waiting.told() == "destroyed"


def test_a_stopped_watch_does_not_keep_its_callback(site: Site) -> None:
    """It stays in the queue until it would be due."""

    class Callback:
        def __call__(self, reason: str) -> None: ...

    callback = Callback()
    left = weakref.ref(callback)
    session = site.open(site.new("ada"))
    other = Waiting(session, 3600)  # else nothing is queued any more
    stop = session.on_ended(callback, poll=3600)
    assert sleeps(runner_of(site.manager).endings)
    stop()
    del callback, stop
    assert left() is None
    other.stop()


@pytest.mark.parametrize("is_async", [False, True])
def test_when_the_store_is_closed_nothing_is_watched(site: Site, is_async: bool) -> None:
    site.manager.open()
    waiting = Waiting(site.open(site.new("ada")), 3600)
    asyncio.run(site.manager.aclose()) if is_async else site.manager.close()
    assert thread_ends()
    assert waiting.reasons == []


def test_while_another_application_uses_the_store_the_watches_stay(site: Site) -> None:
    site.manager.open()
    site.manager.open()
    cookie = site.new("ada")
    waiting = Waiting(site.open(cookie), 3600)
    site.manager.close()
    site.logout(cookie)
    assert waiting.told() == "destroyed"
    site.manager.close()


def test_an_interrupt_in_a_callback_is_raised(site: Site) -> None:
    def interrupt(reason: str) -> None:
        raise KeyboardInterrupt

    cookie = site.new("ada")
    site.open(cookie).on_ended(interrupt, poll=3600)
    with pytest.raises(KeyboardInterrupt):
        site.logout(cookie)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_call_the_callbacks_of_its_parent(site: Site) -> None:
    cookie = site.new("ada")
    waiting = Waiting(site.open(cookie), 3600)
    with runner_of(site.manager).endings._changed:  # a thread may hold the lock during the fork
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            threading.Timer(LIMIT, os._exit, [2]).start()
            site.logout(cookie)
            later = Waiting(site.open(site.new("ada")), 3600)
            site.manager.revoke_user("ada")
            os._exit(waiting.reasons != [] or later.reasons != ["destroyed"])
    assert os.waitpid(child, 0)[1] == 0
    waiting.stop()


@pytest.mark.parametrize("act", ["nothing", "login", "logout"])
def test_there_must_be_a_stored_session(site: Site, act: str) -> None:
    session = site.open(None if act == "nothing" else site.new("ada"))
    if act != "nothing":
        getattr(session, act)(*(["bob"] if act == "login" else []))
    with pytest.raises(UsageError, match="there is no stored session to wait for"):
        session.on_ended(print)


def test_a_short_grace_shortens_the_interval(site: Site) -> None:
    """A rotated ID finds its session for the grace only."""
    store = Silent(site.store)
    manager = store.manager(rotation_grace=2 * SOON)
    waiting = Waiting(manager.load(site.new("ada")), poll=3600)
    [[watch]] = runner_of(manager).endings._watches.values()
    assert watch.poll == SOON
    store.wait_until_asked(3)
    waiting.stop()


def test_without_a_grace_a_rotation_is_not_followed() -> None:
    manager = SessionManager(MemoryStore("64K"), rotation_grace=0)
    cookie = manager.create({"n": 1}, "ada")
    waiting = Waiting(manager.load(cookie), poll=3600)
    manager.regenerate(cookie)
    assert waiting.reasons == ["replaced"]
    assert thread_ends()


# -- event loops -----------------------------------------------------------------------------------


def test_many_tasks_wait_for_one_session() -> None:
    manager = SessionManager(MemoryStore("64K", clock=FakeClock()))

    async def scenario() -> list[str]:
        cookie = manager.create({"n": 1}, "ada")
        waits = [asyncio.create_task(manager.load(cookie).wait_ended()) for _ in range(20)]
        cancelled = asyncio.create_task(manager.load(cookie).wait_ended())
        await asyncio.sleep(0.01)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        [watches] = runner_of(manager).endings._watches.values()
        assert len(watches) == 20
        manager.destroy(cookie)
        return list(await asyncio.wait_for(asyncio.gather(*waits), LIMIT))

    assert asyncio.run(scenario()) == ["destroyed"] * 20
    assert thread_ends()


def test_it_waits_under_trio() -> None:
    manager = SessionManager(MemoryStore("64K", clock=FakeClock()))
    reasons: list[str] = []

    async def scenario() -> None:
        cookie = manager.create({"n": 1}, "ada")
        session = manager.load(cookie)

        async def wait() -> None:
            reasons.append(await session.wait_ended())

        with trio.fail_after(LIMIT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                manager.destroy(cookie)

    trio.run(scenario)
    assert reasons == ["destroyed"]
    assert thread_ends()


def test_a_loop_that_is_closed_is_not_woken() -> None:
    manager = SessionManager(MemoryStore("64K", clock=FakeClock()))
    cookie = manager.create({"n": 1}, "ada")
    loop = asyncio.new_event_loop()
    task = loop.create_task(manager.load(cookie).wait_ended())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    manager.destroy(cookie)
    assert thread_ends()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()


def test_an_end_that_two_threads_notice_is_reported_once(site: Site) -> None:
    """The poll and the event may come at the same moment."""
    session = site.open(site.new("ada"))
    reasons: list[str] = []
    session.on_ended(reasons.append)
    watching: Any = runner_of(site.manager).endings
    [[watch]] = watching._watches.values()
    for _ in range(2):
        watching._end(watch, "destroyed")
    assert reasons == ["destroyed"]
