"""``python -m peers [project ...]``: run the suites, report, and exit non-zero on a surprise."""

from __future__ import annotations

import argparse
import sys

from peers import express_session, page
from peers.peer import PROJECTS
from peers.report import run


def main() -> int:
    everything = [*PROJECTS, express_session.NAME]
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument("projects", nargs="*", metavar="project", help=", ".join(everything))
    parser.add_argument("--write", action="store_true", help="update docs/peers.md")
    given = parser.parse_args()
    names = [name.replace("-", "_") for name in given.projects] or everything
    if unknown := set(names) - set(everything):
        parser.error(f"no such project: {', '.join(sorted(unknown))}")
    reports = []
    for name in names:
        report = express_session.run() if name == express_session.NAME else run(name)
        print(report.line(), flush=True)
        for problem in report.problems:
            print(f"    {problem}", flush=True)
        reports.append(report)
    if len(names) == len(everything):
        wanted = page.up_to_date(report for report in reports if report.name in PROJECTS)
        if given.write:
            page.PAGE.write_text(wanted, encoding="utf-8")
        elif wanted != page.PAGE.read_text(encoding="utf-8"):
            print("docs/peers.md has other numbers; to update it, run: make peers ARGS=--write")
    if all(report.missing for report in reports):
        print("no suite was run")
        return 1
    return 1 if any(report.problems for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
