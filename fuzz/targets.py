"""The targets: each takes any bytes and raises if a promise is broken."""

from __future__ import annotations

import string
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from typing import Any, Final

from lembro import (
    CodecError,
    ConfigError,
    CookieOptions,
    MemoryStore,
    SessionManager,
    bytesize,
    size,
)
from lembro._core import codec
from lembro._core.merge import merge
from lembro._http.cookie import DUPLICATE, MOST_VALUES, SessionCookie, find

from . import rfc6265
from .legacy_cookies import legacy_cookie
from .source import Source
from .values import Builder, same

NAME: Final = b"sid"
SECRETS: Final = ("0123456789abcdefghijklmnopqrstuv", "a secret that was in use before this one")
ID: Final = "A" * 42 + "Q"
BASE64URL: Final = {*string.ascii_letters, *string.digits, "-", "_"}
REPUTATION: Final = b"0123456789abcdef"


# -- the cookie ------------------------------------------------------------------------------------


@cache
def _readers() -> tuple[tuple[SessionCookie, bool, bytes], ...]:
    """Return readers of several kinds, each with the scheme and the name that it reads over it."""
    own = CookieOptions(name="$!#sid")
    return (
        (SessionCookie(CookieOptions()), False, b"sid"),
        (SessionCookie(CookieOptions()), True, b"__Host-sid"),
        (SessionCookie(CookieOptions(path="/app"), SECRETS), True, b"__Secure-sid"),
        (SessionCookie(own, SECRETS), False, b"$!#sid"),
    )


def _headers(data: bytes) -> list[bytes]:
    """Split at the ends of lines, because a header ends there."""
    return data.split(b"\n")


def cookie_header(data: bytes) -> None:
    """Check the reading of a Cookie header.

    It never raises. An accepted value has the form of an ID, and with a secret a valid signature. A
    cookie of lembro is found among other cookies, unless another one has the same name.
    """
    headers = _headers(data)
    for cookie, https, name in _readers():
        presented = cookie.read(headers, https=https)
        assert (presented.id is None) == (presented.value == b"")
        if presented.id is not None:
            assert presented.problem == ""
            parts = presented.value.decode("ascii").split(".")
            assert len(parts[0]) in (40, 43)
            assert [len(part) for part in parts[1:]] in ([], [22], [22, 22])
            assert presented.id == parts[0]
            assert set("".join(parts)) <= BASE64URL
            assert any(presented.value in header for header in headers)
            if cookie.signed:
                assert cookie.reputation(presented.value) or presented.value.count(b".") == 1
        cookie.reputation(data)
        for reputation in (None, REPUTATION):
            ours = cookie.render(ID, reputation, https=https, max_age=None).partition(b"; ")[0]
            value = ours.partition(b"=")[2]
            if not find(headers, name):
                alone = cookie.read([*headers, ours], https=https)
                assert (alone.id, alone.value, alone.problem) == (ID, value, "")
                assert cookie.read([b"; ".join([*headers, ours])], https=https).id == ID
                assert cookie.reputation(value) == reputation


def cookie_scan(data: bytes) -> None:
    """Check that lembro's scan and ``read`` find the same as a simple reading of RFC 6265."""
    headers = _headers(data)
    for cookie, https, name in _readers():
        expected = _values(rfc6265.by_the_algorithm, headers, name)
        assert find(headers, name) == expected[: MOST_VALUES + 1], (headers, expected)
        presented = cookie.read(headers, https=https)
        alone = [cookie.read([name + b"=" + value], https=https) for value in expected]
        valid = {each.id: each for each in alone if each.id is not None}
        assert (presented is DUPLICATE) == (len(expected) > MOST_VALUES), (headers, presented)
        if presented is DUPLICATE:
            pass
        elif len(valid) > 1:
            assert presented.several == tuple(valid.values())
        else:  # the values that lembro cannot have issued do not count
            assert presented.id == next(iter(valid), None), (headers, presented)
        if presented.id is not None:
            assert presented.value in expected
        if not expected:
            assert (presented.id, presented.problem) == (None, "")
    for header in headers:
        by_grammar = rfc6265.by_the_grammar(header)
        if by_grammar is not None:
            assert by_grammar == rfc6265.by_the_algorithm(header)
            values = list(dict.fromkeys(value for name, value in by_grammar if name == NAME))
            assert find([header], NAME) == values[: MOST_VALUES + 1]


