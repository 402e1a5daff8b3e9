"""The steps of the stores of Express in SQL databases: one table, with one row per session."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import StoreError
from ..stores.external.backend import Steps
from ..stores.external.clock import ServerClock
from ..stores.sql.dialect import PAGE, Statement
from .record import Body, encode_json
from .users import Users
from .verbs import ATTEMPTS, ExpressVerbs, Row


class Statements(NamedTuple):
    """The statements of a kind of database."""

    time: str
    read: str
    insert: str
    swap: str
    move: str
    extend: str
    remove: str
    page: str
    length: str
    clear: str
    purge: str
    patience: str = ""
    """Allows the next statement of a transaction more time than a request has."""


class SQLSteps(ExpressVerbs):
    """The steps, with the statements of one kind of database.

    Args:
        users: Reads the user.
        statements: The statements.
    """

    def __init__(self, users: Users, statements: Statements) -> None:
        super().__init__(users)
        self.statements: Statements = statements
        self._clock = ServerClock(None)

    def form(self, body: Body, before: Any) -> str:
        return encode_json(body).decode()

    def server_time(self) -> Steps[int]:
        now = self._clock.now()
        if now is None:
            rows = yield Statement(self.statements.time, rows=True), {}
            now = rows[0][0]
            self._clock.note(now)
        return now

    def read(self, session_id: str) -> Steps[Row | None]:
        rows = yield Statement(self.statements.read, rows=True), {"sid": session_id}
        if not rows:
            return None
        raw, left, now = rows[0]
        self._clock.note(now)
        return Row(raw, float(left))

    def insert(self, session_id: str, raw: Any, idle: float) -> Steps[bool]:
        values = {"sid": session_id, "raw": raw, "idle": idle}
        return bool((yield Statement(self.statements.insert), values))

    def swap(self, session_id: str, before: Any, raw: Any, idle: float) -> Steps[Row | bool | None]:
        values = {"sid": session_id, "before": before, "raw": raw, "idle": idle}
        if (yield Statement(self.statements.swap), values):
            return True
        return (yield from self.read(session_id))

    def move(
        self, old: str, new: str, before: Any, raw: Any, idle: float
    ) -> Steps[Row | bool | None]:
        values = {"sid": old, "new": new, "before": before, "raw": raw, "idle": idle}
        if (yield Statement(self.statements.move), values):
            return True
        return self._unless_same((yield from self.read(old)), before)

    def extend(self, session_id: str, idle: float) -> Steps[bool]:
        count: int = yield Statement(self.statements.extend), {"sid": session_id, "idle": idle}
        return count > 0

    def remove(self, session_id: str, before: Any) -> Steps[Row | None]:
        for _ in range(ATTEMPTS):  # until nobody else writes between the two statements
            row = yield from self.read(session_id)
            if row is None or (before is not None and row.raw != before):
                return None
            values = {"sid": session_id, "before": row.raw}
            if (yield Statement(self.statements.remove), values):
                return row
        raise StoreError(f"Express changed a session {ATTEMPTS} times while lembro removed it")

    def rows(self, after: Any) -> Steps[tuple[list[tuple[str, Row]], Any]]:
        values = {"after": "" if after is None else after, "count": PAGE}
        found = yield from self._slow(self.statements.page, rows=True, **values)
        pairs = [(session_id, Row(raw, float(left))) for session_id, raw, left in found]
        return pairs, pairs[-1][0] if len(pairs) == PAGE else None

    def length(self) -> Steps[int]:
        rows = yield from self._slow(self.statements.length, rows=True)
        count: int = rows[0][0]
        return count

    def clear(self) -> Steps[None]:
        yield from self._slow(self.statements.clear)

    def purge(self, limit: int | None) -> Steps[int]:
        total = 0
        while limit is None or total < limit:
            most = 1000 if limit is None else min(1000, limit - total)
            count: int = yield from self._slow(self.statements.purge, count=most)
            total += count
            if count < most:
                break
        return total

    def stats(self) -> Steps[dict[str, Any]]:
        return {"sessions": (yield from self.length())}

    def ping(self) -> Steps[Any]:
        return (yield Statement(self.statements.time, rows=True), {})

    def _slow(self, text: str, *, rows: bool = False, **values: Any) -> Steps[Any]:
        """Perform a statement whose time grows with the table."""
        patience = self.statements.patience
        if patience:
            yield Statement("begin"), {}
            yield Statement(patience, rows=True, slow=True), {}
        result = yield Statement(text, rows=rows, slow=True), values
        if patience:
            yield Statement("commit"), {}
        return result

    @staticmethod
    def _unless_same(row: Row | None, before: Any) -> Row | None:
        """Return what the store holds; None if it is the expected session, so that the new ID
        exists."""
        return None if row is None or row.raw == before else row
