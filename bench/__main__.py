"""``python -m bench [names] [--quick]``."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from typing import Final

BENCHES: Final = {
    "requests": "what a session adds to a request, beside other libraries",
    "flood": "who keeps their session while bots pour in, beside other policies",
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="The measurements behind lembro's claims.",
        epilog="; ".join(f"{name}: {what}" for name, what in BENCHES.items()),
    )
    parser.add_argument("names", nargs="*", metavar="name", help="which; all, if none is named")
    parser.add_argument("--quick", action="store_true", help="shorter, and less exact")
    parser.add_argument("--whole", action="store_true", help="the flood at its full size (slow)")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    for name in given.names or BENCHES:
        start = time.monotonic()
        print(f"\n=== {name}: {BENCHES[name]}\n", flush=True)
        bench = importlib.import_module(f"bench.{name}")
        bench.main(
            quick=given.quick, **({"whole": True} if given.whole and name == "flood" else {})
        )
        print(f"\n({name}: {time.monotonic() - start:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
