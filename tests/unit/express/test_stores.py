"""Promises for each format: a session that Express wrote is read, and no write of Express is
undone."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lembro import CodecError, Record, UsageError
from lembro._core import codec
from lembro.express.ids import key_of
from lembro.ids import handle_for, key_for

from .conftest import COOKIE, Place, Visitor

SID = "9w6PKbjSm_yO4gFfjC1SdA_6kzRQ7FwN"
K, L = key_of("k"), key_of("l")


def payload(mark: int, **data: Any) -> bytes:
    return codec.with_mark(codec.encode({"remember": False}, data), mark.to_bytes(6))


def ann(**data: Any) -> dict[str, Any]:
    return {"passport": {"user": "ann"}, **data}


# -- reading


def test_a_session_of_express_is_read(place: Place) -> None:
    place.put(SID, ann(cart=[{"ü": 1.5}], n=None))
    visitor = Visitor(place.manager(), SID)
    assert visitor.visit(dict) == ann(cart=[{"ü": 1.5}], n=None)
    assert visitor.visit(lambda session: session.user_id) == "ann"
    assert visitor.sent == []
    assert place.manager().get("unknown") is None


def test_an_expired_session_is_not_read(place: Place) -> None:
    place.put(SID, ann(), left=1000)
    manager = place.manager(absolute_timeout=1000, idle_timeout=1000)
    assert manager.touch(SID)
    body = place.body(SID)
    place.change(SID, lembro={"born": 1000, "death": 2000}, **body)
    assert manager.get(SID) is None
    assert manager.destroy(SID) is False


def test_the_stored_time_counts_and_not_that_of_the_cookie(place: Place) -> None:
    place.put(SID, ann(), originalMaxAge=5000, expires="2020-01-01T00:00:00.000Z")
    assert Visitor(place.manager(), SID).visit(lambda session: session.user_id) == "ann"


@pytest.mark.parametrize("text", ["no JSON", "5", "[]", '"x"', '{"a": NaN}', "[" * 9000])
def test_a_record_that_is_no_session_gives_an_anonymous_one_and_stays(
    place: Place, text: str
) -> None:
    if not place.takes(text):
        return  # the database refuses it
    place.put_text(SID, text, 1000)
    before = place.text(SID)
    visitor = Visitor(place.manager(), SID)
    assert visitor.visit(dict) == {}
    assert len(visitor.saw("rejected")) == 1
    visitor.visit(lambda session: session.update(a=1))
    assert visitor.session_id != SID
    assert place.text(SID) == before


# -- writing


def test_a_write_keeps_what_express_needs(place: Place) -> None:
    cookie = {"originalMaxAge": 60000, "expires": "2026-01-01T00:00:00.000Z", "sameSite": "lax"}
    place.put(SID, ann(a=1), left=5, **cookie)
    visitor = Visitor(place.manager(), SID)
    visitor.visit(lambda session: session.update(b=[2]))
    body = place.body(SID)
    assert (body["a"], body["b"], body["passport"]) == (1, [2], {"user": "ann"})
    assert body["cookie"]["sameSite"] == "lax"
    assert body["cookie"]["originalMaxAge"] == 60000
    assert body["cookie"]["expires"] > "2026-06"
    assert 50 < place.left(SID) <= 60
    assert set(body["lembro"]) == {"mark"}


def test_two_writes_in_one_request_are_kept(place: Place) -> None:
    def handler(session: Any) -> None:
        session["a"] = 1
        session.save()
        session["b"] = 2

    visitor = Visitor(place.manager())
    visitor.visit(handler)
    assert visitor.visit(dict) == {"a": 1, "b": 2}
    visitor.visit(lambda session: session.update(c=3))
    assert visitor.visit(dict) == {"a": 1, "b": 2, "c": 3}
    assert visitor.saw("conflict") == []


def test_a_write_of_express_in_the_middle_of_a_request_is_merged(place: Place) -> None:
    place.put(SID, ann(cart=[1]))

    def handler(session: Any) -> None:
        session["cart"].append(2)
        place.change(SID, cart=[1, 3], views=5)

    visitor = Visitor(place.manager(), SID)
    visitor.visit(handler)
    assert visitor.visit(dict) == ann(cart=[1, 3, 2], views=5)
    assert visitor.saw("conflict") == []


def test_express_may_extend_a_session_in_the_middle_of_a_request(place: Place) -> None:
    place.put(SID, ann(n=[1]))

    def handler(session: Any) -> None:
        session["n"].append(2)
        place.put(SID, ann(n=[1]), expires="2026-11-30T15:18:55.113Z")

    visitor = Visitor(place.manager(), SID)
    visitor.visit(handler)
    assert place.body(SID)["n"] == [1, 2]


def test_a_write_after_a_session_was_added_is_merged_with_that_of_express(place: Place) -> None:
    def handler(session: Any) -> None:
        session["a"] = 1
        session.save()
        place.change(session.issued_id, b=2)
        session["c"] = 3

    visitor = Visitor(place.manager())
    visitor.visit(handler)
    assert visitor.visit(dict) == {"a": 1, "b": 2, "c": 3}


def test_a_session_that_express_ended_is_not_restored(place: Place) -> None:
    place.put(SID, ann())

    def handler(session: Any) -> None:
        session["a"] = 1
        place.remove(SID)

    visitor = Visitor(place.manager(), SID)
    visitor.visit(handler)
    assert place.text(SID) is None
    assert [event.reason for event in visitor.saw("dropped")] == ["the session has ended"]
    assert place.manager().touch(SID) is False


def test_a_session_that_becomes_unreadable_is_not_written_over(place: Place) -> None:
    place.put(SID, ann())
    text = '{"cookie":{},"a":"\\ud800"}'  # Express reads it, and lembro does not
    if not place.takes(text):
        return  # the database refuses it

    def handler(session: Any) -> None:
        session["a"] = 1
        place.put_text(SID, text, 1000)

    Visitor(place.manager(), SID).visit(handler)
    assert place.text(SID) == text


def test_no_increment_of_parallel_requests_is_lost(place: Place) -> None:
    manager = place.manager()
    session_id = manager.create({"n": 0})

    def count(data: Any) -> None:
        data["n"] += 1

    def increment(_: int) -> None:
        visitor = Visitor(manager, session_id)
        for _ in range(5):
            visitor.visit(lambda session: session.atomic(count))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(4)))
    assert place.body(session_id)["n"] == 20


# -- logins and logouts


def test_a_login_moves_the_session(place: Place) -> None:
    place.put(SID, {"cart": [1], "_csrf": "x"})
    visitor = Visitor(place.manager(), SID)
    visitor.visit(lambda session: session.login("ben"))
    assert place.text(SID) is None
    body = place.body(visitor.session_id)
    assert (body["cart"], body["passport"]) == ([1], {"user": "ben"})
    assert "_csrf" not in body
    assert set(body["lembro"]) == {"mark", "born"}
    assert visitor.visit(lambda session: session.user_id) == "ben"
    assert place.manager().get(visitor.session_id) == {
        "cart": [1],
        "passport": {"user": "ben"},
    }


def test_a_login_merges_what_express_wrote_meanwhile(place: Place) -> None:
    place.put(SID, {"cart": [1]})

    def handler(session: Any) -> None:
        session.login("ben")
        place.change(SID, views=5)

    visitor = Visitor(place.manager(), SID)
    visitor.visit(handler)
    assert visitor.visit(dict) == {"cart": [1], "views": 5, "passport": {"user": "ben"}}
    assert place.text(SID) is None


def test_a_login_after_express_has_ended_the_session_begins_a_new_one(place: Place) -> None:
    place.put(SID, {"cart": [1]})

    def handler(session: Any) -> None:
        session.login("ben")
        place.remove(SID)

    visitor = Visitor(place.manager(), SID)
    visitor.visit(handler)
    assert visitor.visit(dict) == {"cart": [1], "passport": {"user": "ben"}}


def test_regenerate_id_keeps_data_and_age(place: Place) -> None:
    manager = place.manager(idle_timeout=1000, absolute_timeout=100_000)
    old = manager.create({"a": 1}, "ann")
    before = place.body(old)
    new = manager.regenerate(old)
    assert new is not None
    after = place.body(new)
    for body in (before, after):
        del body["lembro"]["mark"]
    assert before == after
    assert set(after["lembro"]) == {"born", "death"}
    assert manager.get(old) is None
    assert manager.regenerate(old) is None


def test_an_application_may_write_the_user_itself(place: Place) -> None:
    def login(session: Any) -> None:
        session["passport"] = {"user": "ben"}
        session.regenerate_id()

    def logout(session: Any) -> None:
        del session["passport"]
        session.regenerate_id()

    visitor = Visitor(place.manager())
    visitor.visit(lambda session: session.update(a=1))
    for handler, user in ((login, "ben"), (logout, None)):
        before = visitor.session_id
        visitor.visit(handler)
        assert visitor.visit(lambda session: (session.user_id, session["a"])) == (user, 1)
        assert visitor.session_id != before


def test_a_logout_removes_the_session_and_the_cookie(place: Place) -> None:
    place.put(SID, ann())
    visitor = Visitor(place.manager(), SID)
    visitor.visit(lambda session: session.logout())
    assert place.text(SID) is None
    assert visitor.sent[0].startswith("connect.sid=; Path=/; Expires=Thu, 01 Jan 1970")


# -- lifetimes


def test_a_touch_extends_the_session_and_changes_nothing_else(place: Place) -> None:
    place.put(SID, ann(), left=100)
    text = place.text(SID)
    visitor = Visitor(place.manager(idle_timeout=5000), SID)
    visitor.visit(lambda session: session.user_id)
    assert place.left(SID) > 4900
    assert place.text(SID) == text
    assert visitor.sent == []


# -- all sessions


def test_sessions_are_listed_counted_and_ended(place: Place) -> None:
    place.put("a.b", ann(n=1))
    place.put("c", {"n": 2})
    place.put_text("d", "5", 1000)
    manager = place.manager()
    infos = {info.handle: info for info in manager.all()}
    handles = {name: handle_for(key_for(name)) for name in ("a.b", "c", "d")}
    assert infos.keys() == set(handles.values())
    assert infos[handles["a.b"]].user_id == "ann"
    assert infos[handles["c"]].data == {"n": 2}
    assert manager.length() == 3
    assert manager.revoke(handles["a.b"]) is True
    assert manager.revoke(handles["a.b"]) is False
    assert place.text("a.b") is None
    assert manager.destroy("c") is True
    assert manager.length() == 1
    manager.clear()
    assert manager.length() == 0
    assert manager.purge() == 0
    assert manager.stats().available  # type: ignore[union-attr]


# -- the verbs of the store


def test_add_and_replace_refuse_an_id_that_exists(place: Place) -> None:
    lives: dict[str, Any] = {"idle": 100.0, "life": math.inf}
    assert place.store.add(K, Record(payload(0, a=1)), **lives)
    assert not place.store.add(K, Record(payload(0, a=2)), **lives)
    assert place.store.add(L, Record(payload(0, b=1)), **lives)
    held = place.store.get(K)
    moved = place.store.replace(
        K, L, Record(payload(1, a=1)), expected=held.payload, idle=100.0, life=None, grace=0.0
    )
    assert moved is None
    assert (place.body("k")["a"], place.body("l")["b"]) == (1, 1)


def test_destroy_compares_if_it_is_asked_to(place: Place) -> None:
    place.store.add(K, Record(payload(0, a=1)), idle=100.0, life=math.inf)
    held = place.store.get(K)
    assert place.store.destroy(L, expected=held.payload) is None
    assert place.store.destroy(K, expected=payload(5, a=1)) is None
    found = place.store.destroy(K, expected=held.payload)
    assert found.payload == held.payload
    assert place.store.destroy(K) is None


def test_a_write_that_runs_twice_returns_what_the_first_run_did(place: Place) -> None:
    place.put("k", {"n": [1]})
    held = place.store.get(K)
    record = Record(payload(7, n=[1, 2]))
    for _ in range(2):  # as after a connection that broke before the reply came
        found = place.store.set(K, record, expected=held.payload, idle=100.0)
        assert found.payload == record.payload
    place.change("k", n=[1, 2, 3])
    found = place.store.set(K, record, expected=held.payload, idle=100.0)
    assert found.payload == record.payload
    following = Record(payload(8, n=[]))
    found = place.store.set(K, following, expected=found.payload, idle=100.0)
    assert codec.decode(found.payload)[1] == {"n": [1, 2, 3]}  # Express's write is not undone


def test_a_key_of_another_manager_is_refused(place: Place) -> None:
    with pytest.raises(UsageError, match="needs an ExpressManager"):
        place.store.get(key_for("k"))


def test_a_value_that_express_cannot_keep_is_refused_and_nothing_is_stored(place: Place) -> None:
    place.put(SID, ann())
    before = place.text(SID)
    manager = place.manager()
    for value in (math.nan, 2**53 + 1, (1, 2)):
        with pytest.raises(CodecError):
            manager.set(SID, {"a": [value]})
    for key in ("cookie", "lembro", "id", "save", "toString", "__proto__"):  # Express drops them
        with pytest.raises(CodecError, match=f"the key '{key}' of an Express session"):
            manager.set(SID, {key: 1})
    assert place.text(SID) == before


# -- async


def test_the_async_verbs_do_the_same(place: Place) -> None:
    async def scenario() -> None:
        manager = place.manager()
        session_id = await manager.acreate({"a": 1}, "ann")
        session = await manager.aload(session_id)
        session["b"] = 2
        place.change(session_id, c=3)
        await session.asave()
        assert await manager.aget(session_id) == ann(a=1, b=2, c=3)
        new = await manager.aregenerate(session_id)
        assert new is not None
        assert await manager.aget(session_id) is None
        assert await manager.atouch(new)
        assert [info.user_id for info in await manager.aall()] == ["ann"]
        assert await manager.alength() == 1
        assert await manager.adestroy(new)
        await manager.aclear()
        await manager.aclose()

    asyncio.run(scenario())
    assert place.body(SID) is None


def test_a_new_session_has_the_json_of_express(place: Place) -> None:
    session_id = place.manager().create({"a": 1})
    body = place.body(session_id)
    assert list(body) == ["cookie", "a", "lembro"]
    assert body["cookie"] == COOKIE
    assert len(session_id) == 32
