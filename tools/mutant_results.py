"""The results of earlier runs of ``make mutants``, so that a run continues where the last one
ended.

The file has one JSON object per line. Each result is appended as soon as it is known. A result is
valid while the texts that it depends on are the same. For a killed mutant, these are its module and
the file of the test that killed it. For a survivor, they are its module and the files of all its
tests.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from tools.mutations import PACKAGE, Mutant, Result

ROOT: Final = Path(__file__).parent.parent


class Results:
    """The results of mutants by their names.

    Args:
        path: The file.
        fresh: Whether to discard its results.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self._path = path
        self._lines: dict[str, tuple[bool, str, str]] = {}  # name: survived, killer, digest
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                name, survived, by, digest = json.loads(line)
                self._lines[name] = survived, by, digest

    def get(self, mutant: Mutant, tests: tuple[str, ...]) -> Result | None:
        """Return the result of a mutant, if it is still valid.

        Args:
            mutant: The mutant.
            tests: The files of its tests, relative to the repository.
        """
        survived, by, digest = self._lines.get(mutant.name, (True, "", ""))
        if digest != _digest(mutant, by, tests):
            return None
        return Result(mutant, survived, by)

    def kills(self) -> Counter[tuple[str, str]]:
        """Count the mutants of each module that each file of tests has killed."""
        return Counter(
            (name.partition(":")[0], by.partition("::")[0])
            for name, (survived, by, _) in self._lines.items()
            if not survived
        )

    def add(self, result: Result, tests: tuple[str, ...]) -> None:
        """Note a result, and append it to the file."""
        digest = _digest(result.mutant, result.by, tests)
        line = result.mutant.name, result.survived, result.by, digest
        self._lines[line[0]] = line[1:]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _digest(mutant: Mutant, by: str, tests: tuple[str, ...]) -> str:
    killer = by.partition("::")[0]
    files = (killer,) if killer in tests else tests
    whole = "".join(map(_digest_of_file, (str(PACKAGE / mutant.module), *files)))
    return sha256(whole.encode()).hexdigest()[:16]


@cache
def _digest_of_file(path: str) -> str:
    return sha256((ROOT / path).read_bytes()).hexdigest()
