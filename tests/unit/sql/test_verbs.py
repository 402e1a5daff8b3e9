"""The statements of the SQL verbs. The tests give the results of the statements."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import Record
from lembro.stores.sql import sqlite_connector
from lembro.stores.sql.dialect import Dialect
from lembro.stores.sql.sqlite_connector import Setup
from lembro.stores.sql.sqlite_verbs import NoRoom, SQLiteVerbs
from lembro.stores.sql.verbs import SQLVerbs

K, L = b"k" * 32, b"l" * 32


def drive(steps: Any, *results: Any) -> tuple[list[str], list[Any]]:
    """Answer each statement of a verb. Return the texts and the values."""
    texts, values = [], []
    command = next(steps)
    for result in [*results, None]:
        texts.append(command[0].text)
        values.append(command[1])
        try:
            command = steps.send(result)
        except StopIteration:
            break
    return texts, values


def test_the_clock_and_the_lock_of_a_dialect_are_used() -> None:
    dialect = Dialect("clock()", lock="select 1 from locks where n = :lock for update")
    verbs = SQLVerbs(dialect)
    steps = verbs.add(K, Record(b"one", "ana"), idle=1.0, life=2.0, per_user=(1, "oldest"))
    texts, values = drive(steps, 0, [], [], [], 1, 0)
    assert texts[0] == "begin"
    assert texts[1] == "select 1 from locks where n = :lock for update"
    assert -(2**63) <= values[1]["lock"] < 2**63
    assert texts[2].endswith("expires > clock() for update")
    assert "least(clock() + :idle" in texts[4]
    assert texts[4].endswith("on conflict do nothing")
    assert texts[5] == "commit"
    assert all("now" not in each for each in values)


def test_an_anonymous_rotation_locks_no_user() -> None:
    verbs = SQLVerbs(Dialect("clock()", lock="lock :lock"))
    steps = verbs.replace(K, L, Record(b"two"), expected=b"one", idle=1.0, life=None, grace=0.0)
    texts, _ = drive(steps, 0, [])
    assert not any("lock :lock" in text for text in texts)


def test_rotated_keys_in_a_circle_point_to_no_session() -> None:
    verbs = SQLVerbs(Dialect("clock()"))
    rows = [(K, L, 9, 1), (L, K, 9, 1)]
    texts, _ = drive(verbs.destroy_user("ana", b"m" * 32), 0, rows, 1, 1, 0)
    assert texts[2:4] == [verbs.statements.delete.text] * 2


def test_an_eviction_that_frees_too_little_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lembro.stores.sql.sqlite_verbs.ROUNDS", 2)
    verbs = SQLiteVerbs(lambda: 1.0, returning=True, pages=100)
    steps: Any = verbs.set(K, Record(b"two"), expected=b"one", idle=1.0)
    command = next(steps)
    with pytest.raises(NoRoom):
        for _ in range(50):
            if command[0].text.startswith("update"):
                command = steps.throw(NoRoom())
            else:
                command = steps.send(1)  # an expired record was removed, and it is not enough


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("touch", {"idle": 1.0}),
        ("destroy", {"expected": None}),
        ("destroy_user", {"keep": None}),
    ],
)
def test_a_change_that_finds_no_room_is_made_after_an_eviction(
    verb: str, arguments: dict[str, Any]
) -> None:
    verbs = SQLiteVerbs(lambda: 1.0, returning=True, pages=100)
    steps = getattr(verbs, verb)("ana" if verb == "destroy_user" else K, **arguments)
    refused = next(steps)[0].text
    texts = [steps.throw(NoRoom())[0].text]
    while texts[-1] != refused or len(texts) < 6:
        texts.append(steps.send(1)[0].text)
    assert texts[0] == "rollback"
    assert verbs.statements.purge.text in texts


def test_a_rollback_is_done_unless_sqlite_did_it(tmp_path: Any) -> None:
    connection = Setup(f"{tmp_path}/x.db", 0.1, None, 100, 200).connect(0.1, checkpoints=True)
    for begin in (True, False):
        if begin:
            connection.execute("begin immediate")
        assert sqlite_connector._execute(connection, "rollback", {}, rows=False) == 0
        assert not connection.in_transaction
    connection.close()


def test_a_log_that_is_missing_is_not_long(tmp_path: Any) -> None:
    assert not Setup(f"{tmp_path}/x.db", 0.1, None, 100, 200).log_is_long()


def test_a_destroy_begins_again_if_another_writer_was_first() -> None:
    verbs = SQLVerbs(Dialect("clock()", returning=False))
    row = (b"one", None, None, None, 1, 3, 4, 2)
    texts, _ = drive(verbs.destroy(K, expected=None), [row], 0, [row], 1)
    assert texts == [verbs.statements.get.text, verbs.statements.destroy_expected.text] * 2
