"""The bench under a real server."""

from __future__ import annotations

import pytest

from bench import peers, served


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "VISITORS", 20)
    monkeypatch.setattr(served, "BATCH_SECONDS", 0.0)
    monkeypatch.setattr(peers, "ASGI", {"lembro.asgi": peers.lembro_asgi})


def test_each_action_is_measured_over_the_bare_application() -> None:
    added = served.measure(1)
    assert list(added) == ["lembro.asgi"]
    assert set(added["lembro.asgi"]) == set(peers.ACTIONS)


def test_a_failed_request_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "HANDLERS", {})
    with served.serving(served.BARE) as server, pytest.raises(SystemExit, match="broken"):
        server.requests["read"] = iter([served._request("/nowhere", "")] * 40)
        server.burst("read", 40)
