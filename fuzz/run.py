"""Run one target under atheris: ``python -m fuzz.run TARGET [libFuzzer's options]``.

libFuzzer ends the process itself, so ``__main__`` runs each target in a separate process.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any, Final

INSTRUMENTED: Final = [
    "lembro._core.codec",
    "lembro._core.tags",
    "lembro._http.cookie",
    "lembro.migrate",
    "lembro.migrate.source",
    "lembro.size",
    "fuzz.legacy_cookies",
    "fuzz.rfc6265",
    "fuzz.values",
]


def main() -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=INSTRUMENTED):
        targets = importlib.import_module("fuzz.targets")
    logging.disable()
    atheris.Setup([sys.argv[0], *sys.argv[2:]], targets.TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
