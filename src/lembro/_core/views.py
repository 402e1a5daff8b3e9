"""Typed parts of a session: merge what has changed in them into the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import CodecError
from . import codec
from .merge import merge
from .state import COMMITTED, MISSING, SessionState, Upgraded, View

T = TypeVar("T")


def typed_view(
    session: SessionState,
    key: str | None,
    load: Callable[[Any], T | Upgraded],
    dump: Callable[[T], Any],
) -> T:
    """Return the typed part of a loaded session; without a key, the whole session.

    After the response has begun, this is a new object if another request has stored other data.
    """
    view = session._views.get(key)
    if view is None:
        view = session._views[key] = _make_view(session, key, load, dump)
    elif session._phase is COMMITTED and _encoding(key, view) == view.stored:
        fresh = _make_view(session, key, load, dump)
        if fresh.stored != view.stored:
            view = session._views[key] = fresh
    session._nested_possible = True
    return view.value  # type: ignore[no-any-return]


def _make_view(
    session: SessionState,
    key: str | None,
    load: Callable[[Any], Any],
    dump: Callable[[Any], Any],
) -> View:
    name = key or "session"
    data = session._data
    stored: Any = data or MISSING if key is None else data.get(key, MISSING)
    base = b"" if stored is MISSING else codec.encode_value(stored, name)
    loaded: Any = load(codec.decode_value(base) if base else MISSING)  # shares no list
    upgraded = isinstance(loaded, Upgraded)
    value: Any = loaded.value if upgraded else loaded
    encoding = codec.encode_value(dump(value), name)
    if not base or (key is None and not upgraded):  # other keys are not this object's
        base = encoding
    return View(value, dump, encoding, base)


def flush_views(session: SessionState) -> None:
    """Merge typed parts that have changed into the data.

    The data may have changed too, since the part was made: by a merge with another request, by
    ``atomic``, or by an assignment. So this is a three-way merge, as for two requests.
    """
    for key, view in session._views.items():
        encoding = _encoding(key, view)
        if encoding != view.stored:
            _merge_view(session, key, view, encoding)
            view.stored = view.base = encoding
            session._assigned = True


def carry_over_views(session: SessionState, views: dict[str | None, View], *, failed: bool) -> None:
    """Merge the typed parts from before an edit into the data; after a failure drop them."""
    if not failed:
        flush_views(session)
    for key, view in views.items():
        try:
            encoding = _encoding(key, view)
        except CodecError:
            if failed:
                continue
            raise
        if encoding != view.stored:
            if not failed:
                _merge_view(session, key, view, encoding)
                session._assigned = session._nested_possible = True
            view.stored = view.base = encoding


def _encoding(key: str | None, view: View) -> bytes:
    """Return the encoding of a typed part as it is now. Raise CodecError if it cannot be stored."""
    return codec.encode_value(view.dump(view.value), key or "session")


def _merge_view(session: SessionState, key: str | None, view: View, encoding: bytes) -> None:
    """Merge a typed part into the data: under its key, or as the whole session."""
    base, ours, data = codec.decode_value(view.base), codec.decode_value(encoding), session._data
    if key is not None:
        if key not in data:
            data[key] = ours
            return
        base, ours = {key: base}, {key: ours}
    else:  # a key of the default that is not stored counts as new, not as deleted
        base = {name: it for name, it in base.items() if name in data or ours.get(name) == it}
    theirs = {name: data[name] for name in {**base, **ours} if name in data}
    merged, conflicts = merge(base, theirs, ours)
    session._note_conflicts(session._current_user(), conflicts)
    for name in theirs.keys() - merged.keys():
        del data[name]
    data.update(merged)
