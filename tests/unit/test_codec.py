"""The codec: a value comes back equal and with its types, or it is refused."""

from __future__ import annotations

import enum
import math
import re
import sys
from collections import deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup
from pydantic import BaseModel

from lembro._core.codec import (
    MARK,
    changed,
    check,
    decode,
    encode,
    encode_value,
    same_data,
    with_mark,
)
from lembro._core.tags import MAX_DEPTH
from lembro.errors import CodecError


def same(one: Any, other: Any) -> bool:
    """Compare values and types, at every level; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(x, y)
            for (a, x), (b, y) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return {encode_value(item) for item in one} == {encode_value(item) for item in other}
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or repr(one) == repr(other)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, datetime | time):
        return bool((one.isoformat(), one.fold) == (other.isoformat(), other.fold))
    return bool(one == other)


def round_trip(value: Any) -> Any:
    meta, data = decode(encode({}, {"value": value}))
    assert meta == {}
    return data["value"]


# -- round trips -----------------------------------------------------------------------------------

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    2**64 - 1,
    2**64,
    -(2**63),
    -(2**63) - 1,
    10**30,
    -(10**30),
    2**4000,
    0.0,
    -0.0,
    1.0,
    math.nan,
    math.inf,
    -math.inf,
    5e-324,
    "",
    "é\x00🙂",
    "x" * 100_000,
    Markup("<b>é</b>"),
    [("message", Markup("<b>"))],
    b"",
    b"\x00\xff",
    [],
    [1, [2, [3]]],
    (),
    (1, (2,), [3]),
    {},
    {"a": {"b": 1}},
    {1: "int", "1": "str", 1.5: "float", None: "none", b"1": "bytes", True and "t": 1},
    {True: 1, 0: 2},
    set(),
    {1, 2, 3},
    {1, "1", b"1", None, 2.5},
    {(1, 2), frozenset({3}), "x"},
    frozenset(),
    frozenset({frozenset({1}), (2,)}),
    datetime(2026, 1, 2, 3, 4, 5, 678901),
    datetime(2026, 1, 2, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, minutes=30, seconds=7))),
    datetime(2026, 10, 25, 2, 30, fold=1),
    datetime.min,
    datetime.max,
    date(2026, 1, 2),
    date.min,
    time(1, 2, 3, 4),
    time(1, 2, tzinfo=UTC),
    time(1, 2, fold=1),
    timedelta(0),
    timedelta(days=-1, seconds=1, microseconds=2),
    timedelta.max,
    timedelta.min,
    uuid4(),
    UUID(int=0),
    Decimal("1.10"),
    Decimal("-0"),
    Decimal("NaN"),
    Decimal("sNaN12"),
    Decimal("Infinity"),
    Decimal("1E+30"),
    Decimal("1E-6144"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_unchanged(value: Any) -> None:
    assert same(round_trip(value), value)
    assert same(round_trip([value]), [value])
    assert same(round_trip((value, {"x": value})), (value, {"x": value}))


def test_an_aware_datetime_comes_back_with_its_offset() -> None:
    value = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Lisbon"))
    back = round_trip(value)
    assert back == value
    assert back.utcoffset() == timedelta(hours=1)


def test_markup_is_plain_text_without_markupsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = encode({}, {"value": Markup("<b>")})
    monkeypatch.delitem(sys.modules, "markupsafe")
    assert same(decode(payload)[1], {"value": "<b>"})


def test_markup_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(CodecError, match="surrogate") as refused:
        encode({}, {"value": [Markup("\ud800")]})
    assert refused.value.path == "value[0]"


scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.datetimes(),
    st.datetimes(timezones=st.timezones().map(lambda _: UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
)
hashables: st.SearchStrategy[Any] = st.recursive(
    scalars.filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
keys = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=4), st.binary()
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashables, max_size=3),
        st.frozensets(hashables, max_size=3),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=20,
)
sessions = st.dictionaries(st.text(max_size=6), values, max_size=5)


@given(sessions)
def test_every_session_round_trips_type_for_type(data: dict[str, Any]) -> None:
    meta, back = decode(encode({"remember": True}, data))
    assert meta == {"remember": True}
    assert same(back, data)
    assert encode({"remember": True}, back) == encode({"remember": True}, data)


@given(values, values)
def test_two_values_have_one_encoding_if_and_only_if_they_are_equal(a: Any, b: Any) -> None:
    assert (encode_value(a) == encode_value(b)) == same(a, b)


@given(st.sets(st.integers() | st.text(max_size=3), max_size=20))
def test_a_set_has_one_encoding_in_any_order(items: set[Any]) -> None:
    other: set[Any] = set()
    for item in sorted(items, key=repr, reverse=True):
        other.add(item)
    assert encode_value(items) == encode_value(other)


# -- changed ---------------------------------------------------------------------------------------


@given(sessions)
def test_loaded_data_have_not_changed(data: dict[str, Any]) -> None:
    payload = encode({}, data)
    assert changed(payload, *decode(payload)) is None


@given(sessions, sessions)
@example({"a": [1]}, {"a": [1.0]})
@example({"a": [1]}, {"a": [True]})
@example({}, {"a": None})
@example({"a": {1}}, {"a": {1, 2}})
def test_changed_agrees_with_encode(one: dict[str, Any], two: dict[str, Any]) -> None:
    payload = encode({}, one)
    encoded = changed(with_mark(payload, b"ABCDEF"), {}, two)
    assert encoded == changed(payload, {}, two)  # with any mark
    assert encoded in (None, encode({}, two))
    if (encoded is None) != (encode({}, two) == payload):
        # The quick check misses one case: a value replaced by another with the same plain encoding,
        # such as a list by an equal tuple.
        assert msgspec.msgpack.encode(two) == msgspec.msgpack.encode(decode(payload)[1])


def test_changed_compares_the_metadata() -> None:
    payload = encode({"remember": True}, {"a": 1})
    assert changed(payload, {}, {"a": 1}) is not None
    assert changed(payload, {"remember": True}, {"a": 1}) is None


@pytest.mark.parametrize("bad", [object(), "\ud800", [10**30, {1j}]])
def test_changed_refuses_what_encode_refuses(bad: Any) -> None:
    with pytest.raises(CodecError):
        changed(encode({}, {"a": [1]}), {}, {"a": [bad]})


def test_changed_refuses_a_cycle() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(CodecError, match="not in themselves"):
        changed(encode({}, {"a": []}), {}, {"a": cycle})


# -- refusals --------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Model(BaseModel):
    x: int = 1


class Struct(msgspec.Struct):
    x: int = 1


@dataclass
class Data:
    x: int = 1


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Colour.RED, "Colour; store its .value"),
        (Model(), r"Model; store value.model_dump\(\)"),
        (Struct(), r"Struct; store msgspec.to_builtins\(value\)"),
        (Point(1, 2), r"Point; store tuple\(value\)"),
        (bytearray(), r"bytearray; store bytes\(value\)"),
        (memoryview(b""), r"memoryview; store bytes\(value\)"),
        (Data(), r"Data; store dataclasses.asdict\(value\)"),
        (Data, "type; store str, int"),
        (Path("x"), r"\w+Path; store str\(value\)"),
        (deque(), r"deque; store list\(value\)"),
        (map(str, []), r"map; store list\(value\)"),
        (filter(None, []), r"filter; store list\(value\)"),
        (zip("ab", "ab", strict=True), r"zip; store list\(value\)"),
        ({}.values(), r"dict_values; store list\(value\)"),
        ({}.items(), r"dict_items; store list\(value\)"),
        (range(3), r"range; store list\(value\)"),
        ((n for n in "ab"), r"generator; store list\(value\)"),
        ({}.keys(), r"dict_keys; store list\(value\)"),
        (type("LazyString", (), {})(), r"LazyString; store str\(value\)"),
        (type("__proxy__", (), {})(), r"__proxy__; store str\(value\)"),
        (type("Post", (type("Model", (), {}),), {})(), "Post; store its primary key"),
        (type("QuerySet", (), {})(), r"QuerySet; store list\(value.values\(\)\)"),
        (type("Row", (type("DeclarativeBase", (), {}),), {})(), "Row; store its primary key"),
        (1j, "complex; store str, int"),
        (print, "builtin_function_or_method; store"),
        (iter([]), "list_iterator; store"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refused_value_has_advice(value: Any, hint: str) -> None:
    with pytest.raises(CodecError, match=f"^k: a session cannot store an? {hint}"):
        check("k", value)
    with pytest.raises(CodecError, match=hint):
        encode({}, {"k": value})


def test_a_refused_type_has_the_right_article() -> None:
    message = "store an object; store str, int, .*timedelta, UUID or Decimal$"
    with pytest.raises(CodecError, match=message):
        check("k", object())


@pytest.mark.parametrize("name", ["Apple", "Egg", "Ink", "Oak", "apple"])
def test_the_article_follows_the_pronunciation(name: str) -> None:
    with pytest.raises(CodecError, match=f"store an {name};"):
        check("k", type(name, (), {})())
    with pytest.raises(CodecError, match=f"store a B{name};"):
        check("k", type(f"B{name}", (), {})())


PLACES: list[tuple[Any, str | None]] = [
    ([1, object()], "k[1]"),
    ((1, object()), "k[1]"),
    ({"price": object()}, "k.price"),
    ({"items": [{"price": object()}]}, "k.items[0].price"),
    ({object()}, "k{}"),
    ({1: {2: object()}}, "k.1.2"),
    (({"a": [object()]},), "k[0].a[0]"),
    ({"a\nb": object()}, r"k.a\nb"),
    ([{(1, 2): 3}], "k[0].(1, 2)"),
    ({2**64: 1}, f"k.{2**64}"),
    ({-(2**63) - 1: 1}, f"k.{-(2**63) - 1}"),
    ({"a": 1, (1, 2): 3}, "k.(1, 2)"),
    ({"a": "\ud800"}, "k.a"),
    (["x", "\udfff"], "k[1]"),
    (("\ud800",), "k[0]"),
    ({"\ud800": 1}, None),
    ([["x"], [{"y": "\ud800"}]], "k[1][0].y"),
    ({("a", "\ud800")}, None),
    ({"a": ({"b": "\ud800"},)}, "k.a[0].b"),
]


@pytest.mark.parametrize(
    ("value", "path"), PLACES, ids=lambda value: re.sub(r" at 0x\w+", "", ascii(value))[:40]
)
def test_a_refused_value_has_its_path(value: Any, path: str | None) -> None:
    for refuse in (lambda: check("k", value), lambda: encode({}, {"k": value})):
        with pytest.raises(CodecError) as caught:
            refuse()
        error = caught.value
        assert error.path.startswith("k")
        assert str(error).startswith(error.path + ": ")
        assert str(error).isprintable(), "the message goes into logs"
        if path is not None:
            assert error.path == path


@pytest.mark.parametrize("key", [1, None, b"k", ("a",), 1.5, Colour.RED])
def test_the_keys_of_a_session_are_str(key: Any) -> None:
    for refuse in (lambda: check(key, 1), lambda: encode({}, {key: 1})):
        with pytest.raises(CodecError, match=r"keys of a session must be str.* write str\(key\)"):
            refuse()


@pytest.mark.parametrize("key", ["", "é", "🙂", "__class__", "a.b", "a\x00b", "remember"])
def test_any_str_is_a_key(key: str) -> None:
    assert decode(encode({}, {key: 1})) == ({}, {key: 1})


def test_a_key_that_is_not_unicode_is_refused() -> None:
    for refuse in (lambda: check("\ud800", 1), lambda: encode({}, {"\ud800": 1})):
        with pytest.raises(CodecError, match="lone surrogate"):
            refuse()


def test_the_path_to_a_surrogate_counts_the_items_before_it() -> None:
    with pytest.raises(CodecError) as caught:
        encode_value([{"a": 1, "b": [2]}, {"c": "\ud800"}], "cart")
    assert caught.value.path == "cart[1].c"


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}])
def test_data_nested_too_deeply_are_refused(wrap: Any) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = wrap(value)
    assert MAX_DEPTH == 100
    assert same(round_trip(value), value)
    check("k", value)
    beside = {"a": (1,), "k": value}  # a value in the session is tagged
    assert decode(encode({}, beside)) == ({}, beside)
    for refuse in (
        lambda: check("k", wrap(value)),
        lambda: encode({}, {"k": wrap(value)}),
        lambda: encode({}, {**beside, "k": wrap(value)}),
    ):
        with pytest.raises(CodecError, match="nested at most 100 levels deep"):
            refuse()


def test_the_limit_of_depth_holds_for_sets() -> None:
    value: Any = frozenset()
    for _ in range(MAX_DEPTH - 1):
        value = frozenset({value})
    assert round_trip(value) == value
    with pytest.raises(CodecError, match="nested at most 100 levels deep"):
        encode({}, {"k": frozenset({frozenset({value})})})


def test_a_value_that_contains_itself_is_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle]
    with pytest.raises(CodecError, match="not in themselves"):
        check("k", cycle)


def test_a_value_that_occurs_twice_is_no_cycle() -> None:
    shared = [1]
    assert round_trip([shared, shared]) == [[1], [1]]


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (5, b"\x05"),
        (-(2**63), b"\xd3\x80" + bytes(7)),
        (2**64 - 1, b"\xcf" + b"\xff" * 8),
        (2**64, b"\xc7\x09\x0a\x01" + bytes(8)),
        (Markup("x"), b"\xd5\x0b\xa1x"),
        (-(2**63) - 1, b"\xc7\x09\x0a\xff\x7f" + b"\xff" * 7),
    ],
)
def test_an_encoded_value_has_the_expected_size(value: int, encoding: bytes) -> None:
    assert encode_value(value) == encoding
    assert same(round_trip(value), value)


@pytest.mark.parametrize("key", [-(2**63), 2**64 - 1, 1.5, None, True, b"k"])
def test_nested_keys_may_be_any_msgpack_scalar(key: Any) -> None:
    assert same(round_trip({"a": (1,), key: 1}), {"a": (1,), key: 1})


def test_a_long_key_is_cut_in_the_path() -> None:
    with pytest.raises(CodecError) as caught:
        check("\ud800" * 50, 1)
    assert caught.value.path == repr("\ud800" * 50)[:40]
    with pytest.raises(CodecError) as caught:
        encode_value("\ud800")
    assert caught.value.path == ""


@pytest.mark.parametrize(
    ("value", "first"),
    [
        (1, b"\x01"),
        ([1, {"b": [None]}], b"\x01"),
        ([[[[[[1]]]]]], b"\x01"),
        ((1,), b"\x81"),
        ([1, {"b": (1,)}], b"\x81"),
        (2**64, b"\x81"),
    ],
    ids=repr,
)
def test_the_first_byte_tells_whether_a_value_is_tagged(value: Any, first: bytes) -> None:
    assert encode({}, {"k": value})[:1] == first


@pytest.mark.parametrize("tagged", [b"\xd4\x63\x00", b"\xc7\x0d\x040x[Nowhere/No]"])
def test_an_unreadable_payload_has_a_reason(tagged: bytes) -> None:
    with pytest.raises(CodecError, match=r"cannot be read \(ValueError\)"):
        decode(b"\x81\x92\x80\x81\xa1k" + tagged + b"\0" * MARK)


# -- the mark --------------------------------------------------------------------------------------

MARK_A: Final = b"\x00\xff\x81\x01 A"


@given(sessions, st.binary(min_size=MARK, max_size=MARK))
def test_a_mark_does_not_change_the_decoded_data(data: dict[str, Any], mark: bytes) -> None:
    payload = encode({"remember": True}, data)
    marked = with_mark(payload, mark)
    assert len(marked) == len(payload)
    assert marked[-MARK:] == mark
    assert same(decode(marked)[1], data)
    assert decode(marked)[0] == {"remember": True}
    assert same_data(marked, payload)
    assert with_mark(marked, payload[-MARK:]) == payload


def test_an_encoded_payload_has_an_empty_mark() -> None:
    assert encode({}, {"a": 1})[-MARK:] == bytes(MARK)
    assert encode({}, {"a": (1,)})[-MARK:] == bytes(MARK)


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": 2}), ({"a": 1}, {"a": (1,)}), ({}, {"a": 1}), ({"a": 1}, {"a": 1.0})],
)
def test_a_mark_does_not_hide_a_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same_data(with_mark(encode({}, one), MARK_A), with_mark(encode({}, other), MARK_A))


def test_a_difference_of_the_metadata_is_a_difference() -> None:
    assert not same_data(encode({"remember": True}, {"a": 1}), encode({}, {"a": 1}))


@pytest.mark.parametrize("data", [{"a": [1]}, {"a": [(1,)]}], ids=["plain", "tagged"])
def test_changed_does_not_read_the_mark(data: dict[str, Any]) -> None:
    payload = with_mark(encode({}, data), MARK_A)
    meta, loaded = decode(payload)
    assert changed(payload, meta, loaded) is None
    loaded["a"].append(2)
    encoded = changed(payload, meta, loaded)
    assert encoded is not None
    assert decode(encoded)[1] == loaded
    assert encoded[-MARK:] == bytes(MARK)
    loaded["a"].pop()
    assert changed(payload, meta, loaded) is None


@pytest.mark.parametrize("length", range(MARK + 1))
def test_a_payload_shorter_than_its_mark_is_refused(length: int) -> None:
    with pytest.raises(CodecError):
        decode(b"\x01" + bytes(length))
