"""80. Log amplification: 96 KB that a client sent made 80 MB of log.

The cause was an event with the full path for each key in conflict. A merge now makes one event.
Every text of a visitor in an event, an error or a log message is cut.
"""

from __future__ import annotations

import logging

import pytest

from lembro import CodecError, StoreError
from lembro._http.error_response import error_response_for
from lembro.errors import LONGEST_PATH, LONGEST_REASON, printable
from lembro.events import Event
from tests.support.visits import Visit, World

KEYS = [f"{number:04}" + "k" * 80 for number in range(1000)]


@pytest.mark.anyio
async def test_a_merge_makes_one_event(world: World, no_id_in_any_log: list[str]) -> None:
    tab = world.tab()
    await tab.write(form=dict.fromkeys(KEYS, 0))

    async def twice(visit: Visit) -> None:
        visit.session["form"].update(dict.fromkeys(KEYS, 1))
        await tab.write(form=dict.fromkeys(KEYS, 2))

    await tab.visit(twice)
    (event,) = world.heard("conflict")
    assert event.reason.startswith("form.0000kkk")
    assert event.reason.endswith("and 995 more: the later write won")
    assert len(event.reason) <= LONGEST_REASON
    assert sum(len(line) for line in no_id_in_any_log if "conflict" in line) < 2 * LONGEST_REASON


@pytest.mark.anyio
async def test_a_single_conflict_is_named(world: World) -> None:
    tab = world.tab()
    await tab.write(n=0)

    async def twice(visit: Visit) -> None:
        visit.session["n"] = 1
        await tab.write(n=2)

    await tab.visit(twice)
    assert [event.reason for event in world.heard("conflict")] == ["n: the later write won"]


@pytest.mark.anyio
async def test_a_refused_value_under_a_long_key(world: World, no_id_in_any_log: list[str]) -> None:
    tab = world.tab()

    def store(visit: Visit) -> None:
        visit.session["form"] = {}
        visit.session["form"]["k" * 100_000] = object()

    answer = await tab.visit(store)
    assert answer.status == 500
    assert sum(map(len, no_id_in_any_log)) < 20_000
    with pytest.raises(CodecError) as caught:
        raise CodecError("no", path="k" * 100_000)
    assert len(caught.value.path) == LONGEST_PATH


def test_every_reason_is_cut_and_on_one_line() -> None:
    event = Event("rejected", reason="the legacy cookie 'a'\n: " + "x" * 100_000)
    assert len(event.reason) <= LONGEST_REASON + 10
    assert event.reason.endswith("...")
    assert "\n" not in event.reason
    assert Event("created").reason == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cart[2].price", "cart[2].price"),
        ("a\nb", r"a\nb"),
        ("x" * LONGEST_PATH, "x" * LONGEST_PATH),
        ("x" * (LONGEST_PATH + 1), "x" * (LONGEST_PATH - 3) + "..."),
    ],
)
def test_a_printable_text_is_short_and_on_one_line(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_store_error_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "lembro"):
        error_response_for(StoreError("INSERT " + "x" * 100_000))
        error_response_for(CodecError("x" * 100_000))
    assert all(len(record.getMessage()) < 600 for record in caplog.records)
