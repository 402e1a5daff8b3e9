"""Merge on conflict: what becomes of a session that two requests changed at the same time.

Three ways, against what this request loaded (``base``): dicts by key, recursively; a list that
both sides only appended to: theirs, then ours (also if both appended the same; a new list that both
came to is one); for anything else the later commit wins, and the path is a conflict.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from ..errors import CodecError
from .codec import MAX_DEPTH, Data, encode_value


class _Missing:
    def __repr__(self) -> str:  # pragma: no cover - for who debugs a merge
        return "MISSING"


_MISSING: Final = _Missing()


def merge(base: Data, theirs: Data, ours: Data) -> tuple[Data, list[str]]:
    """The merged data and the paths at which ours won over a different change of theirs.

    Takes our objects wherever theirs has not changed, so that references into our data stay good.
    """
    merging = _Merge()
    return merging.dicts(base, theirs, ours, ""), merging.conflicts


class _Merge:
    def __init__(self) -> None:
        self.conflicts: list[str] = []
        self._seen: dict[int, bytes] = {}  # of each dict, its digest; none changes meanwhile

    def dicts(self, base: Data, theirs: Data, ours: Data, path: str) -> dict[Any, Any]:
        merged = {}
        for key in (*theirs, *(key for key in ours if key not in theirs)):
            value = self.values(
                base.get(key, _MISSING),
                theirs.get(key, _MISSING),
                ours.get(key, _MISSING),
                f"{path}.{key}" if path else str(key),
            )
            if value is not _MISSING:
                merged[key] = value
        return merged

    def values(self, base: Any, theirs: Any, ours: Any, path: str) -> Any:
        equal = self._equal
        if equal(ours, base):
            # Ours by identity where all three agree.
            return ours if equal(theirs, base) else theirs
        if equal(theirs, base) or (base is _MISSING and equal(theirs, ours)):
            return ours
        if isinstance(theirs, dict) and isinstance(ours, dict):
            start = base if isinstance(base, dict) else {}
            return self.dicts(start, theirs, ours, path)
        if isinstance(theirs, list) and isinstance(ours, list):
            start_list = [] if base is _MISSING else base
            if (
                isinstance(start_list, list)
                and _begins(theirs, start_list)
                and _begins(ours, start_list)
            ):
                return theirs + ours[len(start_list) :]
        if not equal(theirs, ours):
            self.conflicts.append(path)
        return ours

    def _equal(self, one: Any, other: Any) -> bool:
        """Equal in value and type, as the codec sees it."""
        if one is other:
            return True
        if one is _MISSING or other is _MISSING or isinstance(one, dict) != isinstance(other, dict):
            return False
        return self._image(one, 1) == self._image(other, 1)

    def _image(self, value: Any, depth: int) -> bytes:
        """What stands for a value: its encoding, or of a dict a digest, which is made once. To
        encode dicts within dicts at each level anew would take a hundred times as long."""
        if not isinstance(value, dict):
            return encode_value(value)
        digest = self._seen.get(id(value))
        if digest is None:
            if depth > MAX_DEPTH:
                raise CodecError(f"nested deeper than {MAX_DEPTH} levels, or within itself")
            whole = blake2b(digest_size=32)
            for key, item in value.items():
                image = self._image(item, depth + 1)
                whole.update(encode_value(key))
                whole.update(b"%c%d:" % (isinstance(item, dict), len(image)))
                whole.update(image)
            digest = self._seen[id(value)] = whole.digest()
        return digest


def _begins(whole: list[Any], start: list[Any]) -> bool:
    return len(whole) >= len(start) and encode_value(whole[: len(start)]) == encode_value(start)
