"""7. IDs in logs (CVE-2023-20866): no log line, repr or traceback contains a session ID.

The same holds for cookie values and secrets, with DEBUG logging and every error that a test can
cause.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from lembro import SessionManager, StoreError
from lembro.events import Event
from tests.support import visits
from tests.support.messages import Answer
from tests.support.visits import Tab, Visit, World, look, rotate, write
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

SECRET = "a secret of 32 bytes or more, with many letters"


class Everything:
    """Collect all texts that an application might log."""

    def __init__(self, world: World, log: list[str]) -> None:
        self.world = world
        self.log = log
        self.texts: list[str] = []

    def reprs(self, visit: Visit) -> None:
        session = visit.session
        things: list[Any] = [
            session,
            session._transport,
            session._transport.runner,
            session._transport.runner.cookie,
            self.world.manager,
            self.world.manager.store,
            self.world.manager.options,
            session._presented,
            session._found,
            session._cookie,
            session.edit(),
        ]
        self.texts += [repr(thing) for thing in things] + [str(thing) for thing in things]

    def answer(self, answer: Answer) -> None:
        self.texts += [repr(answer.body), repr(answer.closed)]
        if answer.error is not None:
            self.texts += traceback.format_exception(answer.error)

    def check(self, tabs: list[Tab]) -> None:
        for event in self.world.events:
            self.texts.append(repr(event))
            if event.error is not None:
                self.texts += traceback.format_exception(event.error)
        text = "\n".join(self.texts + self.log)
        for session_id in visits.issued:
            assert session_id not in text
        for tab in tabs:
            assert tab.cookie is None or tab.cookie not in text
        assert SECRET not in text


async def test_no_error_contains_an_id(build: Build, no_id_in_any_log: list[str]) -> None:
    world = build(secret=SECRET, store={"max_session_size": 2048})
    seen = Everything(world, no_id_in_any_log)

    def raises(event: Event) -> None:
        raise RuntimeError(f"a listener that fails at {event}")

    for name in ("created", "destroyed", "rejected", "dropped", "conflict", "regenerated"):
        world.manager.on(name, raises)

    def fails(visit: Visit) -> None:
        look(visit)
        seen.reprs(visit)
        raise ZeroDivisionError

    async def gone(visit: Visit) -> None:
        look(visit)
        await tab.twin().logout()
        visit.session["a"] = 1
        seen.reprs(visit)
        await visit.reload()

    async def conflicts(visit: Visit) -> None:
        look(visit)
        await tab.write(theme="dark")
        visit.session["theme"] = "blue"

    tab = world.tab()
    seen.answer(await tab.visit(seen.reprs))
    seen.answer(await tab.write(theme="light"))
    seen.answer(await tab.login("ada"))
    seen.answer(await tab.visit(seen.reprs))
    seen.answer(await tab.visit(rotate))
    seen.answer(await tab.visit(conflicts))
    seen.answer(await tab.visit(fails))
    seen.answer(await tab.write(big="x" * 5000))
    seen.answer(await tab.visit(lambda visit: visit.session.update(a=object())))
    seen.answer(await tab.visit(lambda visit: visit.session.setdefault("l", []).append(object())))
    seen.answer(await tab.visit(lambda visit: visit.session.login("")))
    seen.answer(await tab.visit(look, later=write(late=1)))
    seen.answer(await tab.visit(look, later=lambda visit: visit.session["theme"].x))
    assert tab.cookie is not None
    forged = world.tab(tab.cookie[:-1] + "AQ"[tab.cookie.endswith("A")])
    seen.answer(await forged.visit(seen.reprs))
    double = f"sid={tab.cookie}; sid={forged.cookie}".encode()
    seen.answer(await tab.visit(write(a=1), cookies=[double]))
    (key,) = world.backend.payloads()
    world.backend.plant(key, b"\x07garbage")
    seen.answer(await tab.visit(seen.reprs))
    seen.answer(await tab.login("ada"))
    seen.answer(await tab.visit(gone))
    await tab.login("ada")
    world.backend.breaks(f"cannot reach the server at line {__name__}")
    seen.answer(await tab.visit(seen.reprs))
    seen.answer(await tab.visit(fails))
    seen.answer(await tab.login("bob"))
    assert len(no_id_in_any_log) > 10
    seen.check([tab, forged])


async def test_no_repr_or_error_of_the_manager_contains_an_id(
    build: Build, no_id_in_any_log: list[str]
) -> None:
    """Check the lists, errors and arguments that an operator sees."""
    world = build()
    if not world.backend.in_process:
        world.backend.breaks()
    manager: SessionManager = world.manager
    texts: list[str] = []
    tab = world.tab()
    await tab.login("ada")
    session_id = (tab.cookie or "x" * 43).partition(".")[0]
    for call in (manager.get, manager.touch, manager.regenerate, manager.destroy):
        try:
            texts.append(repr(manager.all()))
            call(session_id)
        except (StoreError, Exception) as error:
            texts += traceback.format_exception(error)
    texts += no_id_in_any_log
    assert session_id not in "\n".join(texts)


def test_the_log_reader_finds_a_logged_id(no_id_in_any_log: list[str]) -> None:
    logging.getLogger("lembro").debug("a line at %s", "DEBUG")
    assert no_id_in_any_log[-1] == "lembro a line at DEBUG"
    no_id_in_any_log.clear()
