"""Merge on conflict: what becomes of a session that two requests changed at the same time.

Three ways, against what this request loaded (``base``): dicts by key, recursively; a list that
both sides only appended to: theirs, then ours (also if both appended the same; a new list that both
came to is one); for anything else the later commit wins, and the path is a conflict.
"""

from __future__ import annotations

from typing import Any, Final

from .codec import Data, encode_value


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


_MISSING: Final = _Missing()


def merge(base: Data, theirs: Data, ours: Data) -> tuple[Data, list[str]]:
    """The merged data and the paths at which ours won over a different change of theirs.

    Takes our objects wherever theirs has not changed, so that references into our data stay good.
    """
    conflicts: list[str] = []
    return _merge_dicts(base, theirs, ours, "", conflicts), conflicts


def _merge_dicts(
    base: Data, theirs: Data, ours: Data, path: str, conflicts: list[str]
) -> dict[Any, Any]:
    merged = {}
    for key in (*theirs, *(key for key in ours if key not in theirs)):
        value = _merge_values(
            base.get(key, _MISSING),
            theirs.get(key, _MISSING),
            ours.get(key, _MISSING),
            f"{path}.{key}" if path else str(key),
            conflicts,
        )
        if value is not _MISSING:
            merged[key] = value
    return merged


def _merge_values(base: Any, theirs: Any, ours: Any, path: str, conflicts: list[str]) -> Any:
    if _equal(ours, base):
        # Ours by identity where all three agree.
        return ours if _equal(theirs, base) else theirs
    if _equal(theirs, base) or (base is _MISSING and _equal(theirs, ours)):
        return ours
    if isinstance(theirs, dict) and isinstance(ours, dict):
        start = base if isinstance(base, dict) else {}
        return _merge_dicts(start, theirs, ours, path, conflicts)
    if isinstance(theirs, list) and isinstance(ours, list):
        start_list = [] if base is _MISSING else base
        if (
            isinstance(start_list, list)
            and _begins(theirs, start_list)
            and _begins(ours, start_list)
        ):
            return theirs + ours[len(start_list) :]
    if not _equal(theirs, ours):
        conflicts.append(path)
    return ours


def _begins(whole: list[Any], start: list[Any]) -> bool:
    return len(whole) >= len(start) and _equal(whole[: len(start)], start)


def _equal(one: Any, other: Any) -> bool:
    """Equal in value and type, as the codec sees it."""
    if one is other:
        return True
    if one is _MISSING or other is _MISSING:
        return False
    return encode_value(one) == encode_value(other)
