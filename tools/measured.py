"""Write the measured numbers into the README and the documentation.

    python -m bench --docs       # measures all that is needed, on a quiet machine
    python -m tools.measured     # collects the results and writes them into the pages

The first command writes ``.artifacts/bench/*.json``. The second one keeps the numbers of the pages
in the committed record ``bench/results.json``, and writes them between the marks of the pages:

    <!-- measured: pauses.insert -->0.18 ms<!-- /measured -->

A mark encloses a number in a sentence, or a whole table. ``--check`` only compares the pages with
the record, as ``tests/unit/test_measured.py`` does.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench import record as records
from bench.contenders import BareDict, Cachetools, Lembro
from bench.flood import REAL
from bench.pauses import MEANWHILE, STEPS
from bench.peers import ACTIONS
from bench.record import Record, is_peer
from bench.verdicts import ROOT

MARK: Final = re.compile(r"<!-- measured: (\S+) -->(.*?)<!-- /measured -->", re.DOTALL)
OURS: Final = Lembro.title
TWENTIETH, FIFTH = "age levels", "age levels, 20 % for new"


def pages() -> list[Path]:
    """Return the README and all pages of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(text: str, values: dict[str, str]) -> str:
    """Return the text with the values between its marks.

    The marks of a bench without values are not changed.

    Raises:
        KeyError: A bench has values, but none with the name of a mark.
    """
    benches = {name.partition(".")[0] for name in values}

    def replaced(match: re.Match[str]) -> str:
        if match[1].partition(".")[0] not in benches:
            return match[0]
        value = values[match[1]]
        room = "\n\n" if "\n" in value else ""
        return f"<!-- measured: {match[1]} -->{room}{value}{room}<!-- /measured -->"

    return MARK.sub(replaced, text)


# -- numbers and ratios ----------------------------------------------------------------------------


def number(value: float) -> str:
    """Format a number: two significant digits, or all digits before the point."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{float(f'{value:.2g}'):g}"


def ratio(ours: float, theirs: float) -> str:
    """Format our value as a part or a multiple of theirs."""
    if ours <= 0 or theirs <= 0:
        return "nothing" if ours <= 0 else "theirs: nothing"
    return f"1/{number(theirs / ours)}" if ours < theirs else f"{number(ours / theirs)} times"


def against(ours: float, theirs: float, title: str) -> str:
    of = "of " if 0 < ours < theirs else ""
    return f"{ratio(ours, theirs)} {of}{title}'s"


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def about(of: Any) -> str:
    """Return the time and the machine of a bench's run."""
    quick = ", a quick run with smaller numbers" if of["quick"] else ""
    when = re.sub(r" \d\d:\d\d$", "", of["when"])
    return f"{of['python']}, {of['machine']}, {when}{quick}"


