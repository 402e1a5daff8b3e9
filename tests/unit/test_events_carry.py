"""The fields of each event, as ``docs/events.md`` describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lembro import Event, MemoryStore, SessionManager
from lembro._core.session import Session
from lembro._http.cookie import DUPLICATE, MALFORMED, Presented
from lembro._runtime.exchange import session_by_id
from lembro.events import EVENTS
from lembro.ids import handle_for, key_for
from lembro.manager import runner_of
from lembro.stores.base import Record


class Heard:
    """A manager with a fixed time, and all its events."""

    def __init__(self, **options: Any) -> None:
        self.now = 1000.0
        self.manager = SessionManager(MemoryStore("64K", clock=lambda: self.now), **options)
        self.events: list[Event] = []
        for name in EVENTS:
            self.manager.on(name, self.events.append)

    def of(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


def handle(session_id: str | None) -> str:
    assert session_id is not None
    return handle_for(key_for(session_id))


def test_created() -> None:
    heard = Heard()
    session_id = heard.manager.create({"a": 1}, user_id="heidi")
    assert heard.events == [Event("created", handle(session_id), "heidi")]


def test_regenerated() -> None:
    heard = Heard()
    before = heard.manager.create({"a": 1})
    session = heard.manager.load(before)
    session.login("heidi")
    session.save()
    after = heard.manager.regenerate(session.issued_id or "")
    assert heard.of("regenerated") == [
        Event("regenerated", handle(session.issued_id), "heidi", previous=handle(before)),
        Event("regenerated", handle(after), "heidi", previous=handle(session.issued_id)),
    ]
    assert len(heard.of("created")) == 1
    assert heard.of("destroyed") == []


def _logout(session: Session) -> None:
    session.logout()
    session.save()


def _logout_others(manager: SessionManager, session: Session) -> None:
    manager.create(user_id="heidi")
    session.logout_others()
    session.save()


def _logout_everywhere(session: Session) -> None:
    session.logout_everywhere()
    session.save()


@pytest.mark.parametrize(
    "end",
    [
        lambda manager, session: _logout(session),
        _logout_others,
        lambda manager, session: _logout_everywhere(session),
        lambda manager, session: session.revoke(session.handle),
        lambda manager, session: manager.revoke(session.handle),
        lambda manager, session: manager.revoke_user("heidi"),
    ],
    ids=["logout", "logout_others", "logout_everywhere", "revoke own", "revoke", "revoke_user"],
)
def test_destroyed(end: Callable[[SessionManager, Session], object]) -> None:
    heard = Heard()
    session = heard.manager.load(heard.manager.create(user_id="heidi"))
    end(heard.manager, session)
    [event] = heard.of("destroyed")
    ended = {event.handle for event in heard.of("created")}
    assert event.handle in ended
    assert event == Event("destroyed", event.handle, "heidi")


def test_destroyed_by_id() -> None:
    heard = Heard()
    session_id = heard.manager.create(user_id="heidi")
    heard.manager.destroy(session_id)
    heard.manager.destroy(session_id)
    assert heard.of("destroyed") == [Event("destroyed", handle(session_id), "heidi")]


def test_clear_is_one_event() -> None:
    heard = Heard()
    heard.manager.create({"a": 1})
    heard.manager.create({"a": 1})
    heard.manager.clear()
    asyncio.run(heard.manager.aclear())
    assert [event.name for event in heard.events] == ["created", "created", "cleared", "cleared"]
    assert heard.of("cleared") == [Event("cleared"), Event("cleared")]


def test_expired() -> None:
    heard = Heard(idle_timeout=60)
    session_id = heard.manager.create(user_id="heidi")
    heard.now += 61
    heard.manager.purge()
    assert heard.of("expired") == [Event("expired", handle(session_id), "heidi")]


def test_evicted_for_the_cap_of_a_user() -> None:
    heard = Heard(max_sessions_per_user=1)
    first = heard.manager.create(user_id="heidi")
    heard.manager.create(user_id="heidi")
    assert heard.of("evicted") == [
        Event("evicted", handle(first), "heidi", "max_sessions_per_user")
    ]


def test_evicted_when_memory_is_short() -> None:
    heard = Heard()
    ids = [heard.manager.create({"text": "x" * 1000}) for _ in range(100)]
    assert heard.of("evicted")[0] == Event("evicted", handle(ids[0]), None, "memory")


@pytest.mark.parametrize("presented", [DUPLICATE, MALFORMED])
def test_rejected_cookies(presented: Presented) -> None:
    heard = Heard()
    session = session_by_id(runner_of(heard.manager), presented)
    assert dict(session) == {}
    assert heard.events == [Event("rejected", reason=presented.problem)]


def test_rejected_records() -> None:
    heard = Heard()
    key = key_for("A" * 43)
    store: Any = heard.manager.store
    store.add(key, Record(b"5", "heidi"), idle=60, life=60)
    assert heard.manager.get("A" * 43) is None
    [event] = heard.events
    assert (event.name, event.handle, event.user_id) == ("rejected", handle_for(key), "heidi")
    assert event.reason == str(event.error)


def test_an_unknown_id_is_no_event() -> None:
    heard = Heard()
    assert heard.manager.get("A" * 43) is None
    assert heard.events == []


def test_dropped() -> None:
    heard = Heard()
    session_id = heard.manager.create({"a": 1}, user_id="heidi")
    session = heard.manager.load(session_id)
    heard.manager.destroy(session_id)
    session["a"] = 2
    session.save()
    assert heard.of("dropped") == [
        Event("dropped", handle(session_id), "heidi", "the session has ended")
    ]


def test_conflict() -> None:
    heard = Heard()
    session_id = heard.manager.create({"a": {"b": 1}}, user_id="heidi")
    one, other = heard.manager.load(session_id), heard.manager.load(session_id)
    one["a"] = {"b": 2}
    one.save()
    other["a"] = {"b": 3}
    other.save()
    [event] = heard.of("conflict")
    assert (event.handle, event.user_id) == (handle(session_id), "heidi")
    assert event.reason.startswith("a.b: ")


def test_reduced() -> None:
    heard = Heard()
    heard.manager.reduce()
    (event,) = heard.events
    assert event == Event("reduced", reason="0 evicted", evicted=0, used=event.used)
    assert event.used == heard.manager.stats().used


def test_error() -> None:
    heard = Heard()
    store: Any = heard.manager.store
    error = RuntimeError("the disk is full")
    store._purge_failed(error)
    assert heard.events == [Event("error", error=error)]


def test_the_store_and_the_manager_share_their_events() -> None:
    heard = Heard()
    seen: list[Event] = []
    store: Any = heard.manager.store
    store.on("created", seen.append)
    heard.manager.create({"a": 1})
    assert seen == heard.events
