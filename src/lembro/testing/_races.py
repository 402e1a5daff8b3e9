"""Races: tests of a store that need several callers at the same time.

Each race is written once, as flows of store calls. Threads run them on a store with plain verbs,
and tasks on an async one.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from unittest import SkipTest

from .._core.effects import Call, Flow
from .._runtime.drivers import arun, performer, run
from ..errors import StoreUnavailable
from ..stores.base import Found, PerUser, Record

LIVES: dict[str, float] = {"idle": 1000.0, "life": 1000.0}


def _key(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def _call(verb: str, *args: Any, **keywords: Any) -> Flow[Any]:
    """Call a verb. Call it again if other callers kept it waiting for too long."""
    while True:
        try:
            return (yield Call(verb, args, keywords))
        except StoreUnavailable:
            continue


def _increment(key: bytes, name: str, times: int) -> Flow[None]:
    for number in range(times):
        while True:
            found: Found = yield from _call("get", key)
            count = int(found.payload.split()[0]) + 1
            # No two writes have the same payload, as in the core.
            payload = b"%d %s-%d" % (count, name.encode(), number)
            held = yield from _call(
                "set", key, Record(payload), expected=found.payload, idle=1000.0
            )
            if held is not None and held.payload == payload:
                break


def _log_in(name: str, cap: PerUser) -> Flow[bool]:
    record = Record(name.encode(), "ana")
    added: bool = yield from _call("add", _key(name), record, per_user=cap, **LIVES)
    return added


def _rotate(old: str, new: str, user: str | None, cap: PerUser | None = None) -> Flow[bool]:
    record = Record(new.encode(), user)
    found = yield from _call(
        "replace",
        _key(old),
        _key(new),
        record,
        expected=old.encode(),
        idle=1000.0,
        life=1000.0,
        grace=30.0,
        per_user=cap,
    )
    return found is not None and found.payload == record.payload


def _rotate_on(name: str, times: int) -> Flow[None]:
    """Rotate a session as long as it exists."""
    for number in range(times):
        if not (yield from _rotate(f"{name}-{number}", f"{name}-{number + 1}", "ana")):
            return


class StoreRaces:
    """Tests with threads for a store with plain verbs. Subclass it with ``make_store``.

    The store must have a clock that runs, because these tests take real time.
    """

    callers: ClassVar[int] = 8
    """How many threads or tasks take part in a race."""

    def make_store(self) -> Any:
        """Return a new, empty store."""
        raise NotImplementedError(
            f"{type(self).__name__} needs make_store(self), which returns a new, empty store"
        )

    def run_scenario(
        self, scenario: Callable[[Any, Callable[[Sequence[Flow[Any]]], list[Any]]], None]
    ) -> None:
        """Call ``scenario(store, race)`` with a new store; ``race`` runs flows in parallel."""
        store = self.make_store()
        try:
            scenario(store, lambda flows: _in_threads(store, flows))
        finally:
            if hasattr(store, "close"):
                store.close()

    def test_no_increment_is_lost(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            race([_call("add", _key("count"), Record(b"0 first"), **LIVES)])
            race([_increment(_key("count"), f"{n}", 20) for n in range(self.callers)])
            [found] = race([_call("get", _key("count"))])
            assert int(found.payload.split()[0]) == 20 * self.callers

        self.run_scenario(scenario)

    def test_a_cap_that_refuses_is_exact(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            added = race([_log_in(f"session {n}", (2, "refuse")) for n in range(50)])
            assert sum(added) == 2
            self.check_sessions(race, 2)

        self.run_scenario(scenario)

    def test_a_cap_that_ends_the_oldest_is_exact(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            added = race([_log_in(f"session {n}", (2, "oldest")) for n in range(50)])
            assert all(added)
            self.check_sessions(race, 2)

        self.run_scenario(scenario)

    def test_a_cap_is_exact_for_rotations(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            names = [f"visitor {n}" for n in range(20)]
            race([_call("add", _key(name), Record(name.encode()), **LIVES) for name in names])
            logins = [_rotate(name, f"{name} in", "ana", (2, "refuse")) for name in names]
            assert sum(race(logins)) == 2
            self.check_sessions(race, 2)

        self.run_scenario(scenario)

    def test_destroy_user_leaves_nothing_to_rotations(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            if not hasattr(store, "destroy_user"):
                raise SkipTest("the store has no destroy_user()")
            names = [f"device {n}" for n in range(self.callers)]
            race(
                [
                    _call("add", _key(f"{name}-0"), Record(f"{name}-0".encode(), "ana"), **LIVES)
                    for name in names
                ]
            )
            # Each revocation comes at another moment of the rotations.
            rotations = [_rotate_on(name, 30) for name in names]
            race([*rotations, _call("destroy_user", "ana", None)])
            keys = [_key(f"{name}-{number}") for name in names for number in range(31)]
            found = [race([_call("get", key)])[0] for key in keys]
            assert [record for record in found if record is not None] == []

        self.run_scenario(scenario)

    def test_one_of_many_rotations_wins(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            race([_call("add", _key("old"), Record(b"old"), **LIVES)])
            won = race([_rotate("old", f"new {n}", None) for n in range(16)])
            assert sum(won) == 1
            [pointer] = race([_call("get", _key("old"))])
            assert pointer.successor == _key(f"new {won.index(True)}")

        self.run_scenario(scenario)

    def test_one_of_many_destroyers_gets_the_record(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            race([_call("add", _key("one"), Record(b"one"), **LIVES)])
            found = race([_call("destroy", _key("one")) for _ in range(16)])
            assert len([record for record in found if record is not None]) == 1

        self.run_scenario(scenario)

    def test_one_of_many_adds_of_a_key_succeeds(self) -> None:
        def scenario(store: Any, race: Any) -> None:
            adds = [_call("add", _key("one"), Record(b"%d" % n), **LIVES) for n in range(16)]
            added = race(adds)
            assert sum(added) == 1
            [found] = race([_call("get", _key("one"))])
            assert found.payload == b"%d" % added.index(True)

        self.run_scenario(scenario)

    def check_sessions(self, race: Any, count: int) -> None:
        """Check how many sessions the user has, if the store lists them."""
        try:
            [listed] = race([_call("of_user", "ana")])
        except AttributeError:
            return
        assert len(list(listed)) == count


class AsyncStoreRaces(StoreRaces):
    """The same races with tasks, for an AsyncStore. Subclass it with ``make_async_store``."""

    def make_async_store(self) -> Any:
        """Return a new, empty store, or an awaitable of one. It is called on the loop."""
        raise NotImplementedError(
            f"{type(self).__name__} needs make_async_store(self), which returns a new, empty store"
        )

    def run_scenario(
        self, scenario: Callable[[Any, Callable[[Sequence[Flow[Any]]], list[Any]]], None]
    ) -> None:
        with asyncio.Runner() as runner:

            async def make() -> Any:
                made = self.make_async_store()
                return await made if inspect.isawaitable(made) else made

            store = runner.run(make())
            perform = performer(store)

            async def race(flows: Sequence[Flow[Any]]) -> list[Any]:
                return await asyncio.gather(*(arun(flow, perform) for flow in flows))

            try:
                scenario(store, lambda flows: runner.run(race(flows)))
            finally:
                if hasattr(store, "close"):
                    runner.run(store.close())


def _in_threads(store: Any, flows: Sequence[Flow[Any]]) -> list[Any]:
    """Run each flow in a thread, all at the same time."""
    if len(flows) == 1:
        return [run(flows[0], store)]
    results: dict[int, Any] = {}
    errors: list[BaseException] = []
    start = threading.Barrier(len(flows))

    def go(number: int, flow: Flow[Any]) -> None:
        start.wait()
        try:
            results[number] = run(flow, store)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=go, args=pair) for pair in enumerate(flows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(flows))]