def _values(
    read: Callable[[bytes], rfc6265.Pairs], headers: list[bytes], name: bytes
) -> list[bytes]:
    pairs = [pair for header in headers for pair in read(header)]
    return list(dict.fromkeys(value for name_found, value in pairs if name_found == name))


# -- the codec -------------------------------------------------------------------------------------


def record(data: bytes) -> None:
    """Check the reading of a record.

    It raises only CodecError. A record that was read is written again, and comes back equal or is
    refused by CodecError, as a forged one may be.
    """
    marked = data + bytes(codec.MARK)
    for payload in (data, codec.VERSION + data, marked, codec.VERSION + marked):
        try:
            meta, session = codec.decode(payload)
            again = codec.encode(meta, session)
        except CodecError:
            continue
        meta2, session2 = codec.decode(again)
        assert same(meta, meta2), payload
        assert same(session, session2), payload
        assert codec.encode(meta2, session2) == again, payload
        codec.changed(payload, meta, session)
        assert codec.changed(again, meta, session) is None


def session_values(data: bytes) -> None:
    """Check that a value is refused at the assignment, or comes back equal and with its types."""
    builder = Builder(Source(data))
    session = builder.data()
    refusal = _refusal(session)
    assert (refusal is not None) == builder.refused, (session, refusal)
    if refusal is not None:
        assert str(refusal).isprintable()
        return
    payload = codec.encode({"remember": True}, session)
    assert codec.changed(payload, {"remember": True}, session) is None
    meta, read = codec.decode(payload)
    assert meta == {"remember": True}
    assert same(session, read), (session, read)
    assert codec.encode(meta, read) == payload
    for value in session.values():
        assert size.of(value) > 0


def _refusal(session: codec.Data) -> CodecError | None:
    try:
        for key, value in session.items():
            codec.check(key, value)
    except CodecError as error:
        return error
    return None


# -- a session, and merges -------------------------------------------------------------------------

_SESSIONS: Final = SessionManager(MemoryStore("1M"))
_STEPS_A_BYTE: Final = 200
_STEPS: Final = 20_000


def assignment(data: bytes) -> None:
    """Check that an assigned value reads back as from a dict, or is refused, within a budget of
    steps a byte.
    """
    builder = Builder(Source(data))
    values = builder.data()
    session, model = _SESSIONS.load(), {}
    with steps_within(_STEPS + _STEPS_A_BYTE * len(data)):
        try:
            for key, value in values.items():
                session[key] = value
                model[key] = value
        except CodecError:
            assert builder.refused, values
        else:
            assert not builder.refused, values
    assert same(dict(session), model)


@contextmanager
def steps_within(budget: int) -> Iterator[None]:
    """Fail if the block calls more functions than the budget allows."""
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
    assert calls <= budget, (calls, budget)


def merging(data: bytes) -> None:
    """Check that a merge equals a comparison of all values, and never changes its arguments."""
    source = Source(data)
    builder = Builder(source)
    base, theirs, ours = (_related(builder, number) for number in range(3))
    if builder.refused:
        return
    encodings = [codec.encode_value(each) for each in (base, theirs, ours)]
    merged, conflicts = merge(base, theirs, ours)
    expected, number = plain_merge(base, theirs, ours)
    assert same(merged, expected), (base, theirs, ours)
    assert conflicts.number == number, (base, theirs, ours)
    assert encodings == [codec.encode_value(each) for each in (base, theirs, ours)]


def _related(builder: Builder, number: int) -> codec.Data:
    """Build data that share keys and beginnings of lists with those of other calls."""
    shared: codec.Data = {"a": [1], "b": {"c": [1], "d": number}, "e": 1}
    if builder.source.byte() % 2:
        shared["a"] = [1, builder.value(4)]
    if builder.source.byte() % 2:
        shared["b"]["c"] = builder.value(3)
    if builder.source.byte() % 3 == 0:
        del shared["e"]
    return {**shared, **builder.data()}


_ABSENT: Final = object()


