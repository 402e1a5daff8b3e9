"""The decision table of ``lembro._core.lifecycle``, cell by cell.

``TABLE`` reads like the one in the docstring of that module. A cell says which verbs of the store
are called, what happens to the cookie, and which events there are. Rows that begin with "..."
are the live sessions to which something happens between the load and the commit.

    a tenth later     a tenth of the idle timeout has passed since the session was last used
    changed           another request has changed a different key
    rotated           another request has rotated the ID (of a session with a user)
    ended             another request has ended the session (anonymous, or alice's own)
    became bob's      another request has logged bob in
    that is alice's   the ID is from before a login of alice
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lembro import Session
from lembro._core import lifecycle
from lembro._http.cookie import DUPLICATE, Presented
from lembro.ids import new_id
from tests.support.site import Reply, Site
from tools.docs import table_of

TABLE = """
| loaded from                        | not accessed | read      | `touch()`     | `skip_touch()` | changed                      | `regenerate_id()`                            | `login(user_id)`                                 | destroyed                                            |
|------------------------------------|--------------|-----------|---------------|----------------|------------------------------|----------------------------------------------|--------------------------------------------------|------------------------------------------------------|
| no cookie                          | nothing      | nothing   | nothing       | nothing        | add; set cookie; created     | add; set cookie; created                     | add; set cookie; created                         | nothing                                              |
| an ID that the store does not know | nothing      | get       | get           | get            | get add; set cookie; created | get add; set cookie; created                 | get add; set cookie; created                     | get                                                  |
| a live session                     | nothing      | get       | get touch     | get            | get set                      | get replace; set cookie; regenerated         | get replace; set cookie; regenerated             | get destroy; clear cookie; destroyed                 |
| ... a tenth later                  | nothing      | get touch | get touch     | get            | get set                      | get replace; set cookie; regenerated         | get replace; set cookie; regenerated             | get destroy; clear cookie; destroyed                 |
| ... changed                        | nothing      | get       | get touch     | get            | get set set                  | get replace replace; set cookie; regenerated | get replace replace; set cookie; regenerated     | get destroy; clear cookie; destroyed                 |
| ... rotated                        | nothing      | get       | get touch     | get            | get set get set              | get replace get                              | get replace get replace; set cookie; regenerated | get destroy get destroy; clear cookie; destroyed     |
| ... ended                          | nothing      | get       | get touch     | get            | get set; dropped             | get replace                                  | get replace add; set cookie; created             | get destroy                                          |
| ... ended, and was alice's         | nothing      | get       | get touch     | get            | get set; dropped             | get replace                                  | get replace; dropped                             | get destroy                                          |
| ... became bob's                   | nothing      | get       | get touch     | get            | get set; dropped             | get replace                                  | get replace get add; set cookie; created         | get destroy get                                      |
| a rotated ID, within its grace     | nothing      | get get   | get get touch | get get        | get get set                  | get get                                      | get get replace; set cookie; regenerated         | get get destroy get destroy; clear cookie; destroyed |
| a stale ID                         | nothing      | get       | get           | get            | get; dropped                 | get; dropped                                 | get get get add; set cookie; created             | get                                                  |
| ... of a session that is alice's   | nothing      | get       | get           | get            | get; dropped                 | get; dropped                                 | get get get replace; set cookie; regenerated     | get                                                  |
"""  # noqa: E501 - a table


def parse(table: str) -> dict[str, dict[str, str]]:
    """A Markdown table as rows of cells by their headings."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()
    ]
    columns, rows = lines[0][1:], [line for line in lines[1:] if set(line[0]) != {"-"}]
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}


ROWS = parse(TABLE)


def regenerate(session: Session) -> None:
    session.regenerate_id()
    if session.is_new:  # an empty session is never stored
        session["n"] = 2


ACTIONS: dict[str, Callable[[Session], object]] = {
    "not accessed": lambda session: None,
    "read": lambda session: session.get("n"),
    "`touch()`": lambda session: session.touch(),
    "`skip_touch()`": lambda session: session.skip_touch(),
    "changed": lambda session: session.update(n=2),
    "`regenerate_id()`": regenerate,
    "`login(user_id)`": lambda session: session.login("alice"),
    "destroyed": lambda session: session.destroy(),
}


def stale(site: Site, user: str = "bob") -> str:
    anonymous = site.new()
    site.login(anonymous, user)
    return anonymous


def rotated(site: Site) -> str:
    first = site.new("alice")
    site.rotate(first)
    return first


