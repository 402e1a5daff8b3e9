"""A session as a store of Express holds it, and as a record of lembro.

Express stores an object: its ``cookie``, and the keys of the application. lembro adds one key,
``lembro``, which Express keeps:

* ``mark``: a random text that makes each write of lembro unique;
* ``born``: when lembro added the session, or the login of its user, in milliseconds since 1970. It
  is absent if Express did that;
* ``death``: the absolute deadline, in the same form;
* ``meta``: the rest of lembro's metadata.

Only the expiry time in the store decides when a session ends. Express extends it without changing
``cookie.expires`` in the object.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from .._core import codec
from .._core.lifetimes import IDLE, REMEMBER, keep_idle, own_idle
from .._core.tags import MAX_DEPTH
from .._durations import LONGEST
from ..errors import CodecError
from ..stores.base import Found, Record
from .users import Users
from .values import check_values

COOKIE: Final = "cookie"
LEMBRO_KEY: Final = "lembro"
RESERVED: Final = frozenset(
    (
        *(COOKIE, LEMBRO_KEY),
        *("req", "id", "touch", "resetMaxAge", "save", "reload", "destroy", "regenerate"),
        *("constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty"),
        *("isPrototypeOf", "propertyIsEnumerable", "__proto__", "__defineGetter__"),
        *("__defineSetter__", "__lookupGetter__", "__lookupSetter__"),
    )
)
"""The keys that are not the application's. When express-session reads a session, it drops each key
that its own object has already, such as ``id``."""

Body = dict[str, Any]

_NUMBERS: Final = (int, float)
_CHANGING: Final = ("originalMaxAge", "expires", "_expires")
_FIRST: Final = ("partitioned", "priority")
"""The attributes that express-session writes between ``originalMaxAge`` and ``expires``."""

encode_json: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
decode_json: Final[Callable[[Any], Any]] = msgspec.json.Decoder().decode


class Stored(bytes):
    """The payload of a session, together with its form in the store."""

    raw: Any
    """The form in the store, with which a write is compared."""
    born: int | None
    death: int | None


def stored(payload: bytes, raw: Any, born: int | None, death: int | None) -> Stored:
    """Return a payload together with its form in the store."""
    result = Stored(payload)
    result.raw, result.born, result.death = raw, born, death
    return result


class Times:
    """The times of a new record.

    Args:
        now: Milliseconds since 1970, by the server's clock.
        idle: Seconds until the record expires without use.
        born: When it was added, in milliseconds; None if that is not known.
        death: When it expires in any case; None if never.
    """

    __slots__ = ("age", "born", "death", "idle", "life", "now")

    def __init__(self, now: int, idle: float, born: int | None, death: int | None) -> None:
        self.now: int = now
        self.born: int | None = born
        self.death: int | None = death
        self.age: float = 0.0 if born is None else max(0.0, (now - born) / 1000)
        """The age in seconds; 0 if it is not known."""
        self.life: float = math.inf if death is None else (death - now) / 1000
        """The seconds until the record expires in any case."""
        self.idle: float = min(idle, self.life)


def read(body: Any, raw: Any, users: Users, *, now: int, left: float) -> Found | None:
    """Return the record of an object of Express.

    Args:
        body: The object. Anything else gives a record that cannot be read.
        raw: The form in the store.
        users: Reads the user.
        now: Milliseconds since 1970, by the server's clock.
        left: Seconds until the session expires.

    Returns:
        The record, or None if its absolute deadline has passed.
    """
    # Few brackets cannot be nested too deeply. Checking each value takes as long as the rest.
    plain = isinstance(raw, bytes) and raw.count(b"{") + raw.count(b"[") < MAX_DEPTH
    try:
        payload, user, born, death = _parts(body, users, plain=plain)
    except (CodecError, TypeError):
        return unreadable(raw, left)
    times = Times(now, left, born, death)
    if times.life <= 0:
        return None
    kept = stored(payload, raw, born, death)
    return Found(kept, user, None, None, times.age, times.idle, times.life)


def unreadable(raw: Any, left: float) -> Found:
    """Return a record for data that are not an object of Express. The core then starts a new
    session."""
    return Found(stored(b"", raw, None, None), idle_left=left, life_left=math.inf)


def write(record: Record, times: Times) -> Body:
    """Return the object of Express for a record.

    Raises:
        CodecError: the session holds a value that Express cannot keep.
    """
    meta, data = codec.decode(record.payload)
    check_values(data, RESERVED)
    left = dict(meta)
    attributes: Body = decode_json(left.pop(COOKIE, b"{}"))
    own, remember = own_idle(meta), meta.get(REMEMBER)
    left.pop(REMEMBER, None)
    lasts = own is not None if remember is None else bool(remember)
    if lasts:
        left.pop(IDLE, None)
        age: float = (times.idle if own is None else own) * 1000
        cookie: Body = {"originalMaxAge": int(age) if age == int(age) else age}
        expires: str | None = iso(times.now + int(times.idle * 1000))
    else:
        cookie, expires = {"originalMaxAge": None}, None
    first = {name: attributes.pop(name) for name in _FIRST if name in attributes}
    extra: Body = {"mark": record.payload[-codec.MARK :].hex()}
    for name, time in (("born", times.born), ("death", times.death)):
        if time is not None:
            extra[name] = time
    texts = {
        name: value if isinstance(value, bool) else value.decode("utf-8", "replace")
        for name, value in left.items()
        if name != "fresh" or times.born is not None
    }
    if texts:
        extra["meta"] = texts
    return {
        COOKIE: {**cookie, **first, "expires": expires, **attributes},
        **data,
        LEMBRO_KEY: extra,
    }


def data_of(body: Body) -> Body:
    """Return the application's part of an object of Express."""
    return {name: value for name, value in body.items() if name not in RESERVED}


