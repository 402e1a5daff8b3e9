"""Random schedules of four to seven requests of one session.

The invariants are those of two and three requests. The suite plays the same schedules each time.
``LEMBRO_SCHEDULES=all`` plays many more, different ones each time; a failure names the
``LEMBRO_SEED`` that repeats them.
"""

from __future__ import annotations

import os
import secrets

import pytest
from hypothesis import given, note, seed, settings
from hypothesis import strategies as st

from tests.schedules.explorer import Request, play_out
from tests.schedules.requests import EVERY, SETTINGS, check, with_distinct_names

ALL = os.environ.get("LEMBRO_SCHEDULES") == "all"
SEED = int(os.environ.get("LEMBRO_SEED") or (secrets.randbits(32) if ALL else 1))

some_requests = st.lists(st.sampled_from(EVERY), min_size=4, max_size=7)


@pytest.mark.parametrize("setting", SETTINGS)
@settings(max_examples=10_000 if ALL else 300, database=None)
@seed(SEED)
@given(requests=some_requests, data=st.data())
def test_random_schedules_of_four_to_seven_requests(
    setting: str, requests: list[Request], data: st.DataObject
) -> None:
    note(f"LEMBRO_SCHEDULES={'all' if ALL else ''} LEMBRO_SEED={SEED} plays this again")
    world = play_out(
        SETTINGS[setting],
        with_distinct_names(requests),
        lambda ready: data.draw(st.sampled_from(ready), "the next turn"),
    )
    check(setting, requests, world)
