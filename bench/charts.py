"""Draw the figures with matplotlib, from the saved results of the benches."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_matplotlib: Any = import_module("matplotlib")
_matplotlib.use("svg")
plt: Any = import_module("matplotlib.pyplot")

OURS: Final = "#0b7a5e"
CAP: Final = "#c0392b"
OTHERS: Final = ("#5b6dcd", "#c77d1e", "#8a4fa3", "#4f9bb8", "#8c8c5a", "#b05574", "#777777")
INK: Final = "#333333"
TIMES: Final = "\N{MULTIPLICATION SIGN}"

POINTS: Final = 500  # of a line

plt.rcParams.update(
    {
        "svg.hashsalt": "lembro",  # makes the file reproducible
        "svg.fonttype": "path",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "axes.titlepad": 12,
    }
)


def _figure(width: float = 8.4, height: float = 4.4) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.set_facecolor("white")  # so that it can be read on a dark page
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None}, facecolor="white")
    plt.close(figure)


def shifting(details: Any, ours: str, path: Path) -> None:
    """Resident memory over its cap while the sizes of sessions shift."""
    figure, axes = _figure()
    colors = iter(OTHERS)
    ends: list[tuple[float, str, str]] = []
    for title, it in details.items():
        mine = title == ours
        color = OURS if mine else next(colors)
        axes.plot(
            range(1, len(it["samples"]) + 1),
            it["samples"],
            color=color,
            linewidth=2.6 if mine else 1.4,
            zorder=3 if mine else 2,
        )
        stopped = "why" in it
        if stopped:
            axes.plot(len(it["samples"]), it["samples"][-1], "x", color=color, markersize=7)
        ends.append((it["samples"][-1], f"{TIMES} {title}" if stopped else title, color))
    whole = max(len(it["samples"]) for it in details.values())
    bounds = max((it["bounds"] for it in details.values()), key=len)
    names = list(next(it["most"] for it in details.values() if len(it["bounds"]) == len(bounds)))
    axes.axhline(1, color=CAP, linewidth=1.4, linestyle="--")
    ends.append((1.0, "the cap", CAP))
    top = max(max(it["samples"]) for it in details.values()) * 1.15
    for first, last, name in zip([0, *bounds], bounds, names, strict=False):
        words = name.replace(" again", "\nagain").replace(" over", "\nover")
        axes.text((first + last) / 2, top * 0.985, words, ha="center", va="top", fontsize=9)
        if last < whole:
            axes.axvline(last, color="#cccccc", linewidth=0.8, zorder=1)
    _labels_at_the_right(axes, whole, ends, top)
    axes.set(xlim=(0, whole), ylim=(0, top), xticks=[])
    said = "sessions of these sizes are written, in each phase more than the cap; "
    said += "the others count the payloads alone"
    if any("why" in it for it in details.values()):
        said += f"\n({TIMES}: almost no writes once it was full)"
    axes.set_xlabel(said, labelpad=8)
    axes.set_ylabel("resident memory ÷ cap")
    _save(figure, path)


def _labels_at_the_right(
    axes: Any, x: float, ends: Sequence[tuple[float, str, str]], top: float
) -> None:
    """Write the names at the ends of their lines, moved apart if they would overlap."""
    gap = top * 0.055
    last = -gap
    for y, text, color in sorted(ends):
        last = max(y, last + gap)
        axes.annotate(
            text,
            (x, last),
            xytext=(6, 0),
            textcoords="offset points",
            color=color,
            va="center",
            annotation_clip=False,
            fontweight="bold" if color == OURS else "normal",
        )


def pauses(runs: Any, ours: str, step: str, head: str, path: Path) -> None:
    """Draw how many calls took how long: one line for each store, with the longest call marked."""
    titles = [title for title, of in runs.items() if step in of[0]["steps"]]
    figure, axes = _figure(height=0.62 * len(titles) + 1.5)
    for row, title in enumerate(reversed(titles)):
        best = min(runs[title], key=lambda run: run["steps"][step]["longest"])["steps"][step]
        color = OURS if title == ours else OTHERS[0]
        counts = {int(place): n for place, n in best["histogram"].items()}
        total = sum(counts.values())
        for place, n in counts.items():
            # The height is logarithmic, so that a single call of a million is visible.
            height = 0.12 + 0.68 * _log_share(n, total)
            axes.bar(
                2 ** (place / 4),
                height,
                width=2 ** (place / 4) * 0.17,
                bottom=row,
                color=color,
                align="center",
            )
        longest = best["longest"] * 1e6
        axes.text(
            longest * 1.35,
            row + 0.08,
            _time(longest),
            color=color,
            va="bottom",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.axvline(1000, color=CAP, linewidth=1.2, linestyle="--", zorder=1)
    axes.text(1080, len(titles) - 0.05, "1 ms", color=CAP, va="bottom")
    axes.set_xscale("log")
    axes.set_xlim(0.3, 3e6)
    ticks = (1, 10, 100, 1e3, 1e4, 1e5, 1e6)
    axes.set_xticks(ticks, [_time(t) for t in ticks])
    axes.minorticks_off()
    most = max(runs[title][0]["number"] for title in titles)
    names = [
        title if (number := runs[title][0]["number"]) == most else f"{title}, only {number:,}"
        for title in reversed(titles)
    ]
    axes.set_yticks([row + 0.2 for row in range(len(titles))], names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.1, len(titles) + 0.3)
    axes.set_xlabel(head, labelpad=8)
    _save(figure, path)


def _log_share(n: int, total: int) -> float:
    from math import log

    return log(n + 1) / log(total + 1)


def _time(microseconds: float) -> str:
    for limit, unit in ((1e3, "µs"), (1e6, "ms")):
        if microseconds < limit:
            value = microseconds / (limit / 1e3)
            return f"{value:.0f} {unit}" if value >= 9.95 or value == 1 else f"{value:.1f} {unit}"
    value = microseconds / 1e6
    return f"{value:.0f} s" if value >= 9.95 or value == 1 else f"{value:.1f} s"


def flood(rows: Sequence[tuple[str, float, float]], ours: str, head: str, path: Path) -> None:
    """Draw the share of users who still have their session: known and new ones.

    There is one line for each policy, sorted from the best to the worst.
    """
    figure, axes = _figure(height=0.5 * len(rows) + 1.4)
    for row, (title, established, arriving) in enumerate(reversed(rows)):
        color = OURS if title == ours else OTHERS[0]
        axes.barh(row + 0.19, established, height=0.36, color=color)
        axes.barh(row - 0.19, arriving, height=0.36, color=color, alpha=0.5)
        for y, value in ((row + 0.19, established), (row - 0.19, arriving)):
            axes.text(
                value + 0.8, y, f"{value:.1f}".rstrip("0").rstrip("."), va="center", fontsize=8
            )
    axes.set_yticks(range(len(rows)), [title for title, _, _ in reversed(rows)])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 106)
    axes.set_xticks((0, 25, 50, 75, 100), ("0", "25", "50", "75", "100 %"))
    axes.set_xlabel(head, labelpad=8)
    _save(figure, path)


def soak(details: Any, path: Path) -> None:
    """Draw what a store took over time, with the lag of the loop below."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8.4, 5.4), layout="constrained", sharex=True, height_ratios=(3, 1.2)
    )
    max_size = details["max_size"]
    rows = _thinned(details["rows"], POINTS)
    minutes = [row[0] / 60 for row in rows]
    lines = (
        (2, "growth of the process", OURS),
        (7, "pages or file of the store", OTHERS[1]),
        (1, "stats().used", OTHERS[0]),
    )
    for column, label, color in lines:
        shares = [row[column] / max_size for row in rows]
        above.plot(minutes, shares, color=color, linewidth=1, label=label)
    above.axhline(1, color=CAP, linewidth=1.2, linestyle="--", label="max_size")
    above.set_ylim(0, None)
    above.set_ylabel("÷ max_size")
    above.legend(frameon=False, loc="lower right", ncols=2)
    below.plot(minutes, [row[6] for row in rows], color=INK, linewidth=0.8)
    below.set_ylim(0, None)
    below.set_ylabel("longest lag, ms")
    below.set_xlabel("minutes")
    _save(figure, path)


def _thinned(rows: Sequence[Sequence[float]], points: int) -> list[list[float]]:
    """Return at most about a number of rows, each the largest values of several."""
    step = max(1, len(rows) // points)
    return [
        [max(column) for column in zip(*rows[at : at + step], strict=True)]
        for at in range(0, len(rows), step)
    ]
