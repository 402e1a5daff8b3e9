"""Exhaustive schedules of two requests of one session.

In every order of their store calls, no change is lost, no ended session is restored, and no cookie
with a stale ID is sent. Of the schedules of three requests, the suite runs a part.
``LEMBRO_SCHEDULES=all`` runs all of them.
"""

from __future__ import annotations

import os
from itertools import combinations_with_replacement

import pytest

from tests.schedules.explorer import explore
from tests.schedules.requests import (
    EVERY,
    LOGOUT,
    REGENERATE,
    SETTINGS,
    WRITES,
    check,
    with_distinct_names,
)

ALL = os.environ.get("LEMBRO_SCHEDULES") == "all"


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_schedule_of_two_requests(setting: str) -> None:
    ends = 0
    for requests in combinations_with_replacement(EVERY, 2):
        named = with_distinct_names(requests)
        for world in explore(SETTINGS[setting], named):
            check(setting, requests, world)
            ends += 1
    assert ends > 200


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_schedule_of_three_requests_up_to_commuting_steps(setting: str) -> None:
    chosen = EVERY if ALL else [WRITES[0], WRITES[3], REGENERATE, LOGOUT]
    for requests in combinations_with_replacement(chosen, 3):
        for world in explore(SETTINGS[setting], with_distinct_names(requests)):
            check(setting, requests, world)


@pytest.mark.parametrize("setting", SETTINGS)
def test_only_one_of_many_parallel_rotations_succeeds(setting: str) -> None:
    for world in explore(SETTINGS[setting], with_distinct_names([REGENERATE] * 3)):
        assert len(world.live()) == 1
        assert sum(done.issued is not None for done in world.done) == 1
