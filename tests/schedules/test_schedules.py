"""Exhaustive schedules: whatever two requests of one session do, in whichever order their store
calls fall, nothing is lost, resurrected or handed out dead.

Of three requests the suite runs a part; ``LEMBRO_SCHEDULES=all`` runs them all.
"""

from __future__ import annotations

import os
from itertools import combinations_with_replacement

import pytest

from tests.schedules.explorer import explore
from tests.schedules.requests import EVERY, LOGOUT, REGENERATE, SETTINGS, WRITES, check, told_apart

ALL = os.environ.get("LEMBRO_SCHEDULES") == "all"


@pytest.mark.parametrize("setting", SETTINGS)
def test_of_two_requests_every_schedule(setting: str) -> None:
    ends = 0
    for requests in combinations_with_replacement(EVERY, 2):
        named = told_apart(requests)
        for world in explore(SETTINGS[setting], named):
            check(setting, requests, world)
            ends += 1
    assert ends > 200


@pytest.mark.parametrize("setting", SETTINGS)
def test_of_three_requests_every_schedule_up_to_commuting_steps(setting: str) -> None:
    chosen = EVERY if ALL else [WRITES[0], WRITES[3], REGENERATE, LOGOUT]
    for requests in combinations_with_replacement(chosen, 3):
        for world in explore(SETTINGS[setting], told_apart(requests)):
            check(setting, requests, world)


@pytest.mark.parametrize("setting", SETTINGS)
def test_of_many_rotations_at_once_one_succeeds(setting: str) -> None:
    for world in explore(SETTINGS[setting], told_apart([REGENERATE] * 3)):
        assert len(world.live()) == 1
        assert sum(done.issued is not None for done in world.done) == 1
