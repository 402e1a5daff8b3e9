"""The security page's claims about other libraries are tested by trials, which can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from peers import scorecard
from peers.scorecard import trials
from peers.scorecard.trials import LIFETIME, PREFIXED, Answer


def test_each_measured_cell_has_its_trial() -> None:
    marked = {at for at, cell in scorecard.cells().items() if scorecard.ran(cell)}
    assert marked == {
        (library, number) for library, tried in scorecard.TRIED.items() for number in tried
    }


def test_a_cell_that_differs_from_the_trial_is_reported() -> None:
    assert scorecard.problems_of("Django", {"7.2.1": "default", "7.4.1": "call"}) == []
    [problem] = scorecard.problems_of("Django", {"7.2.1": "call"})
    assert "Django, 7.2.1: the page has 'default · ran', and the trial 'call'" in problem
    assert scorecard.problems_of("Django", {"7.2.1": "def"})  # not part of a word


@dataclass
class Fake:
    """A library with one fault, or with every feature by default."""

    fault: str = ""
    rolling: bool = True
    now: float = 0.0
    numbers: Any = field(default_factory=lambda: count(10**11))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def default(self) -> trials.Send:
        return self._made("__Host-sid", "; Secure; HttpOnly; SameSite=Lax; Path=/")

    def hardened(self) -> trials.Send:
        if self.fault == "options":
            return self.default()
        return self._made(PREFIXED, "; Secure; HttpOnly; SameSite=Lax; Path=/")

    def short(self) -> trials.Send:
        return self._made("sid", "", extends=self.fault != "absolute")

    def limited(self) -> trials.Send | None:
        return None if self.fault == "no limit" else self._made("sid", "", extends=False)

    def _made(self, name: str, attributes: str, *, extends: bool = True) -> trials.Send:
        ends: dict[str, float] = {}
        if self.fault == "options":
            name, attributes = "sid", ""

        def new(token: str = "") -> Answer:
            token = token or ("static-token" if self.fault == "static" else f"{next(self.numbers)}")
            ends[token] = self.now + LIFETIME
            return Answer("written", [f"{name}={token}{attributes}"])

        def send(path: str, cookie: str) -> Answer:
            token = cookie.partition("=")[2]
            live = ends.get(token, -1.0) > self.now or (self.fault == "immortal" and token in ends)
            live = live or (self.fault == "adopts" and bool(token))
            if path == "/write":
                return new()
            if path == "/rotate":
                if self.fault == "same token":
                    return Answer("written")
                if self.fault != "old token":
                    ends.pop(token)
                return new()
            if path == "/end" and self.fault != "never ends":
                ends.pop(token, None)
                return Answer("")
            if live and extends:
                ends[token] = self.now + LIFETIME
            return Answer("written" if live else "")

        return send


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Any:
    def of(fault: str = "", *, rolling: bool = True) -> dict[str, str]:
        fake = Fake(fault, rolling)
        monkeypatch.setattr("time.sleep", fake.sleep)
        return trials.tried(fake)

    return of


def test_a_library_with_every_feature_passes(outcome: Any) -> None:
    assert outcome() == {
        "7.2.1": "default",
        "7.2.2": "default",
        "7.2.4": "call",
        "7.3.1": "default",
        "7.3.2": "option",
        "7.4.1": "call",
        "3.3.1": "Secure by default, the prefix an option",
        "3.3.2": "default",
        "3.3.3": "default",
        "3.3.4": "default",
        "3.3.5": "default",
    }


@pytest.mark.parametrize(
    ("fault", "number", "found"),
    [
        ("adopts", "7.2.1", "own code"),
        ("static", "7.2.2", "own code"),
        ("same token", "7.2.4", "own code"),
        ("old token", "7.2.4", "call, for the new token"),
        ("never ends", "7.4.1", "own code"),
        ("immortal", "7.3.1", "own code"),
        ("immortal", "7.3.2", "own code"),
        ("no limit", "7.3.2", "own code"),
        ("options", "3.3.1", "own code"),
        ("options", "3.3.3", "own code"),
    ],
)
def test_a_fault_is_found(outcome: Any, fault: str, number: str, found: str) -> None:
    assert outcome(fault)[number] == found


def test_a_lifetime_that_needs_an_option_is_found(outcome: Any) -> None:
    assert outcome(rolling=False)["7.3.1"] == "option"
