from __future__ import annotations

import threading
from typing import Any

import pytest

from lembro import ConfigError, Event, MemoryStore, SessionManager
from lembro.events import EVENTS, Events

CREATED = Event("created", "handle", "alice")


@pytest.fixture(params=[Events, MemoryStore, lambda: SessionManager(MemoryStore())])
def source(request: pytest.FixtureRequest) -> Any:
    """An object with ``on``, ``once`` and ``off``."""
    return request.param()


def emit(source: Any, event: Event) -> None:
    (source if isinstance(source, Events) else source.events).emit(event)


def test_on_gets_every_event_of_the_name(source: Any) -> None:
    heard: list[Event] = []
    source.on("created", heard.append)
    for event in (CREATED, Event("destroyed"), CREATED):
        emit(source, event)
    assert heard == [CREATED, CREATED]


def test_once_gets_only_the_next_event(source: Any) -> None:
    heard: list[Event] = []
    source.once("created", heard.append)
    emit(source, CREATED)
    emit(source, CREATED)
    assert heard == [CREATED]


def test_off_removes_a_listener(source: Any) -> None:
    heard: list[Event] = []
    source.on("created", heard.append)
    source.once("created", heard.append)
    source.off("created", heard.append)
    source.off("created", print)
    emit(source, CREATED)
    assert heard == []


def test_on_and_once_are_decorators(source: Any) -> None:
    heard: list[str] = []

    @source.on("created")  # type: ignore[untyped-decorator]
    def always(event: Event) -> None:
        heard.append("always")

    @source.once("created")  # type: ignore[untyped-decorator]
    def once(event: Event) -> None:
        heard.append("once")

    emit(source, CREATED)
    emit(source, CREATED)
    assert heard == ["always", "once", "always"]
    assert callable(always)
    assert callable(once)


@pytest.mark.parametrize("method", ["on", "once", "off"])
def test_an_unknown_name_is_an_error_that_lists_the_known(source: Any, method: str) -> None:
    with pytest.raises(ConfigError, match=r"must be one of created, .*error, got 'expire'"):
        getattr(source, method)("expire", print)


@pytest.mark.parametrize("method", ["on", "once"])
def test_a_listener_must_be_callable(source: Any, method: str) -> None:
    with pytest.raises(ConfigError, match="a listener must be callable, got 7"):
        getattr(source, method)("created", 7)


@pytest.mark.parametrize("method", ["on", "once"])
def test_a_coroutine_function_is_refused_as_a_listener(source: Any, method: str) -> None:
    async def listener(event: Event) -> None:
        raise AssertionError(event)

    with pytest.raises(
        ConfigError, match=r"must be a plain function, got .* which would not be awaited"
    ):
        getattr(source, method)("created", listener)
    emit(source, CREATED)


def test_a_listener_that_raises_is_logged_and_the_others_are_called(
    source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []

    def fail(event: Event) -> None:
        raise RuntimeError("the listener's own fault")

    source.on("created", fail)
    source.on("created", heard.append)
    emit(source, CREATED)
    assert heard == [CREATED]
    assert "lembro: a listener of the event 'created' failed" in caplog.text
    assert "the listener's own fault" in caplog.text


def test_listeners_are_called_in_the_order_of_their_registration() -> None:
    events, heard = Events(), list[int]()
    for i in range(5):
        events.on("created", lambda event, i=i: heard.append(i))
    events.emit_all([CREATED])
    assert heard == [0, 1, 2, 3, 4]


def test_a_listener_may_add_and_remove_others() -> None:
    events, heard = Events(), list[Event]()

    def first(event: Event) -> None:
        events.off("created", first)
        events.on("created", heard.append)

    events.on("created", first)
    events.emit(CREATED)
    events.emit(CREATED)
    assert heard == [CREATED]


def test_has_listener_tells_whether_an_event_has_one() -> None:
    events = Events()
    assert not any(events.has_listener(name) for name in EVENTS)
    events.once("created", print)
    assert events.has_listener("created")


def test_once_is_called_once_by_parallel_emits() -> None:
    events, heard = Events(), list[Event]()

    def nested(event: Event) -> None:  # another thread has read the list of listeners already
        worker = threading.Thread(target=events.emit, args=(CREATED,))
        worker.start()
        worker.join(60)

    events.once("created", nested)
    events.once("created", heard.append)
    events.emit(CREATED)
    assert heard == [CREATED]


def test_once_twice_is_called_twice() -> None:
    """The same listener is registered twice, while two threads emit."""
    events, heard = Events(), list[Event]()

    def nested(event: Event) -> None:
        worker = threading.Thread(target=events.emit, args=(CREATED,))
        worker.start()
        worker.join(60)

    events.once("created", nested)
    events.once("created", heard.append)
    events.once("created", heard.append)
    events.emit(CREATED)
    events.emit(CREATED)
    assert heard == [CREATED, CREATED]


def test_a_late_thread_does_not_remove_the_other_registration() -> None:
    events = Events()
    events.once("created", print)
    # the registration that an emit in another thread has read
    (first,) = events._listeners["created"]
    events.once("created", print)
    assert events._take("created", first)
    assert not events._take("created", first)
    assert events.has_listener("created")