def between(values: list[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


# -- the values of each bench ----------------------------------------------------------------------


def _request_rows(
    libraries: dict[str, dict[str, float]], ours: str, reference: str, titles: dict[str, str]
) -> Iterator[list[str]]:
    """Return one row for each library, ours with its ratio to the reference."""
    for library, title in titles.items():
        if library not in libraries:
            continue
        added = libraries[library]
        cells = [number(max(0.0, added[action])) for action in ACTIONS]
        if library == ours and reference in libraries:
            theirs = libraries[reference]
            parts = [ratio(added[action], theirs[action]) for action in ACTIONS]
            cells = [f"**{cell}** ({part})" for cell, part in zip(cells, parts, strict=True)]
            yield [f"**{title}**", *cells]
            continue
        if ours in libraries:
            parts = [ratio(added[action], libraries[ours][action]) for action in ACTIONS]
            cells = [f"{cell} ({part})" for cell, part in zip(cells, parts, strict=True)]
        yield [title, *cells]


ASGI: Final = {
    "Starlette (cookie)": "Starlette's signed cookie",
    "starsessions (InMemoryStore)": "starsessions",
    "lembro.asgi": "lembro, ASGI",
}
"""The libraries for ASGI, with the names that the page shows."""


def requests(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    yield "visitors", f"{of['visitors']:,}"
    yield "bytes", f"{of['bytes']}"
    rows = [*_request_rows(of["asgi"], "lembro.asgi", "Starlette (cookie)", ASGI)]
    titles = {"Beaker (memory)": "Beaker", "lembro.wsgi": "lembro, WSGI"}
    rows += _request_rows(of["wsgi"], "lembro.wsgi", "Beaker (memory)", titles)
    yield "table", markdown(["", *ACTIONS], rows)


def served(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    yield "connections", f"{of['connections']}"
    rows = [*_request_rows(of["asgi"], "lembro.asgi", "Starlette (cookie)", ASGI)]
    yield "table", markdown(["", *ACTIONS], rows)


FRAMEWORKS: Final = {
    "flask": ("Flask-Session (SimpleCache)", {"Flask (cookie)": "Flask's signed cookie"}),
    "django": ("Django (locmem)", {}),
    "litestar": ("Litestar (server-side)", {}),
}
"""The frameworks of the page, each with the library that lembro is compared with, and others."""


def frameworks(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    rows: list[list[str]] = []
    for name, (reference, others) in FRAMEWORKS.items():
        titles = {reference: reference, **others, "lembro": f"lembro in {name.capitalize()}"}
        rows += _request_rows(of["added"].get(name, {}), "lembro", reference, titles)
    yield "table", markdown(["", *ACTIONS], rows)


def speed(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    yield "number", f"{of['number']:,}"
    for verb, quotient in of["of_a_dict"][OURS].items():
        yield verb, number(quotient)
    yield "touch_of_cachetools", number(of["touch_of_cachetools"])
    in_rust = ("cachebox TTLCache", "moka-py", "theine")
    others = [
        quotient
        for title in in_rust
        for verb, quotient in of["of_a_dict"].get(title, {}).items()
        if verb in ("get", "overwrite", "new")
    ]
    yield "in_rust", between(others)


def memory(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    million = of["million"]
    yield "number", f"{million[OURS]['number']:,}"
    yield "cap", f"{of['cap'] // 1_000_000} MB"
    yield "overhead", f"{million[OURS]['overhead']}"
    yield "overhead_of_a_dict", f"{million[BareDict.title]['overhead']}"
    peers = {title: it for title, it in million.items() if is_peer(title)}
    yield "overhead_of_peers", between([it["overhead"] for it in peers.values()])
    yield "gc", number(million[OURS]["gc_of_a_dict"])
    yield "gc_of_cachetools", number(million[Cachetools.title]["gc_of_a_dict"])
    yield "returned", f"{of['returned']} %"
    yield "beyond_default", f"{max(0.0, of['beyond_default']):g} MiB"
    worst = dict(of["worst"])
    yield "worst", f"{worst.pop(OURS):.2f}"
    whole_entries = of["worst_told_truly"]
    for name, values in (("best", worst), ("best_of_whole_entries", whole_entries)):
        whole = [title for title in values if title not in of["unfinished"]]
        title = min(whole, key=lambda title: float(values[title]))
        yield name, f"{number(values[title])} ({title})"
    rows = [[f"**{OURS}**", f"**{of['worst'][OURS]:.2f}**", ""]]
    for title in sorted(worst, key=lambda title: float(worst[title])):
        told = f"{whole_entries[title]:.2f}" if title in whole_entries else ""
        unfinished = ", too slow for all phases" if title in of["unfinished"] else ""
        rows.append([f"{title}{unfinished}", f"{worst[title]:.2f}", told])
    heads = ["growth of the process ÷ cap", "counting the payloads alone", "counting whole entries"]
    yield "table", markdown(heads, rows)


def pauses(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    longest, sessions = of["longest"], of["number"]
    yield "number", f"{sessions[OURS]:,}"
    yield "best_of", f"{of['best_of']}"
    for name, step in (("insert", STEPS[0]), ("evict", STEPS[1])):
        ours = longest[OURS][step]
        yield name, f"{number(ours)} ms"
        others = {t: it[step] for t, it in longest.items() if t != OURS and step in it}
        best = min(others, key=lambda title: float(others[title]))
        yield f"{name}.best", against(ours, others[best], best)
    meanwhile, theirs = longest[OURS][MEANWHILE], longest[Cachetools.title][STEPS[2]]
    yield "meanwhile", f"{number(meanwhile)} ms"
    yield "meanwhile.cachetools", ratio(meanwhile, theirs)
    rows = []
    for title, it in longest.items():
        few = sessions[title] < sessions[OURS]
        cells = []
        for step in STEPS:
            if step not in it:
                cells.append("")
            elif title == OURS:
                cells.append(f"**{number(it[step])}**")
            else:
                cells.append(f"{number(it[step])} ({ratio(it[step], longest[OURS][step])})")
        name = f"{title}, only {sessions[title]:,}" if few else title
        rows.append([f"**{name}**" if title == OURS else name, *cells])
    yield "table", markdown(["longest, ms", *STEPS], rows)


def threads(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    yield "quotient", f"{of['quotient']:.2f}"


def flood(of: Any) -> Iterator[tuple[str, str]]:
    def share(percent: float) -> str:
        return f"{int(percent * 10) / 10:g} %"  # rounded down: 100 means that no session was lost

    yield "about", about(of)
    kept = {row["policy"]: row for row in of["kept"]}
    yield "capacity", f"{of['capacity']:,}"
    yield "users", f"{of['users']:,}"
    yield "minutes", f"{of['minutes']:g}"
    yield "slow", f"{100 * of['scale']:g}"
    yield "fast", f"{1000 * of['scale']:g}"
    yield "established", share(kept[REAL]["established"])
    yield "arriving", share(kept[REAL]["arriving"])
    yield "logged_in", share(of["logged_in"])
    yield "points", number(max(0.0, kept[TWENTIETH]["arriving"] - kept[FIFTH]["arriving"]))
    yield "first_try", share(of["first_try"][FIFTH])
    yield "first_try_of_a_twentieth", share(of["first_try"][TWENTIETH])


def soak(of: Any) -> Iterator[tuple[str, str]]:
    yield "about", about(of)
    yield "minutes", f"{of['minutes']:g}"
    yield "max_size", f"{of['max_size'] >> 20} MiB"
    yield "operations", f"{of['operations'] / 1e6:.1f} million"
    yield "ended", f"{(of['expired'] + of['evicted']) / 1e6:.1f} million"
    yield "recounts", f"{of['recounts']}"
    for share in ("used", "held", "resident"):
        yield share, f"{of[share]:.2f}"
    later = of["late"] - of["late_idle"]
    yield "late", f"at most {number(later)} ms later than" if later > 0 else "no later than"


BENCHES: Final = {
    "requests": requests,
    "served": served,
    "frameworks": frameworks,
    "speed": speed,
    "memory": memory,
    "pauses": pauses,
    "threads": threads,
    "flood": flood,
    "soak_memory": soak,
    "soak_sqlite": soak,
}


def values_of(record: Record) -> dict[str, str]:
    """Return all values that a page may show, by the name of their mark."""
    return {
        f"{bench}.{name}": value
        for bench, of in record.items()
        for name, value in BENCHES[bench](of)
    }


# -- the command -----------------------------------------------------------------------------------


def differing(values: dict[str, str]) -> list[Path]:
    """Return the pages that differ from the record."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    return [page for page, text in texts.items() if filled(text, values) != text]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.measured")
    parser.add_argument("--check", action="store_true", help="compare only, and write nothing")
    parser.add_argument("--quick", action="store_true", help="accept the results of --quick")
    given = parser.parse_args(arguments)
    record = records.load()
    if not given.check:
        record, left = records.collected(record, quick=given.quick)
        for line in left:
            print(f"left as it is: {line}")
        records.save(record)
    values = values_of(record)
    changed = differing(values)
    for page in changed:
        if not given.check:
            text = filled(page.read_text(encoding="utf-8"), values)
            page.write_text(text, encoding="utf-8")
        print(
            f"{page.relative_to(ROOT)}: {'differs from the record' if given.check else 'written'}"
        )
    return 1 if given.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
