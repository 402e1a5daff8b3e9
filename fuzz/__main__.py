"""``python -m fuzz``: run the targets under atheris, one after the other, from the seeds.

An input that breaks a promise is printed in the form in which it is added to ``corpus.py``.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from .corpus import CORPUS

LONGEST: Final = 16_384
"""The length limit of an input in bytes, which is the header limit of servers."""
SLOWEST: Final = 10
"""The limit for one input in seconds. A slower input is a finding, because all code is linear."""


def fuzz(target: str, seconds: int) -> bool:
    """Run one target. Return whether nothing was found."""
    print(f"fuzz: {target} for {seconds} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="lembro-fuzz-") as folder:
        seeds, found = Path(folder, "seeds"), Path(folder, "found")
        seeds.mkdir()
        found.mkdir()
        for number, seed in enumerate(CORPUS[target]):
            (seeds / f"{number:03}").write_bytes(seed)
        options = {
            "max_total_time": seconds,
            "max_len": LONGEST,
            "timeout": SLOWEST,
            "artifact_prefix": f"{found}/",
            "print_final_stats": 1,
            "verbosity": 0,
        }
        command = [sys.executable, "-m", "fuzz.run", target, str(seeds)]
        command += [f"-{name}={value}" for name, value in options.items()]
        code = subprocess.run(command, check=False).returncode
        findings = sorted(found.iterdir())
        for finding in findings:
            print(
                f"\nfuzz: found by {target}; add to fuzz/corpus.py:\n    {finding.read_bytes()!r},"
            )
    return code == 0 and not findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(CORPUS)}")
    parser.add_argument(
        "--seconds", type=int, default=120, help="seconds for all targets together (default: 120)"
    )
    arguments = parser.parse_args()
    targets = arguments.targets or list(CORPUS)
    for target in targets:
        if target not in CORPUS:
            parser.error(f"no target {target!r}; there are {', '.join(CORPUS)}")
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is missing; it has wheels for Python 3.11 to 3.13: PYTHON=python3.13")
    seconds = max(1, arguments.seconds // len(targets))
    failed = [target for target in targets if not fuzz(target, seconds)]
    print(f"\nfuzz: {', '.join(failed) or 'nothing'} broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
