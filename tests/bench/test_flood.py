"""A small flood: it is the same each time, and the policies have the documented order."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench import flood
from bench.flood import Outcome, simulate_a, simulate_b
from bench.policies import LRU, POLICIES, AgeLevels, EarliestExpiry, Policy
from bench.replay import RealStore
from bench.traffic import (
    BACK,
    COLD,
    FIRST,
    LAST,
    NONE,
    ONCE,
    PATIENT,
    Flood,
    Model,
    Users,
    stream,
)
from tools import measured

SMALL = Model(capacity=100, warm_up=900.0, length=300.0, seed=1)
ONE_BACK = Flood("1,000/s, back once", 1000, 1, ONCE)


def outcomes_a(*contenders: Policy | RealStore, flood: Flood = ONE_BACK) -> list[Outcome]:
    return simulate_a(contenders, flood, SMALL)


def test_the_visits_are_sorted_by_time_and_repeatable() -> None:
    def visits() -> list[tuple[float, int, int]]:
        users = Users(SMALL, 5000, logins=False, end=1200.0)
        return [tuple(visit) for visit in stream(users, ONE_BACK, SMALL, 900.0, 1200.0)]  # type: ignore[misc]

    once = visits()
    assert once == visits()
    assert once == sorted(once)
    new_bots = sum(visitor < 0 and kind == FIRST for _, visitor, kind in once)
    assert new_bots == 300 * 1000 * SMALL.scale


def test_a_patient_bot_comes_every_two_minutes() -> None:
    patient = Flood("patient", patient=100_000)
    users = Users(SMALL, 0, logins=False, end=1200.0)
    seen: dict[int, list[tuple[float, int]]] = {}
    for time, visitor, kind in stream(users, patient, SMALL, 900.0, 1200.0):
        seen.setdefault(visitor, []).append((time, kind))
    assert len(seen) == 1000
    for visits in seen.values():
        assert [kind for _, kind in visits] == [FIRST, BACK, BACK][: len(visits)]
        times = [time for time, _ in visits]
        assert all(b - a == pytest.approx(120) for a, b in pairwise(times))


@pytest.mark.parametrize("name", POLICIES)
def test_no_policy_exceeds_its_capacity_or_finds_a_missing_session(name: str) -> None:
    policy = POLICIES[name](10)
    for visitor in range(100):
        assert not policy.visit(visitor, float(visitor), first=True, last=False)
    kept = [v for v in range(100) if policy.visit(v, 200.0, first=False, last=False)]
    assert len(kept) <= 10
    assert not policy.visit(1000, 300.0, first=False, last=True)


@pytest.mark.parametrize("name", POLICIES)
def test_a_login_needs_the_session_of_the_form(name: str) -> None:
    policy = POLICIES[name](10)
    policy.visit(1, 0.0, first=True, last=False)
    assert policy.login(1, 1.0)
    assert policy.visit(1, 2.0, first=False, last=False)
    for bot in range(-40, 0):
        policy.visit(bot, 3.0, first=False, last=True)
    policy.visit(2, 4.0, first=True, last=False)
    for bot in range(-80, -40):
        policy.visit(bot, 5.0, first=False, last=True)
    assert name == "W-TinyLFU" or not policy.login(2, 6.0)


def test_tiers_keep_known_visitors_that_lru_evicts() -> None:
    expiry, lru, tiers, real = outcomes_a(
        EarliestExpiry(100), LRU(100), AgeLevels(100), RealStore(100)
    )
    assert expiry.established.percent < lru.established.percent + 5 < 50
    assert tiers.established.percent > 98
    assert real.established.percent > 98


def test_a_replayed_cookie_serves_one_session_only() -> None:
    replay = Flood("replay", 1000, replay=True)
    tiers, real = outcomes_a(AgeLevels(100), RealStore(100), flood=replay)
    assert tiers.established.percent > 98
    assert real.established.percent > 98


def test_logged_in_users_stay_logged_in() -> None:
    lru, tiers, real = simulate_b((LRU(100), AgeLevels(100), RealStore(100)), ONE_BACK, SMALL)
    assert lru.logged_in.percent < 60
    assert tiers.logged_in.percent == 100
    assert real.logged_in.percent == 100


def test_a_run_reports_its_progress() -> None:
    model = Model(capacity=100, warm_up=30.0, length=60.0)
    for each in (ONE_BACK, Flood("none", users=2000)):
        shares: list[float] = []
        flood.run(("A", each, model), shares.append)
        assert shares == sorted(shares)
        assert 0 <= shares[0] < shares[-1] == 1
    assert flood.progress_of([3.0, 1.0], [0.5, 1.0], 50.0) == (
        "1 of 2 floods, 62% of the requests, 50 s, about 30 s left"
    )
    assert flood.progress_of([1.0], [0.0], 5.0) == "0 of 1 floods, 0% of the requests, 5 s"


def test_the_number_of_requests_is_estimated() -> None:
    model = Model(capacity=100, warm_up=900.0, length=900.0)
    for each in (ONE_BACK, COLD, NONE[0], PATIENT):
        start = 0.0 if each.cold else model.warm_up
        end = start + model.length
        users = Users(model, each.users, logins=False, end=end)
        visits = sum(1 for _ in stream(users, each, model, start, end))
        assert flood.visits_of(("A", each, model)) == pytest.approx(visits, rel=0.3), each.name


def test_the_whole_flood_ends_in_half_an_hour() -> None:
    jobs = [("A", each, flood.WHOLE) for each in flood.TABLE_A]
    jobs += [("B", each, flood.WHOLE) for each in flood.TABLE_B]
    # A request takes about 120 us over all policies and the store, and there are two cores.
    assert sum(map(flood.visits_of, jobs)) < 25e6


def test_the_results_name_the_scale() -> None:
    model = Model(capacity=100, warm_up=30.0, length=60.0)
    columns = [flood.run(("A", each, model)) for each in flood.TABLE_A]
    logins = [flood.run(("B", each, model)) for each in flood.TABLE_B]
    details = flood.details(model, columns, logins)
    assert (details["capacity"], details["users"], details["scale"]) == (100, 50, 0.01)
    assert details["minutes"] == 1
    values = dict(
        measured.flood({**details, "when": "", "python": "", "machine": "", "quick": True})
    )
    assert values["capacity"] == "100"
    assert values["slow"] == "1"


def test_the_last_visit_of_a_bot_is_forgotten() -> None:
    policy = LRU(10)
    policy.visit(-1, 0.0, first=True, last=False)
    assert policy.visit(-1, 1.0, first=False, last=True)
    assert policy.keys == {}
    assert LAST not in (FIRST, BACK)