def plain_merge(base: codec.Data, theirs: codec.Data, ours: codec.Data) -> tuple[codec.Data, int]:
    """Merge by the table of the docs, value by value, and count the conflicts."""
    merged, conflicts = {}, 0
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        was, one, two = (each.get(key, _ABSENT) for each in (base, theirs, ours))
        value = two
        if same(two, was):
            value = one if not same(one, was) else two
        elif same(one, was) or (was is _ABSENT and same(one, two)):
            pass
        elif isinstance(one, dict) and isinstance(two, dict):
            value, inner = plain_merge(was if isinstance(was, dict) else {}, one, two)
            conflicts += inner
        elif (both := _changes_of_both(was, one, two)) is not None:
            value = both
        elif not same(one, two):
            conflicts += 1
        if value is not _ABSENT:
            merged[key] = value
    return merged, conflicts


def _changes_of_both(was: Any, one: Any, two: Any) -> Any:
    """Merge two lists or two sets. Return None if no rule of the docs applies."""
    for kind in (list, set, frozenset):
        if all(each is _ABSENT or isinstance(each, kind) for each in (was, one, two)):
            items = [[] if each is _ABSENT else [*each] for each in (was, one, two)]
            merged = _lists(*items) if kind is list else _sets(*items)
            if merged is None:
                return None
            deleted = one is _ABSENT or two is _ABSENT
            return _ABSENT if deleted and not merged else kind(merged)
    return None


def _lists(was: list[Any], one: list[Any], two: list[Any]) -> list[Any] | None:
    size = len(was)
    if same(two[:size], was) and (same(one[:size], was) or _is_rest(one, was)):
        return one + two[size:]
    if same(one[:size], was) and _is_rest(two, was):
        return two + one[size:]
    return None


def _is_rest(some: list[Any], of: list[Any]) -> bool:
    """Return whether items were only removed."""
    left = iter(of)
    return all(any(same(item, each) for each in left) for item in some)


def _sets(was: list[Any], one: list[Any], two: list[Any]) -> list[Any]:
    def has(items: list[Any], item: Any) -> bool:
        return any(same(each, item) for each in items)

    kept = [item for item in one if has(two, item) or not has(was, item)]
    return kept + [item for item in two if not has(one, item) and not has(was, item)]


# -- sizes -----------------------------------------------------------------------------------------

_UNITS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_BLANKS: Final = " \t\n\r\f\v"


def size_text(data: bytes) -> None:
    """Check that a size is parsed and rounded down, or is an error. It never means no limit."""
    text = data.decode("utf-8", "surrogateescape")
    expected = _size_without_a_pattern(text)
    try:
        number = size.parse(text)
    except ConfigError:
        assert expected is None or not 1 <= expected <= bytesize.MAX, text
        return
    assert type(number) is int
    assert number == expected, text
    assert 1 <= number <= bytesize.MAX
    if number < 2**62:  # a larger number may be rounded up above the limit when it is printed
        assert abs(size.parse(size.pretty(number)) - number) <= number / 2000 + 1, text


def _size_without_a_pattern(text: str) -> int | None:
    """Parse a size without a regular expression."""
    if not text.isascii():  # this includes the Kelvin sign, whose lower case is a k
        return None
    rest = text.strip(_BLANKS).lower()
    digits = len(rest) - len(rest.lstrip("0123456789."))
    whole, point, part = rest[:digits].partition(".")
    unit = rest[digits:].strip(_BLANKS)
    if not 1 <= len(whole) <= 30 or "." in part or (point and not 1 <= len(part) <= 30):
        return None
    if unit not in ("", "b"):
        for end in ("ib", "b", ""):
            if unit.endswith(end) and unit.removesuffix(end) in _UNITS and unit != end:
                unit = unit.removesuffix(end)
                break
        else:
            return None
    amount = Fraction(int(whole + part), 10 ** len(part)) * 1024 ** _UNITS[unit.replace("b", "")]
    return int(amount)


Target = Callable[[bytes], None]
TARGETS: Final[dict[str, Target]] = {
    target.__name__: target
    for target in (
        cookie_header,
        cookie_scan,
        record,
        session_values,
        assignment,
        merging,
        size_text,
        legacy_cookie,
    )
}
