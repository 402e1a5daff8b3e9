"""The formats of the stores: chosen by a URL and a name, and what each of them adds."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, ObjectId
from bson.datetime_ms import DatetimeMS

from lembro import CodecError, ConfigError, SessionTooLarge, StoreError
from lembro.express import (
    ConnectMongo,
    ConnectMongoDBSession,
    ConnectPgSimple,
    ExpressCookie,
    ExpressManager,
    ExpressMySQLSession,
    redis,
    sql,
    verbs,
)
from lembro.express.bson import plain, restore
from lembro.express.ids import key_of
from lembro.express.mysql import dialect as mysql_dialect
from lembro.express.mysql import statements as mysql_statements
from lembro.express.postgres import dialect as postgres_dialect
from lembro.express.postgres import statements
from lembro.express.sql import SQLSteps
from lembro.express.users import Users

from .conftest import SECRET, MongoDBPlace, MongoPlace, Place, Visitor, mongo_client

SID = "9w6PKbjSm_yO4gFfjC1SdA_6kzRQ7FwN"
DAY = 24 * 60 * 60


# -- the URL


@pytest.mark.parametrize(
    ("url", "format", "kind", "idle"),
    [
        ("postgresql://localhost/a?table=s&sslmode=disable", None, ConnectPgSimple, DAY),
        ("postgres://localhost/a", "connect-pg-simple", ConnectPgSimple, DAY),
        ("mysql://localhost/a?table=b.c", None, ExpressMySQLSession, DAY),
        ("mariadb+asyncmy://localhost/a", None, ExpressMySQLSession, DAY),
        ("mongodb://localhost/a?stringify=false", None, ConnectMongo, 14 * DAY),
        (
            "mongodb://localhost/a?collection=c&database=d&retryWrites=true",
            "connect-mongodb-session",
            ConnectMongoDBSession,
            14 * DAY,
        ),
    ],
)
def test_a_url_and_a_format_choose_the_store(
    url: str, format: str | None, kind: type[Any], idle: int
) -> None:
    manager = ExpressManager(url, secret=SECRET, format=format)
    assert type(manager.store) is kind
    assert manager.options.idle_timeout == idle
    with_age = ExpressManager(url, secret=SECRET, format=format, cookie=ExpressCookie(max_age=60))
    assert with_age.options.idle_timeout == 60


@pytest.mark.parametrize(
    ("url", "format", "error"),
    [
        ("redis://h", "connect-mongo", "the format of a redis: URL must be connect-redis, got"),
        ("mongodb://h", "connect-redis", "must be connect-mongo or connect-mongodb-session, got"),
        ("mongodb://h/a?table=x", None, "pymongo does not accept the options"),
        ("postgresql://h/a?table=A", None, "table must be a name of small letters"),
        ("mysql://h/a?max_connections=0", None, "max_connections must be an integer"),
        ("mongodb://h/a?collection=", None, "collection must be a str that is not empty, got ''"),
        ("sqlite:///a.db", None, "the URL of an Express store must begin with one of redis, "),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, format: str | None, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ExpressManager(url, secret=SECRET, format=format)
    assert error in str(caught.value)


def test_another_database_than_mysql_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs MySQL or MariaDB, got a sqlite: URL"):
        ExpressMySQLSession("sqlite:///a.db")


def test_a_missing_table_is_made_with_the_file_of_the_npm_package() -> None:
    assert "table.sql of connect-pg-simple" in postgres_dialect("a.session").remedy
    assert postgres_dialect("a.session").table == '"a"."session"'
    assert "schema.sql of express-mysql-session" in mysql_dialect("a.sessions").remedy
    assert "table_schema = 'a'" in mysql_dialect("a.sessions").exists


# -- all formats


def test_a_session_must_not_be_too_large(place: Place) -> None:
    with pytest.raises(SessionTooLarge):
        place.manager().create({"a": "x" * 2_000_000})


def test_the_store_can_be_opened(place: Place) -> None:
    place.store.open()
    assert place.store.stats().available


def test_many_sessions_are_listed_page_by_page(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("redis", "sql", "mongo"):
        monkeypatch.setattr(f"lembro.express.{module}.PAGE", 2)
    for number in range(5):
        place.put(f"s{number}", {"n": number})
    manager = place.manager()
    assert sorted(info.data["n"] for info in manager.all()) == list(range(5))
    assert manager.length() == 5
    manager.clear()
    assert manager.length() == 0


def test_the_time_is_asked_for_again_after_a_minute(place: Place) -> None:
    manager = place.manager()
    session_id = manager.create({"a": 1})
    place.store._verbs._clock._noted = None
    assert manager.destroy(session_id)


def test_a_write_gives_up_if_express_never_stops(
    redis_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "ATTEMPTS", 2)
    redis_place.put(SID, {"n": 1})
    session = redis_place.manager().load(SID)
    session["n"] = 2

    def swap(self: Any, session_id: str, before: Any, raw: Any, idle: float) -> Any:
        row = yield from self.read(session_id)
        return row

    monkeypatch.setattr(redis.ConnectRedisVerbs, "swap", swap)
    with pytest.raises(StoreError, match="Express changed a session 2 times"):
        session.save()


# -- SQL


def replies(steps: Generator[Any, Any, Any], *results: Any) -> Any:
    """Send results to a verb, and return its own."""
    next(steps)
    try:
        for result in results:
            steps.send(result)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the verb wants another result")


def sql_steps() -> SQLSteps:
    return SQLSteps(Users(), statements("t")._replace(patience=""))


def test_purge_removes_expired_sessions_in_parts() -> None:
    assert replies(sql_steps().purge(None), 1000, 1000, 5) == 2005
    assert replies(sql_steps().purge(1500), 1000, 500) == 1500
    assert replies(sql_steps().purge(10), 3) == 3


def test_a_removal_repeats_if_another_write_was_first() -> None:
    one, two = [("{}", 5.0, 1000)], [('{"a":1}', 5.0, 1000)]
    row = replies(sql_steps().remove("k", None), one, 0, two, 1)
    assert (row.raw, row.left) == ('{"a":1}', 5.0)


def test_a_removal_gives_up_if_express_never_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "ATTEMPTS", 2)
    row = [("{}", 5.0, 1000)]
    with pytest.raises(StoreError, match="changed a session 2 times while lembro removed it"):
        replies(sql_steps().remove("k", None), row, 0, row, 0)


def test_a_row_without_a_session_cannot_be_read() -> None:
    found = replies(sql_steps().get(key_of("k")), [(None, 5.0, 1000)])
    assert (found.payload, found.user) == (b"", None)
    assert " <=> " in mysql_statements("t").remove  # so that such a row can be removed


def test_expired_rows_are_purged(place: Place) -> None:
    place.put("old", {"a": 1}, left=-100 if "table" in vars(place) else 1)
    place.put("new", {"a": 1})
    manager = place.manager()
    assert manager.purge() == (1 if "table" in vars(place) else 0)
    assert place.text("new") is not None


# -- MongoDB


def test_values_of_bson_appear_as_in_json() -> None:
    key = ObjectId("656a1b2c3d4e5f6071829304")
    value = {
        "id": key,
        "at": DatetimeMS(1_796_051_799_162),
        "far": DatetimeMS(10**15),
        "n": Int64(5),
        "big": Int64(2**60),
        "nan": float("nan"),
        "list": [1, 1.5, None, True, "x", {"a": key}],
    }
    assert plain(value) == {
        "id": str(key),
        "at": "2026-11-30T15:16:39.162Z",
        "far": "1000000000000000",
        "n": 5,
        "big": float(2**60),
        "nan": None,
        "list": [1, 1.5, None, True, "x", {"a": str(key)}],
    }


def test_an_unchanged_value_is_stored_as_it_was() -> None:
    key, date = ObjectId(), DatetimeMS(5)
    before = {"id": key, "at": date, "list": [key, date], "n": {"key": key, "flag": 1}}
    shown = plain(before)
    assert restore(shown, before) == before
    shown["n"]["flag"] = True
    shown["list"].append(1)
    changed = restore(shown, before)
    assert changed["n"] == {"key": key, "flag": True}
    assert type(changed["n"]["flag"]) is bool
    assert changed["list"] == [str(key), "1970-01-01T00:00:00.005Z", 1]


@pytest.fixture
def documents() -> Any:
    made = MongoDBPlace()
    yield made
    made.store.close()


def test_a_document_keeps_what_only_mongodb_has(documents: MongoDBPlace) -> None:
    key, date = ObjectId(), datetime(2026, 1, 2, tzinfo=UTC)
    cookie = {"originalMaxAge": 60000, "expires": date, "secure": None, "path": "/"}
    session = {"cookie": cookie, "passport": {"user": key}, "at": date, "n": float("nan"), "a": [1]}
    documents.put_value(SID, session, 1000)
    visitor = Visitor(documents.manager(), SID)
    assert visitor.visit(lambda session: session.user_id) == str(key)
    visitor.visit(lambda session: session["a"].append(2))
    stored = documents._sessions().find_one({"_id": SID})["session"]
    assert (stored["passport"], stored["a"]) == ({"user": key}, [1, 2])
    assert stored["at"] == date.replace(tzinfo=None)
    assert stored["n"] != stored["n"]
    assert isinstance(stored["cookie"]["expires"], datetime)
    assert stored["cookie"]["secure"] is None


def test_a_document_with_nul_in_a_key_is_refused_with_the_path(documents: MongoDBPlace) -> None:
    data: dict[str, Any] = {"a": [{"b\0": 1}], "c": "\0"}
    with pytest.raises(CodecError, match="cannot store a key with a NUL") as caught:
        documents.manager().create(data)
    assert caught.value.path == "a[0].b\\x00"
    data["a"].clear()
    manager = documents.manager()
    assert manager.get(manager.create(data)) == data


def test_a_session_that_was_text_stays_text() -> None:
    place = MongoPlace()
    store = ConnectMongo(mongo_client(), collection=place.collection, stringify=False)
    manager = ExpressManager(store, secret=SECRET)
    place.put(SID, {"a": 1})
    manager.set(SID, {"a": 2})
    assert isinstance(place._sessions().find_one({"_id": SID})["session"], str)
    new = manager.create({"a": 1})
    assert place._sessions().find_one({"_id": new})["session"]["a"] == 1
    place.remove(SID)
    store.close()
    place.store.close()


def test_a_document_without_an_end_is_read(documents: MongoDBPlace) -> None:
    documents.put(SID, {"a": 1})
    documents._sessions().update_one({"_id": SID}, {"$unset": {"expires": 1}})
    assert documents.manager().get(SID) == {"a": 1}


def test_the_index_of_express_is_kept(documents: MongoDBPlace) -> None:
    def indexes() -> list[Any]:
        return [index["name"] for index in documents._sessions().list_indexes()]

    documents.put(SID, {"a": 1})  # the collection exists, without the index
    assert documents.manager().get(SID) == {"a": 1}
    assert "expires_1" in indexes()
    documents._sessions().drop_index("expires_1")
    documents._sessions().create_index("expires", name="ours")
    documents.store.close()
    assert documents.manager().get(SID) == {"a": 1}
    assert "expires_1" not in indexes()
