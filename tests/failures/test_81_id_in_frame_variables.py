"""81. The live ID in frame variables: a store raises after it has written.

An error reporter records the variables of every frame, so no frame may hold the ID that a browser
has or will get.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

import pytest

from fuzz import legacy_cookies
from lembro import MemoryStore, SessionManager, StoreError
from lembro._core import commit
from lembro._runtime.exchange import session_by_id
from lembro.ids import SessionID, new_id
from lembro.manager import runner_of
from lembro.migrate import (
    BeakerReader,
    DjangoSessionReader,
    ExpressSessionReader,
    FlaskSessionReader,
    Reader,
    StarsessionsReader,
    StoreReader,
)
from tests.support import django_project
from tests.support.visits import Script, Visit, World
from tests.support.worlds import CATALOGUE_KINDS, MEMORY_KINDS, only

pytestmark = pytest.mark.anyio

ACTS: dict[str, tuple[str, Script]] = {
    "add": ("add", lambda visit: visit.session.update(a=1)),
    "login": ("add", lambda visit: visit.session.login("ada")),
    "get": ("get", lambda visit: None),
    "set": ("set", lambda visit: visit.session.update(a=2)),
    "replace": ("replace", lambda visit: visit.session.regenerate_id()),
    "login again": ("replace", lambda visit: visit.session.login("bob")),
    "touch": ("touch", lambda visit: visit.session.touch()),
    "destroy": ("destroy", lambda visit: visit.session.destroy()),
}


@pytest.fixture
def issued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The IDs that are created, including those that no response carries."""
    made: list[str] = []

    def record(form: Callable[[bytes], SessionID]) -> SessionID:
        session_id = new_id(form)
        made.append(str(session_id))
        return session_id

    monkeypatch.setattr(commit, "new_id", record)
    return made


def variables(error: BaseException) -> Iterator[tuple[str, str]]:
    """Return place and repr of each variable in every frame of an error and of its causes."""
    seen: BaseException | None = error
    while seen is not None:
        traceback = seen.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if "lembro" in frame.f_globals.get("__name__", ""):
                for name, value in frame.f_locals.items():
                    yield f"{frame.f_code.co_qualname}: {name}", repr(value)
                    yield f"{frame.f_code.co_qualname}: {name}", str(args_of(value))
            traceback = traceback.tb_next
        seen = seen.__cause__ or seen.__context__


def args_of(value: object) -> object:
    """Return the arguments of a call, as an error reporter does."""
    return getattr(value, "args", "") if not inspect.isclass(value) else ""


@only([kind for kind in CATALOGUE_KINDS if kind in MEMORY_KINDS])
@pytest.mark.parametrize("act", ACTS)
async def test_no_frame_contains_the_id(world: World, act: str, issued: list[str]) -> None:
    verb, script = ACTS[act]
    tab = world.tab()
    if verb != "add":
        await tab.write(a=1)
        assert len(issued) == 1
    caught: list[BaseException] = []
    undo: list[Callable[[], None]] = []

    def writes_and_raises(real: Any, *args: Any, **keywords: Any) -> Any:
        real(*args, **keywords)
        raise StoreError("the connection was lost after the write")

    async def save(visit: Visit) -> None:
        try:
            if verb == "get":
                await visit.reload()
                await visit.atomic(len)
            script(visit)
            await visit.save()
        except StoreError as error:
            caught.append(error)

    if verb == "get":

        async def load_first(visit: Visit) -> None:
            bool(visit.session)
            undo.append(world.backend.intercept(verb, writes_and_raises))
            await save(visit)

        await tab.visit(load_first)
    else:
        undo.append(world.backend.intercept(verb, writes_and_raises))
        await tab.visit(save)
    undo[0]()
    caught += [event.error for event in world.heard("error") if event.error is not None]
    assert caught
    assert issued
    shown = [
        where for error in caught for where, text in variables(error) for i in issued if i in text
    ]
    assert shown == []


LEGACY_ID: Final = "0123456789abcdef" * 2


class Backend:
    """A backend of legacy sessions that is down."""

    def __init__(self, session_key: str = "") -> None: ...

    def load(self, *args: Any) -> Any:
        raise OSError("down")

    async def aload(self, *args: Any) -> Any:
        raise OSError("down")

    async def read(self, session_id: str, lifetime: int) -> bytes:
        raise OSError("down")


class Engine(ModuleType):
    SessionStore = Backend


DOWN: Final = Backend()
READERS: Final[dict[str, Callable[[], Reader]]] = {
    "any store": lambda: StoreReader(DOWN.load, cookie="session", lifetime=60, blocking=False),
    "in a thread": lambda: StoreReader(DOWN.load, cookie="session", lifetime=60),
    "async": lambda: StoreReader(DOWN.aload, cookie="session", lifetime=60),
    "Flask-Session": lambda: FlaskSessionReader(DOWN.load),
    "Beaker": lambda: BeakerReader(DOWN.load, cookie="session"),
    "express-session": lambda: ExpressSessionReader(
        DOWN.load, legacy_cookies.KEY, cookie="session"
    ),
    "starsessions": lambda: StarsessionsReader(DOWN),
    "Django": lambda: DjangoSessionReader("tests.engine", cookie="session"),
}


@pytest.mark.parametrize("kind", READERS)
async def test_no_frame_contains_a_legacy_cookie(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tests.engine", Engine("tests.engine"))
    assert django_project
    runner = runner_of(SessionManager(MemoryStore("64K"), migrate_from=READERS[kind]()))
    value = LEGACY_ID.encode()
    if kind == "express-session":
        value = legacy_cookies._by_express(value)
    session = session_by_id(runner, runner.cookie.read([b"session=" + value], https=False))
    with pytest.raises(StoreError) as caught:
        await session.areload()
    assert isinstance(caught.value.__cause__, OSError)
    assert [where for where, text in variables(caught.value) if LEGACY_ID in text] == []


def test_the_repr_is_masked_and_the_application_gets_a_str() -> None:
    session_id = new_id()
    assert repr(session_id) == "<session ID>"
    assert f"{session_id}" == str(session_id)
    assert type(str(session_id)) is str
    manager = SessionManager(MemoryStore("64K"))
    created = manager.create({"a": 1})
    assert type(created) is str
    session = manager.load()
    assert session.issued_id is None
    session["a"] = 1
    session.save()
    issued_id = session.issued_id
    assert issued_id is not None
    assert type(issued_id) is str
    assert manager.get(issued_id) == {"a": 1}
