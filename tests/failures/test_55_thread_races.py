"""55. Thread races (Fiber 2.52.5): 32 threads call every verb, and the interpreter switches as
often as it can.

Afterwards the store's parts are consistent. No thread gets another user's data, and no update is
lost.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from lembro import MemoryStore, SessionManager
from lembro.stores.memory.audit import recount
from tests.support.apps import PlainWSGI
from tests.support.stores import Backend, BlockingBackend
from tests.support.visits import Script, Visit, World, drive, login, logout, rotate, write

THREADS = 32


@pytest.fixture(autouse=True)
def switch_threads_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            barrier.wait(20)
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_every_verb_is_thread_safe() -> None:
    store = MemoryStore("256K", interval=0.01)
    manager = SessionManager(store, idle_timeout=0.05, absolute_timeout=0.2)
    shared = [manager.create({"n": number}, user_id=f"user-{number}") for number in range(8)]

    def work(number: int) -> None:
        chance = random.Random(number)
        mine: list[str] = []
        for _ in range(80):
            known = chance.choice(mine + shared)
            match chance.randrange(12):
                case 0 | 1:
                    mine.append(manager.create({"n": number, "x": "x" * chance.randrange(900)}))
                case 2:
                    mine.append(manager.create({"n": number}, user_id=f"user-{number % 8}"))
                case 3:
                    manager.set(known, {"x": "x" * chance.randrange(900)})
                case 4:
                    manager.regenerate(known)
                case 5:
                    manager.touch(known)
                case 6:
                    manager.destroy(known)
                case 7:
                    list(store.all())
                    store.length()
                case 8:
                    manager.user_sessions(f"user-{number % 8}")
                case 9:
                    manager.revoke_user(f"user-{chance.randrange(8)}")
                case 10:
                    store.purge()
                    store.stats()
                case _:
                    store.reduce()
            manager.get(known)
            assert store.stats().used <= store.max_size

    in_threads(work)
    with store._lock:  # the purger may run
        recount(store._parts)
    store.close()


@pytest.mark.parametrize("backend", [Backend, BlockingBackend], ids=lambda b: str(b.name))
def test_parallel_requests_of_one_session_lose_no_update(backend: type[Backend]) -> None:
    """Over WSGI: an added key is never lost, also while the session ID is rotated."""
    world = World(PlainWSGI, backend)
    tab = world.tab()
    drive(tab.login("ada"))

    def work(number: int) -> None:
        own = tab.twin()
        for step in range(8):
            script: Script = rotate if step == 4 else write(**{f"{number}-{step}": step})
            assert drive(own.visit(script)).status == 200

            def count(visit: Visit) -> object:
                return visit.atomic(lambda data: data.update(n=data.get("n", 0) + 1))

            assert drive(own.visit(count)).error is None

    in_threads(work)
    data = drive(tab.read())
    assert data.pop("n") == THREADS * 8
    assert len(data) == THREADS * 7
    assert drive(tab.user()) == "ada"
    world.backend.check()
    world.backend.close()


@pytest.mark.parametrize("backend", [Backend, BlockingBackend], ids=lambda b: str(b.name))
def test_no_thread_sees_another_users_data(backend: type[Backend]) -> None:
    world = World(PlainWSGI, backend, store={"max_size": "256K"})

    def work(number: int) -> None:
        chance = random.Random(number)
        tab = world.tab()
        for step in range(30):
            scripts = [login(f"user-{number}"), logout, rotate, write(owner=number, step=step)]
            assert drive(tab.visit(chance.choice(scripts))).status == 200
            data, user = drive(tab.read()), drive(tab.user())
            assert data.get("owner", number) == number
            assert user in (None, f"user-{number}")

    in_threads(work)
    world.backend.check()
    world.backend.close()
