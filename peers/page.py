"""``docs/peers.md``: the numbers of the last run, and the differences with their reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from peers.fetch import ROOT
from peers.outcomes import peer_called
from peers.peer import PROJECTS
from peers.report import Report

PAGE: Final = ROOT / "docs" / "peers.md"


def numbers(reports: Iterable[Report]) -> str:
    """Return the table of a run."""
    lines = [
        "| project | how lembro replaces its sessions | passed | expected differences | others |",
        "|---|---|---|---|---|",
    ]
    for report in reports:
        peer = peer_called(report.name)
        cells = [report.title, peer.how]
        if report.missing:
            cells += ["", "", report.missing]
        else:
            besides = [
                f"{len(report.without_too)} fail without lembro too" if report.without_too else "",
                f"{report.skipped} skipped" if report.skipped else "",
            ]
            cells += [f"{report.passed}", f"{len(report.differ)}", ", ".join(filter(None, besides))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def differences() -> str:
    """Return the expected failures, by project and reason."""
    parts: list[str] = []
    for name in PROJECTS:
        peer = peer_called(name)
        if not peer.differs:
            continue
        reasons: dict[str, list[str]] = {}
        for test, reason in peer.differs.items():
            reasons.setdefault(reason, []).append(f"`{_short(test)}`")
        lines = [f"- {reason}: {', '.join(tests)}" for reason, tests in reasons.items()]
        parts.append(
            "\n".join([f"### {peer.project}{f', {peer.part}' if peer.part else ''}", "", *lines])
        )
    return "\n\n".join(parts)


def _short(test: str) -> str:
    """Return the short name of a test, without the file or the module."""
    if " " in test:  # a sentence, in Node
        return test
    return "::".join(test.split("::")[1:]) or ".".join(test.split(".")[-2:])


def filled(text: str, part: str, content: str) -> str:
    """Return the page with another content between two of its marks."""
    begin, end = f"<!-- {part} -->", f"<!-- /{part} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def up_to_date(reports: Iterable[Report] | None) -> str:
    """Return the up-to-date page; without reports, with the numbers that it has."""
    text = filled(PAGE.read_text(encoding="utf-8"), "differences", differences())
    return text if reports is None else filled(text, "numbers", numbers(reports))