def iso(millis: int) -> str:
    """Return a time as ``JSON.stringify`` writes a Date."""
    seconds, rest = divmod(millis, 1000)
    time = datetime.fromtimestamp(seconds, UTC).isoformat()  # strftime() doubles the time
    return f"{time[:19]}.{rest:03d}Z"


def mark_of(payload: bytes) -> bytes:
    """Return the mark of a payload: which write made it."""
    return payload[-codec.MARK :]


def is_same(payload: bytes, other: bytes) -> bool:
    """Return whether two payloads have the same data and the same mark."""
    if payload == other:
        return True
    if mark_of(payload) != mark_of(other) or not payload or not other:
        return False
    return _ordered(payload) == _ordered(other)


def _ordered(payload: bytes) -> bytes:
    meta, data = codec.decode(payload)
    return codec.encode(dict(sorted(meta.items())), data)


def _parts(
    body: Any, users: Users, *, plain: bool
) -> tuple[bytes, str | None, int | None, int | None]:
    if not isinstance(body, dict):
        raise CodecError(f"the record is a {type(body).__name__}, not an object")
    data = dict(body)
    cookie, extra = data.pop(COOKIE, None), data.pop(LEMBRO_KEY, None)
    cookie = cookie if isinstance(cookie, dict) else {}
    extra = extra if isinstance(extra, dict) else {}
    meta = _meta(cookie, extra.get("meta"))
    user = users.read(data)
    born, death = _time(extra.get("born")), _time(extra.get("death"))
    if user is not None and born is None:
        meta["fresh"] = False  # only Express knows when the user logged in
    payload = codec.encode(dict(sorted(meta.items())), data, plain=plain)
    return codec.with_mark(payload, _mark(extra.get("mark"))), user, born, death


def _meta(cookie: Body, kept: Any) -> codec.Meta:
    meta: codec.Meta = {}
    for name, value in kept.items() if isinstance(kept, dict) else ():
        if isinstance(value, bool):
            meta[name] = value
        elif isinstance(value, str):
            meta[name] = value.encode()
    age: Any = cookie.get("originalMaxAge")
    lasts = _is_number(age) and 0 < age <= LONGEST * 1000
    if lasts:
        keep_idle(meta, age / 1000)
    meta[REMEMBER] = lasts
    attributes = {name: value for name, value in cookie.items() if name not in _CHANGING}
    if attributes:
        meta[COOKIE] = encode_json(attributes)
    return meta


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBERS


def _time(value: Any) -> int | None:
    """Return a time from lembro's metadata; None unless it is a time before the year 10000."""
    return int(value) if _is_number(value) and 0 < value < 253402300800000 else None


def _mark(text: Any) -> bytes:
    try:
        mark = bytes.fromhex(text)
    except (TypeError, ValueError):
        mark = b""
    return mark if len(mark) == codec.MARK else bytes(codec.MARK)