ARRIVALS: dict[str, Callable[[Site], str | None]] = {
    "no cookie": lambda site: None,
    "an ID that the store does not know": lambda site: new_id(),
    "a live session": lambda site: site.new(),
    "... a tenth later": lambda site: site.new(),
    "... changed": lambda site: site.new(),
    "... rotated": lambda site: site.new("alice"),
    "... ended": lambda site: site.new(),
    "... ended, and was alice's": lambda site: site.new("alice"),
    "... became bob's": lambda site: site.new(),
    "a rotated ID, within its grace": rotated,
    "a stale ID": stale,
    "... of a session that is alice's": lambda site: stale(site, "alice"),
}


def change(site: Site, cookie: str) -> None:
    with site.request(cookie) as r:
        r.session["theirs"] = True


MEANWHILE: dict[str, Callable[[Site, str], object]] = {
    "... changed": change,
    "... rotated": Site.rotate,
    "... ended": Site.logout,
    "... ended, and was alice's": Site.logout,
    "... became bob's": lambda site, cookie: site.login(cookie, "bob"),
}


def outcome(reply: Reply) -> str:
    """Describe what happened, in the words of the table."""
    cookie = f"{reply.cookie} cookie" if reply.cookie else ""
    parts = [" ".join(reply.verbs), cookie, ", ".join(reply.happened)]
    return "; ".join(part for part in parts if part) or "nothing"


@pytest.mark.parametrize("column", ACTIONS)
@pytest.mark.parametrize("row", ARRIVALS)
def test_the_cell(site: Site, row: str, column: str) -> None:
    cookie = ARRIVALS[row](site)
    site.data(None)  # ignore what has happened so far
    if row == "... a tenth later":
        site.clock.advance(site.runner.lifecycle.lifetimes.idle / 10 + 1)
    session = site.open(cookie, looks=column != "not accessed")
    if column != "not accessed":
        session.get("n")
    verbs = site.store.verbs[:]
    if row in MEANWHILE:
        assert cookie is not None
        MEANWHILE[row](site, cookie)
    site.store.verbs[:] = verbs if column != "not accessed" else []
    site.events.clear()

    ACTIONS[column](session)
    reply = site.commit(session)

    assert outcome(reply) == ROWS[row][column]
    if reply.cookie == "set":
        assert reply.id != cookie
        assert reply.id is not None
        assert site.data(reply.id) is not None
    if "destroyed" in reply.happened:
        assert cookie is not None
        assert site.data(cookie) is None
        assert site.count == 0


def test_the_rows_and_columns_are_those_of_the_lifecycle() -> None:
    assert lifecycle.__doc__ is not None
    theirs = parse(table_of(lifecycle.__doc__))
    ours = {row: cells for row, cells in ROWS.items() if not row.startswith("...")}
    assert list(ours) == list(theirs)
    assert all(list(cells) == list(theirs[row]) for row, cells in ours.items())
    assert list(ROWS) == list(ARRIVALS)
    assert all(list(cells) == list(ACTIONS) for cells in ROWS.values())


OTHER_STALE_IDS: dict[str, Callable[[Site], str | Presented]] = {
    "an anonymous ID that was rotated": lambda site: _after(site, None, Site.rotate),
    "an ID whose successor is another user's": lambda site: _after(
        site, "carol", lambda site, cookie: site.login(cookie, "bob")
    ),
    "several cookies of the name": lambda site: DUPLICATE,
}


def _after(site: Site, user: str | None, replace: Callable[[Site, str], object]) -> str:
    cookie = site.new(user)
    replace(site, cookie)
    return cookie


@pytest.mark.parametrize("column", ACTIONS)
@pytest.mark.parametrize("kind", OTHER_STALE_IDS)
def test_other_stale_ids_behave_the_same(site: Site, kind: str, column: str) -> None:
    cookie = OTHER_STALE_IDS[kind](site)
    before = site.count
    site.data(None)
    session = site.open(cookie, looks=column != "not accessed")

    ACTIONS[column](session)
    reply = site.commit(session)

    cell = ROWS["a stale ID"][column]
    if column != "not accessed" and cookie is DUPLICATE:
        assert reply.happened.pop(0) == "rejected"
        reply.events.pop(0)
    reply.verbs = [verb for verb in reply.verbs if verb != "get"]
    assert outcome(reply) == (re.sub(r"\bget\b ?", "", cell).lstrip("; ") or "nothing")
    assert site.count == before + (column == "`login(user_id)`")


def test_an_unused_session_needs_no_store() -> None:
    site = Site("sync")
    session = site.open(site.new(), looks=False)
    assert site.runner.lifecycle.commit(session) is None
    assert site.runner.lifecycle.commit(session, failed=True) is None
    site.close()
