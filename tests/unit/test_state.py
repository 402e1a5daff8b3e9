"""A late access that was allowed, the event for conflicts, and a login with a stale ID."""

from __future__ import annotations

from typing import Any

from lembro._core.merge import Conflicts
from lembro._core.state import SessionState
from lembro.errors import printable
from tests.support.site import Site


class Transport:
    """A response that can be accessed late, but only once."""

    def __init__(self) -> None:
        self.asked = 0

    def add_late_headers(self) -> bool:
        self.asked += 1
        return self.asked == 1


def test_a_late_access_that_was_allowed_stays_allowed() -> None:
    transport: Any = Transport()
    session = SessionState(transport)
    session._too_late = "the response has begun"
    for _ in range(2):
        session._check_accessible()
    assert transport.asked == 1


def test_the_event_for_conflicts_names_each_path_within_60_characters() -> None:
    transport: Any = Transport()
    session = SessionState(transport)
    session._events = []
    session._note_conflicts("ada", Conflicts(3, ["cart.n", "k" * 100]))
    (event,) = session._events
    cut = printable("k" * 100, 60)
    assert event.reason == f"cart.n, {cut} and 1 more: the later write won"


def test_a_second_login_with_a_stale_id_keeps_what_was_stored_since_the_first_one() -> None:
    site = Site()
    stale = site.new(n=1)
    with site.request(site.login(stale, "ada")) as r:
        r.session["cart"] = ["tea"]
    with site.request(stale) as r:
        r.session.login("ada")
        r.session["page"] = 2
    assert site.data(r.reply.id) == {"n": 1, "cart": ["tea"], "page": 2}
    site.close()
