"""What integrations by hooks share: see the module's own text."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import MemoryStore, SessionManager, StoreError
from lembro._core.session import Session
from lembro.integrations import _adapter
from lembro.migrate import LegacySession, Reader, StoreReader
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore("1M"))


def _added_by(session: Session, *, https: bool = False, **headers: str) -> dict[str, str]:
    """The headers of a response that has these, with what the session adds."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}

    def lines_of(name: str) -> list[str]:
        return [given[name]] if name in given else []

    lines = _adapter.add_headers(session, given, lines_of, https=https, client="127.0.0.1")
    return {**given, "Set-Cookie": "\n".join(lines)} if lines else given


def _cookie_of(headers: dict[str, str]) -> str:
    return headers["Set-Cookie"].partition(";")[0]


def test_what_nobody_looks_at_leaves_no_trace(manager: SessionManager) -> None:
    session = _adapter.begin(manager, "sid=" + "a" * 43, https=False)
    assert _adapter.commit(session, 200) is None
    assert _added_by(session) == {}


def test_a_visit_and_the_next(manager: SessionManager) -> None:
    first = _adapter.begin(manager, None, https=False)
    first["a"] = 1
    assert _adapter.commit(first, 200) is None
    added = _added_by(first, Vary="Accept", Cache_Control="public")
    assert added["Vary"] == "Accept, Cookie"
    assert added["Cache-Control"] == "private, no-store"

    second = _adapter.begin(manager, f"theme=ä; {_cookie_of(added)}", https=False)
    assert second["a"] == 1
    assert _adapter.commit(second, 200) is None
    assert _added_by(second, Vary="cookie") == {"Vary": "cookie"}


def test_a_handler_that_failed(manager: SessionManager) -> None:
    session = _adapter.begin(manager, None, https=False)
    session["a"] = 1
    assert _adapter.commit(session, 500) is None
    assert _added_by(session) == {"Vary": "Cookie"}
    assert manager.length() == 0


def test_an_answer_in_place_of_the_response() -> None:
    manager = SessionManager(MemoryStore("1M", max_session_size="4K"))
    session = _adapter.begin(manager, None, https=False)
    session["a"] = "x" * 5000
    answer = _adapter.commit(session, 200)
    assert answer is not None
    assert answer.status == 500


@pytest.mark.anyio
async def test_in_an_event_loop(manager: SessionManager) -> None:
    session = await _adapter.abegin(manager, "", https=True)
    session["a"] = 1
    assert await _adapter.acommit(session, 200) is None
    assert _cookie_of(_added_by(session, https=True)).startswith("__Host-sid=")


def test_lone_surrogates_in_a_header(manager: SessionManager) -> None:
    session = _adapter.begin(manager, "sid=\ud800", https=False)
    assert dict(session) == {}
    assert not isinstance(session._failure, StoreError)


@pytest.mark.anyio
async def test_in_an_event_loop_nobody_looks(manager: SessionManager) -> None:
    session = await _adapter.abegin(manager, "sid=" + "a" * 43, https=False)
    assert await _adapter.acommit(session, 200) is None
    assert _added_by(session) == {}


@pytest.mark.anyio
async def test_over_a_networked_store() -> None:
    store = Recorder()
    manager = SessionManager(AsyncAdapter(store))
    cookie = await manager.acreate({"a": 1})
    session = await _adapter.abegin(manager, f"sid={cookie}", https=False)
    assert store.verbs == ["add", "get"]
    assert session["a"] == 1
    session["a"] = 2
    store.fail.add("set")
    answer = await _adapter.acommit(session, 200)
    assert answer is not None
    assert answer.status == 503
    store.close()


class Down(StoreError):
    """Of a store of somebody else's, made of more than a message."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} is down")
        self.port = port


@pytest.mark.anyio
async def test_each_look_raises_what_the_store_raised() -> None:
    class Store(AsyncAdapter):
        async def get(self, *args: Any, **keywords: Any) -> Any:
            raise Down("db", 5432) from OSError("refused")

    manager = SessionManager(Store(MemoryStore("1M")))
    session = await _adapter.abegin(manager, "sid=" + "a" * 43, https=False)
    for _ in range(2):
        with pytest.raises(Down, match=r"^db:5432 is down$") as raised:
            len(session)
        assert raised.value.port == 5432
        assert repr(raised.value.__cause__) == "OSError('refused')"


class Before(Reader):
    def read(self, value: str) -> LegacySession:
        return self.session({"a": value})


def test_a_session_of_old_moves_in_and_its_cookie_is_cleared() -> None:
    manager = SessionManager(MemoryStore("1M"), migrate_from=Before(cookie="before", lifetime=60))
    session = _adapter.begin(manager, "before=1", https=False)
    assert session["a"] == "1"
    assert _adapter.commit(session, 200) is None
    added = _added_by(session)
    _, old = added["Set-Cookie"].splitlines()
    assert old.startswith("before=;")
    following = _adapter.begin(manager, _cookie_of(added), https=False)
    assert following["a"] == "1"


@pytest.mark.anyio
async def test_one_that_has_to_be_waited_for_is_there_before_the_handler() -> None:
    async def load(session_id: str) -> dict[str, str]:
        return {"a": session_id}

    reader = StoreReader(load, cookie="before", lifetime=60)
    manager = SessionManager(MemoryStore("1M"), migrate_from=reader)
    session = await _adapter.abegin(manager, "before=12345678", https=False)
    assert session["a"] == "12345678"
    nothing = await _adapter.abegin(manager, None, https=False)
    assert nothing._is_unused()
