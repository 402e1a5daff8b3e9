"""The bench of the frameworks runs, and its verdicts are right."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench import peers, requests, serving, verdicts
from bench.frameworks import FRAMEWORKS, report
from bench.peers import ACTIONS, LOGIN
from lembro import MemoryStore, SessionManager, asgi


@pytest.fixture(autouse=True)
def _few_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "VISITORS", 3)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_framework_serves_the_bench(name: str) -> None:
    framework = import_module(f"bench.frameworks.{name}")
    contenders = framework.contenders()
    assert contenders[0].library == "bare"
    assert {"lembro", framework.REFERENCE} <= {contender.library for contender in contenders}
    for contender in contenders:
        assert contender.batch(1) > 0


def test_lembro_is_compared_with_the_best_other_library() -> None:
    added = {
        "one": {"unused": 4.0, "read": 8.0, "modified": 10.0},
        "two": {"unused": 2.0, "read": 10.0, "modified": 20.0},
        "lembro": {"unused": 1.0, "read": 4.0, "modified": 12.0},
    }
    found = verdicts.ahead("flask", added, {"read": 0.4})
    assert [(each.measure, each.got, each.peer, each.met, each.aim_met) for each in found] == [
        ("flask, lembro: unused", 0.5, "two", True, True),
        ("flask, lembro: read", 0.5, "one", True, False),
        ("flask, lembro: modified", 1.2, "one", False, False),
    ]


def test_times_too_short_to_be_measured_count_as_equal() -> None:
    added = {"other": {"unused": -0.1}, "lembro": {"unused": 0.05}}
    assert verdicts.ahead("tornado", added)[0].got == 1


def test_without_another_library_there_is_no_verdict() -> None:
    assert verdicts.ahead("flask", {"lembro": {"unused": 1.0}}) == []


def test_without_a_cost_of_the_peer_there_is_no_ratio() -> None:
    added = {("lembro", a): 1.0 for a in ACTIONS} | {("other", a): 4.0 for a in ACTIONS}
    added["other", "unused"] = -0.1
    text = report(added, "other")
    assert "theirs: nothing" in text
    assert "1/4.0" in text


# -- many visitors ---------------------------------------------------------------------------------


def test_the_visitors_take_turns() -> None:
    asked: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(dict(scope["headers"])[b"cookie"])

    batch = serving.asgi_batch(app, ["sid=a", "sid=b", "sid=c"])
    assert batch(2) > 0
    assert batch(2) > 0
    assert asked == [b"sid=a", b"sid=b", b"sid=c", b"sid=a"]


def test_each_visitor_has_a_session_of_a_separate_user() -> None:
    manager = SessionManager(MemoryStore("1M"))
    apps = peers.each(lambda app: asgi.SessionMiddleware(app, manager))
    contenders = serving.asgi_actions("lembro", apps)
    assert [contender.action for contender in contenders] == list(ACTIONS)
    assert len({session.user_id for session in manager.all()}) == 3


def test_a_visitor_without_a_session_ends_the_bench() -> None:
    async def login(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"set-cookie", b"sid=a; Path=/")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})

    apps: dict[str, Any] = {LOGIN: login, **dict.fromkeys(ACTIONS, page)}
    with pytest.raises(SystemExit, match="it answers 500"):
        serving.asgi_actions("it", apps)


def test_the_requests_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "ARTIFACTS", tmp_path)
    monkeypatch.setattr(requests, "ROUNDS", {"quick": 2})
    monkeypatch.setattr(requests, "BATCH_SECONDS", 0.0)
    judged = requests.main(quick=True)
    assert {each.measure.partition(":")[0] for each in judged} >= {
        "ASGI, lembro.asgi",
        "WSGI, lembro.wsgi",
    }
    details = verdicts.load("requests")["details"]
    assert details["visitors"] == 3
    assert 290 <= details["bytes"] <= 310
    assert set(details["asgi"]["lembro.asgi"]) == set(ACTIONS)
    assert "Starlette (cookie)" in details["asgi"]
    assert "Beaker (memory)" in details["wsgi"]
