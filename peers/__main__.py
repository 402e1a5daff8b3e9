"""``python -m peers [project ...]``: run the suites, report, and end non-zero on a surprise."""

from __future__ import annotations

import argparse
import sys

from peers import page
from peers.peer import PROJECTS
from peers.report import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument("projects", nargs="*", metavar="project", help=", ".join(PROJECTS))
    parser.add_argument("--write", action="store_true", help="bring docs/peers.md up to date")
    given = parser.parse_args()
    names = [name.replace("-", "_") for name in given.projects] or list(PROJECTS)
    if unknown := set(names) - set(PROJECTS):
        parser.error(f"no such project: {', '.join(sorted(unknown))}")
    reports = []
    for name in names:
        report = run(name)
        print(report.line(), flush=True)
        for problem in report.problems:
            print(f"    {problem}", flush=True)
        reports.append(report)
    if len(names) == len(PROJECTS):
        wanted = page.up_to_date(reports)
        if given.write:
            page.PAGE.write_text(wanted, encoding="utf-8")
        elif wanted != page.PAGE.read_text(encoding="utf-8"):
            print("docs/peers.md has other numbers: make peers ARGS=--write brings it up to date")
    if all(report.missing for report in reports):
        print("no suite was run")
        return 1
    return 1 if any(report.problems for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
