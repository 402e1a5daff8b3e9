"""``python -m peers.scorecard [library ...]``: try, report, and exit non-zero on a surprise."""

from __future__ import annotations

import argparse
import sys
from importlib import metadata

from peers.fetch import NotFetchedError
from peers.scorecard import TRIED, problems_of
from peers.scorecard.express import ExpressSession
from peers.scorecard.python import Django, DjangoUsers, FlaskSession, Starsessions
from peers.scorecard.trials import tried


def outcomes_of(name: str) -> dict[str, str]:
    """Return the outcome of each requirement.

    Raises:
        NotFetchedError: The library is not available.
    """
    if name == "express-session":
        express = ExpressSession()
        try:
            return tried(express)
        finally:
            express.close()
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        raise NotFetchedError("it is not installed") from None
    if name == "Django":
        return tried(Django()) | DjangoUsers().tried()
    return tried(FlaskSession() if name == "Flask-Session" else Starsessions())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m peers.scorecard", description=__doc__)
    parser.add_argument("libraries", nargs="*", metavar="library", help=", ".join(TRIED))
    names = parser.parse_args().libraries or list(TRIED)
    if unknown := set(names) - set(TRIED):
        parser.error(f"no such library: {', '.join(sorted(unknown))}")
    surprises = 0
    for name in names:
        try:
            outcomes = outcomes_of(name)
        except NotFetchedError as error:
            print(f"{name}: not tried: {error}")
            continue
        print(f"{name}: {', '.join(f'{number} {found}' for number, found in outcomes.items())}")
        problems = problems_of(name, outcomes)
        if set(outcomes) != set(TRIED[name]):
            problems.append(f"{name}: tried {sorted(outcomes)}, and not {sorted(TRIED[name])}")
        for problem in problems:
            print(f"    {problem}")
        surprises += len(problems)
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
