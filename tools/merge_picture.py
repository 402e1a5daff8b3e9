"""Draw docs/images/merge.svg: two requests of one session, and the data that are stored in the end.

The data are merged by ``lembro._core.merge``.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any, Final

from lembro._core.merge import merge

PICTURE: Final = Path(__file__).resolve().parents[1] / "docs" / "images" / "merge.svg"

LOADED: Final[dict[str, Any]] = {
    "cart": ["bread"],
    "flash": ["hello"],
    "seen": {1},
    "theme": "light",
    "step": 1,
}
THEIRS: Final[dict[str, Any]] = {
    "cart": ["bread", "milk"],
    "flash": ["hello", "added"],
    "seen": {1, 2},
    "theme": "dark",
    "step": 2,
}
OURS: Final[dict[str, Any]] = {
    "cart": ["bread", "eggs"],
    "flash": [],
    "seen": {1, 3},
    "theme": "light",
    "lang": "pt",
    "step": 3,
}

_THEIRS, _OURS, _INK, _PALE = "#9a3412", "#1e40af", "#1f2937", "#6b7280"
_LINE: Final = 20
_STYLE: Final = (
    "text { font: 13px ui-monospace, monospace; fill: #1f2937 } "
    ".title { font: 600 14px system-ui, sans-serif } "
    ".note { font: 12px system-ui, sans-serif; fill: #6b7280 }"
)


def _colour(key: str, value: Any) -> str:
    """Return the colour of the request that made a change."""
    if LOADED.get(key) == value:
        return _INK
    if THEIRS.get(key) == value:
        return _THEIRS
    return _OURS if OURS.get(key) == value else _INK


def _value(key: str, value: Any) -> str:
    """Draw a value, each item of a list or set in the colour of the request that added it."""
    if not isinstance(value, list | set) or not value:
        return f'<tspan fill="{_colour(key, value)}">{html.escape(repr(value))}</tspan>'
    items = []
    for item in value:
        colour = _INK if item in LOADED[key] else _THEIRS if item in THEIRS[key] else _OURS
        items.append(f'<tspan fill="{colour}">{html.escape(repr(item))}</tspan>')
    left, right = "[]" if isinstance(value, list) else "{}"
    return left + ", ".join(items) + right


def _box(x: int, y: int, title: str, colour: str, data: dict[str, Any], width: int) -> list[str]:
    height = _LINE * (len(data) + 1) + 22
    lines = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" '
        f'fill="#ffffff" stroke="{colour}" stroke-width="1.5"/>',
        f'<text class="title" x="{x + 14}" y="{y + 24}" style="fill:{colour}">{title}</text>',
    ]
    for number, (key, value) in enumerate(data.items()):
        at = y + 24 + _LINE * (number + 1) + 2
        lines.append(f'<text x="{x + 14}" y="{at}">{key}: {_value(key, value)}</text>')
    return lines


def _arrow(x: int, y: int, to_x: int, to_y: int, note: str, note_x: int) -> list[str]:
    return [
        f'<path d="M{x} {y} L{to_x} {to_y}" stroke="{_PALE}" stroke-width="1.5" '
        f'marker-end="url(#tip)"/>',
        f'<text class="note" x="{note_x}" y="{(y + to_y) // 2 + 4}" '
        f'text-anchor="middle">{note}</text>',
    ]


def draw() -> str:
    merged, conflicts = merge(LOADED, THEIRS, OURS)
    [conflict] = conflicts.paths
    note = 406 + 24 + _LINE * (1 + list(merged).index(conflict)) + 2
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 590" role="img" '
        'aria-label="Two requests load a session, change it, and both changes are kept">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{_PALE}"/></marker>'
        "</defs>",
        '<rect width="640" height="590" rx="12" fill="#f8fafc"/>',
        *_box(205, 20, "loaded by both", _INK, LOADED, 230),
        *_arrow(260, 164, 150, 208, "they change", 145),
        *_arrow(380, 164, 490, 208, "we change", 495),
        *_box(30, 212, "theirs, stored first", _THEIRS, THEIRS, 230),
        *_box(380, 212, "ours, stored second", _OURS, OURS, 230),
        *_arrow(150, 358, 260, 402, "", 0),
        *_arrow(490, 378, 380, 402, "", 0),
        *_box(180, 406, "in the store", _INK, merged, 280),
        f'<text class="note" x="472" y="{note}">a conflict: {conflict}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
