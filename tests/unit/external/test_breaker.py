"""The breaker of a store."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lembro import StoreUnavailable
from lembro.stores import _breaker
from lembro.stores._breaker import Breaker


class Server:
    def __init__(self) -> None:
        self.down = True
        self.asked = 0

    def probe(self) -> None:
        self.asked += 1
        if self.down:
            raise OSError("still down")


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_breaker, "PAUSE", 0.01)


def wait(until: Callable[[], object]) -> None:
    for _ in range(500):
        if until():
            return
        time.sleep(0.01)
    raise AssertionError("it takes too long")


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == _breaker.NAME}


def test_it_lets_verbs_through_again_when_the_server_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    server = Server()
    breaker = Breaker("redis://h", server.probe)
    breaker.check()
    breaker.trip(StoreUnavailable("refused"))
    breaker.trip(StoreUnavailable("refused"))  # of a verb that had begun before
    assert breaker.is_open
    with pytest.raises(StoreUnavailable, match="redis://h does not answer"):
        breaker.check()
    wait(lambda: breaker.last_error == "still down")
    server.down = False
    wait(lambda: "redis://h answers again" in caplog.text)
    assert not breaker.is_open
    breaker.check()
    assert caplog.text.count("does not answer") == 1


def test_a_verb_that_succeeds_closes_it() -> None:
    server = Server()
    breaker = Breaker("h", server.probe)
    breaker.trip(StoreUnavailable("refused"))
    breaker.close()
    breaker.close()
    breaker.check()


def test_one_thread_probes_an_intermittent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threads()
    monkeypatch.setattr(_breaker, "PAUSE", 0.05)
    server = Server()
    breaker = Breaker("h", server.probe)
    for _ in range(5):  # some verbs succeed, others do not
        breaker.trip(StoreUnavailable("slow"))
        breaker.close()
    assert len(threads() - before) == 1
    wait(lambda: threads() <= before)
    breaker.trip(StoreUnavailable("slow"))
    assert len(threads() - before) == 1
    server.down = False
    wait(lambda: not breaker.is_open)


def test_its_thread_ends_with_the_store() -> None:
    server = Server()
    breaker = Breaker("h", server.probe)
    before = threading.active_count()
    breaker.trip(StoreUnavailable("refused"))
    while not server.asked:
        time.sleep(0.01)
    del server
    gc.collect()
    wait(lambda: threading.active_count() <= before)


def test_without_a_thread_a_verb_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    now = [10.0]
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr("lembro.stores._breaker.time.monotonic", lambda: now[0])
    breaker = Breaker("h", Server().probe)
    breaker.trip(StoreUnavailable("refused"))
    with pytest.raises(StoreUnavailable):
        breaker.check()
    now[0] += 1.5
    breaker.check()
    with pytest.raises(StoreUnavailable):  # one verb, not all
        breaker.check()


def test_a_forked_child_tries_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    breaker = Breaker("h", server.probe)
    breaker.trip(StoreUnavailable("refused"))
    monkeypatch.setattr("lembro.stores._breaker.os.getpid", lambda: -1)
    breaker.check()
    assert not breaker.is_open


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_that_was_forked_during_a_failure_can_note_its_own() -> None:
    breaker = Breaker("h", Server().probe)
    context = multiprocessing.get_context("fork")
    with breaker._lock():  # of a thread that the child does not have
        child = context.Process(target=breaker.trip, args=(StoreUnavailable("refused"),))
        child.start()
        child.join(timeout=5)
    child.kill()
    child.join(timeout=60)
    assert child.exitcode == 0


def test_it_holds_no_frames_of_a_request() -> None:
    server = Server()
    breaker = Breaker("h", server.probe)
    try:
        raise StoreUnavailable("refused")
    except StoreUnavailable as error:
        breaker.trip(error)
    assert breaker._failure is not None
    assert breaker._failure.__traceback__ is None
