"""Merge the changes of two requests to one session (three-way, against what this one loaded).

* Dicts are merged by key, recursively.
* Sets are merged by item: the result has the items that either side added, without those that
  either side removed.
* If both sides only appended to a list, the result is their items, then ours. The same item
  appended by both occurs twice. The same new list set by both is kept once.
* If one side only appended to a list and the other only removed items, the result is the items
  that are left, then those that were appended. A deleted key counts as a list or set without items.
* For anything else the later commit wins, and the path is reported as a conflict.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, NamedTuple

from ..errors import CodecError
from .codec import Data, encode_value
from .tags import MAX_DEPTH


class _Missing:
    def __repr__(self) -> str:  # pragma: no cover - for debugging
        return "MISSING"


_MISSING: Final = _Missing()

SHOWN: Final = 5
"""How many paths of conflicts a merge names."""

Path = tuple[Any, Any] | None
"""The path of the parent, and the key. The text is made for the conflicts that are named only."""


class Conflicts(NamedTuple):
    """The changes of another request that a merge replaced."""

    number: int
    paths: list[str]
    """The first of them."""

    def __bool__(self) -> bool:
        return self.number > 0


NONE: Final = Conflicts(0, [])


def merge(base: Data, theirs: Data, ours: Data) -> tuple[Data, Conflicts]:
    """Merge two changed versions of the same data.

    The result holds our objects wherever theirs did not change, so that the references of the
    application to nested values stay valid.

    Args:
        base: The data that both started from.
        theirs: The data that another request has stored.
        ours: The data of this request.

    Returns:
        The merged data, and the paths at which ours replaced a different change of theirs.
    """
    merging = _Merge()
    merged = merging.dicts(base, theirs, ours, None)
    return merged, Conflicts(merging.conflicts, merging.paths)


class _Merge:
    def __init__(self) -> None:
        self.conflicts: int = 0
        self.paths: list[str] = []
        self._seen: dict[int, bytes] = {}  # id() of a dict: its digest; no dict changes meanwhile

    def dicts(self, base: Data, theirs: Data, ours: Data, path: Path) -> dict[Any, Any]:
        merged = {}
        for key in (*theirs, *(key for key in ours if key not in theirs)):
            value = self.values(
                base.get(key, _MISSING),
                theirs.get(key, _MISSING),
                ours.get(key, _MISSING),
                (path, key),
            )
            if value is not _MISSING:
                merged[key] = value
        return merged

    def values(self, base: Any, theirs: Any, ours: Any, path: Path) -> Any:
        equal = self._equal
        if equal(ours, base):
            # Where all three are equal, our object is kept.
            return ours if equal(theirs, base) else theirs
        if equal(theirs, base) or (base is _MISSING and equal(theirs, ours)):
            return ours
        if isinstance(theirs, dict) and isinstance(ours, dict):
            start = base if isinstance(base, dict) else {}
            return self.dicts(start, theirs, ours, path)
        for kind in (list, set, frozenset):
            if all(value is _MISSING or isinstance(value, kind) for value in (base, theirs, ours)):
                merged = _merge_items(kind, base, theirs, ours)
                if merged is not None:
                    return merged
        if not equal(theirs, ours):
            self.conflicts += 1
            if len(self.paths) < SHOWN:
                self.paths.append(_text(path))
        return ours

    def _equal(self, one: Any, other: Any) -> bool:
        """Return whether two values have the same encoding, that is, equal values and types."""
        if one is other:
            return True
        if one is _MISSING or other is _MISSING or isinstance(one, dict) != isinstance(other, dict):
            return False
        return self._image(one, 1) == self._image(other, 1)

    def _image(self, value: Any, depth: int) -> bytes:
        """Return bytes that represent a value: its encoding, or the digest of a dict.

        Each digest is made once. Encoding nested dicts again at each level would take a hundred
        times as long.
        """
        if not isinstance(value, dict):
            return encode_value(value)
        digest = self._seen.get(id(value))
        if digest is None:
            if depth > MAX_DEPTH:
                raise CodecError(
                    f"values may be nested at most {MAX_DEPTH} levels deep, and not in themselves"
                )
            whole = blake2b(digest_size=32)
            for key, item in value.items():
                image = self._image(item, depth + 1)
                whole.update(encode_value(key))
                whole.update(b"%c%d:" % (isinstance(item, dict), len(image)))
                whole.update(image)
            digest = self._seen[id(value)] = whole.digest()
        return digest


def _text(path: Path) -> str:
    keys: list[str] = []
    while path is not None:
        path, key = path
        keys.append(str(key))
    return ".".join(reversed(keys))


def _merge_items(kind: type, base: Any, theirs: Any, ours: Any) -> Any:
    """Merge two changed lists or sets. Return None if no rule applies to the changes."""
    deleted = theirs is _MISSING or ours is _MISSING
    base, theirs, ours = (() if side is _MISSING else side for side in (base, theirs, ours))
    start, one, two = ([encode_value(item) for item in side] for side in (base, theirs, ours))
    if kind is list:
        merged = _merge_lists(start, [*theirs], one, [*ours], two)
    else:
        encodings = (set(one) & set(two)) | ((set(one) ^ set(two)) - set(start))
        items = dict(zip([*one, *two], [*theirs, *ours], strict=True))
        merged = kind(item for encoding, item in items.items() if encoding in encodings)
    return _MISSING if deleted and merged is not None and not merged else merged


def _merge_lists(
    start: list[bytes], theirs: list[Any], one: list[bytes], ours: list[Any], two: list[bytes]
) -> list[Any] | None:
    """Merge two changed lists. The encodings of the items are compared: 1 and True differ."""
    size = len(start)
    they_appended, we_appended = one[:size] == start, two[:size] == start
    if we_appended and (they_appended or _is_part(one, start)):
        return theirs + ours[size:]
    if they_appended and _is_part(two, start):
        return ours + theirs[size:]
    return None


def _is_part(part: list[bytes], whole: list[bytes]) -> bool:
    """Return whether ``part`` is ``whole`` without some of its items."""
    rest = iter(whole)
    return all(item in rest for item in part)
