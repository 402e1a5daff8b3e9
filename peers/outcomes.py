"""The outcome of each test, passed from the process that ran it to the one that reports it."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from peers.peer import Peer

OUT: Final = "LEMBRO_PEERS_OUT"
NAME: Final = "LEMBRO_PEERS_NAME"
PLAIN: Final = "LEMBRO_PEERS_PLAIN"
"""Set for the run without lembro, which shows the failures that are not lembro's."""

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Outcomes:
    """The outcomes of one run."""

    tests: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """The last line of each failure."""
    stored: int = 0
    """The number of new records in lembro's store, which shows whether lembro was in place."""

    def note(self, test: str, outcome: str, said: str = "") -> None:
        """Record an outcome. A test with several parts has the worst outcome of its parts."""
        if self.tests.get(test) == FAILED or (outcome == PASSED and test in self.tests):
            return
        self.tests[test] = outcome
        if outcome == FAILED:
            self.said[test] = (said.strip().splitlines() or [""])[-1][:200]

    def write(self) -> None:
        Path(os.environ[OUT]).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Outcomes:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def peer_called(name: str) -> Peer:
    peer: Peer = importlib.import_module(f"peers.{name}").PEER
    return peer


def peer_here() -> Peer | None:
    """Return the project whose tests this process runs; None without lembro."""
    return None if PLAIN in os.environ else peer_called(os.environ[NAME])


def count_what_is_stored(outcomes: Outcomes) -> None:
    """Count the new records in all stores of this process, from now on."""
    from lembro import MemoryStore

    add = MemoryStore.add

    def counted(self: MemoryStore, *args: Any, **keywords: Any) -> bool:
        outcomes.stored += 1
        return add(self, *args, **keywords)

    MemoryStore.add = counted  # type: ignore[method-assign]
