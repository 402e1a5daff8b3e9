"""Subclasses of what a session holds: stored as the plain value that they equal, or refused."""

from __future__ import annotations

import copy
import enum
import ipaddress
import math
import pickle
from collections import Counter, OrderedDict, UserDict, defaultdict
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.db.models import IntegerChoices, TextChoices
from django.utils.safestring import mark_safe
from markupsafe import Markup
from multidict import CIMultiDict
from pydantic import HttpUrl, PostgresDsn
from starlette.datastructures import URL, FormData
from werkzeug.datastructures import CombinedMultiDict, MultiDict

from lembro import CodecError, MemoryStore, SessionManager
from lembro._core.codec import check, decode, encode, encode_value
from lembro.size import of


class Colour(enum.StrEnum):
    RED = "red"


class Method(str, enum.Enum):  # noqa: UP042 - other libraries have these
    CODE = "code"


class Size(enum.IntEnum):
    SMALL = 1


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2


class Status(TextChoices):  # type: ignore[misc] # Django is not typed
    OPEN = "open", "still open"  # pyright: ignore[reportAssignmentType]


class Level(IntegerChoices):  # type: ignore[misc]
    HIGH = 2


class Text(str):
    __slots__ = ()


class Count(int):
    pass


class Ratio(float):
    pass


class Raw(bytes):
    pass


class Items(list[Any]):
    pass


class Tags(set[Any]):
    pass


class Fixed(frozenset[Any]):
    pass


class Frozen(datetime):
    """Such as the ones that freezegun and pendulum make, with a text of its own."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return "never"

    def __str__(self) -> str:
        return "never"


class Day(date):
    def isoformat(self) -> str:
        return "never"


class Clock(time):
    def isoformat(self, timespec: str = "auto") -> str:
        return "never"


class Span(timedelta):
    pass


class OtherUUID(UUID):
    """Such as asyncpg's."""


class Money(Decimal):
    def __str__(self) -> str:
        return "never"


class OtherZone(ZoneInfo):
    """Such as pendulum's."""


class Offset(tzinfo):
    """A zone with one offset, such as those of pytz, dateutil and pendulum."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta:
        return timedelta(hours=2)

    def dst(self, moment: datetime | None, /) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None, /) -> str:
        return "+02:00"


TWO_HOURS = timezone(timedelta(hours=2))

STORED: list[tuple[Any, Any]] = [
    (Colour.RED, "red"),
    (Method.CODE, "code"),
    (Size.SMALL, 1),
    (Right.READ | Right.WRITE, 3),
    (Status.OPEN, "open"),
    (Level.HIGH, 2),
    (Text("é"), "é"),
    (Count(2**70), 2**70),
    (Ratio(1.5), 1.5),
    (Ratio(math.inf), math.inf),
    (np.float64(0.1), 0.1),
    (Raw(b"\xff"), b"\xff"),
    (Items([1, Colour.RED]), [1, "red"]),
    (Tags({Colour.RED}), {"red"}),
    (Fixed({1}), frozenset({1})),
    ((Size.SMALL,), (1,)),
    ([{"a": Method.CODE}], [{"a": "code"}]),
    (Frozen(2026, 1, 2, 3, 4, 5, 6, fold=1), datetime(2026, 1, 2, 3, 4, 5, 6, fold=1)),
    (Frozen(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
    (datetime(2026, 7, 1, tzinfo=OtherZone("Europe/Lisbon")), None),
    (datetime(2026, 7, 1, tzinfo=Offset()), datetime(2026, 7, 1, tzinfo=TWO_HOURS)),
    (time(12, tzinfo=Offset()), time(12, tzinfo=TWO_HOURS)),
    (datetime(2026, 7, 1, tzinfo=ZoneInfo("UTC")), datetime(2026, 7, 1, tzinfo=ZoneInfo("UTC"))),
    (Day(2026, 1, 2), date(2026, 1, 2)),
    (Clock(12, 30), time(12, 30)),
    (Span(days=1, microseconds=1), timedelta(days=1, microseconds=1)),
    (OtherUUID(int=7), UUID(int=7)),
    (Money("1.10"), Decimal("1.10")),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (Counter("aab"), {"a": 2, "b": 1}),
    ({Colour.RED: 1, Size.SMALL: 2, Text("t"): 3}, {"red": 1, 1: 2, "t": 3}),
]


def described(value: object) -> str:
    return f"{type(value).__name__}-{value}"[:30]


@pytest.mark.parametrize(("value", "plain"), STORED, ids=described)
def test_a_subclass_is_stored_as_the_plain_value_that_it_equals(value: Any, plain: Any) -> None:
    if plain is None:
        plain = value.replace(tzinfo=ZoneInfo(value.tzinfo.key))
    assert encode({}, {"k": value}) == encode({}, {"k": plain})
    back = decode(encode({}, {"k": value}))[1]["k"]
    assert back == value
    assert type(back) is type(plain)
    assert encode_value(back) == encode_value(plain)
    check("k", value)


@pytest.mark.parametrize("value", [Ratio(math.nan), np.float64("nan"), Money("NaN")])
def test_a_subclass_that_is_not_a_number_keeps_its_value(value: Any) -> None:
    back = decode(encode({}, {"k": value}))[1]["k"]
    assert type(back) in (float, Decimal)
    assert back != back, "NaN is unequal to itself"


class Named(str):
    def __init__(self, text: str) -> None:
        self.language = "pt"


class Html(str):
    __slots__ = ()

    def __html__(self) -> str:
        return self


class Other(int):
    """Equal to nothing but itself, such as a value with a unit."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = int.__hash__


class Strange(int):
    """A value that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise TypeError

    __hash__ = int.__hash__


class NaTType(datetime):
    """As in pandas: a datetime that equals no datetime."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


class _Timestamp(datetime):
    pass


class Timestamp(_Timestamp):
    """As in pandas: with nanoseconds, which a datetime does not have."""

    nanosecond = 1

    def __eq__(self, other: object) -> bool:
        return self.nanosecond == getattr(other, "nanosecond", 0)

    __hash__ = datetime.__hash__


class Duration(timedelta):
    """As in pendulum: it has months."""

    def __init__(self, *args: int) -> None:
        self.months = 1


class Moody(tzinfo):
    """A zone whose offset depends on the season."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta | None:
        return None if moment is None else timedelta(hours=1)

    def dst(self, moment: datetime | None, /) -> timedelta:
        return timedelta(hours=1)

    def tzname(self, moment: datetime | None, /) -> str:
        return "moody"


class Season(Moody):
    """A zone that has an offset without a moment, but says that it depends on the season."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta:
        return timedelta(hours=1)


class Abstract(Moody):
    """A zone that needs a moment."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta:
        assert moment is None or moment.year
        return timedelta(hours=moment.year % 2)  # type: ignore[union-attr]

    def dst(self, moment: datetime | None, /) -> timedelta:
        return timedelta()


GETLIST = r"store \{key: value.getlist\(key\) for key in value\}$"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (MultiDict([("a", "1"), ("a", "2")]), rf"MultiDict; {GETLIST}"),
        (MultiDict([("a", "1")]), rf"MultiDict; {GETLIST}"),
        (CombinedMultiDict([MultiDict({"a": "1"})]), rf"CombinedMultiDict; {GETLIST}"),
        (FormData([("a", "1")]), rf"FormData; {GETLIST}"),
        (CIMultiDict(a="1"), r"CIMultiDict; store \{key: value.getall\(key\)"),
        (UserDict(a=1), r"UserDict; store dict\(value.items\(\)\)"),
        (np.int64(1), r"numpy.int64; store value.item\(\)"),
        (np.bool_(True), r"numpy.bool; store value.item\(\)"),
        (np.array([1]), r"numpy.ndarray; store value.tolist\(\)"),
        (ipaddress.ip_address("::1"), r"an IPv6Address; store str\(value\)"),
        (HttpUrl("https://a.example"), r"HttpUrl; store str\(value\)"),
        (PostgresDsn("postgres://a.example/b"), r"PostgresDsn; store str\(value\)"),
        (URL("/x"), r"URL; store str\(value\)"),
        (mark_safe("<b>"), r"SafeString; store str.__str__\(value\)"),
        (Named("x"), r"Named; store str\(value\)"),
        (Html("<b>"), r"Html; store str\(value\)"),
        (type("Rich", (Markup,), {})("<b>"), r"Rich; store str\(value\)"),
        (Other(1), r"Other; store int\(value\)"),
        (Strange(1), r"Strange; store int\(value\)"),
        (Money("sNaN"), "Money; store str"),
        (NaTType(1, 1, 1), "NaTType; store None"),
        (Timestamp(2026, 1, 1), r"Timestamp; store value.to_pydatetime\(\)"),
        (Duration(30), r"Duration; store timedelta\(seconds=value.total_seconds\(\)\)"),
        (datetime(2026, 7, 1, tzinfo=Moody()), "datetime whose zone is a .*Moody; give it"),
        (datetime(2026, 7, 1, tzinfo=Season()), "datetime whose zone is a .*Season; give it"),
        (datetime(2026, 7, 1, tzinfo=Abstract()), "datetime whose zone is a .*Abstract; give it"),
    ],
    ids=described,
)
def test_a_value_that_would_lose_something_is_refused(value: Any, hint: str) -> None:
    with pytest.raises(CodecError, match=rf"^k: a session cannot store an? ?{hint}|{hint}"):
        check("k", value)
    with pytest.raises(CodecError, match=r"^k\.a\[0\]: "):
        encode({}, {"k": {"a": [value]}})


def test_a_dict_that_hides_a_key_is_refused() -> None:
    class Hiding(dict[str, Any]):
        def items(self) -> Any:
            return [item for item in super().items() if item[0] != "secret"]

    check("k", Hiding(shown=1))
    with pytest.raises(CodecError, match=r"Hiding; store dict\(value.items\(\)\)"):
        check("k", Hiding(shown=1, secret=2))


def test_the_advice_for_a_multi_value_dict_keeps_all() -> None:
    form = MultiDict([("a", "1"), ("a", "2")])
    check("form", {key: form.getlist(key) for key in form})


@pytest.mark.parametrize("key", [Named("k"), Other(1), Colour], ids=described)
def test_a_key_that_would_lose_something_is_refused(key: Any) -> None:
    with pytest.raises(CodecError, match="keys of a dict must be str"):
        check("k", {key: 1})


@pytest.mark.parametrize("key", [Count(2**64), Count(-(2**63) - 1)])
def test_a_key_of_a_subclass_is_not_larger_than_others(key: int) -> None:
    with pytest.raises(CodecError, match="keys of a dict must be str"):
        check("k", {key: 1})


# -- in a session ----------------------------------------------------------------------------------


def test_a_session_may_have_a_str_enum_as_key() -> None:
    manager = SessionManager(MemoryStore("4M"))
    session = manager.load()
    session[Colour.RED] = 1
    session[Method.CODE] = ["x"]
    assert [type(key) for key in session] == [str, str]
    session.save()
    assert session.issued_id is not None
    assert manager.get(session.issued_id) == {"red": 1, "code": ["x"]}
    assert session[Colour.RED] == 1
    session_id = manager.create({Text("k"): 1})
    session.atomic(lambda data: data.update({Colour.RED: 2}))
    assert manager.get(session_id) == {"k": 1}
    assert manager.get(session.issued_id) == {"red": 2, "code": ["x"]}


def test_a_key_that_loses_something_is_no_key_of_a_session() -> None:
    session = SessionManager(MemoryStore("4M")).load()
    with pytest.raises(CodecError, match="keys of a session must be str, got Named"):
        session[Named("k")] = 1


def test_an_enum_of_the_same_value_is_no_change() -> None:
    manager = SessionManager(MemoryStore("4M"))
    session = manager.load(manager.create({"colour": "red", "colours": ["red"]}))
    session["colour"] = Colour.RED
    session["colours"][0] = Colour.RED
    session.save()
    assert session.issued_id is None
    assert of(Colour.RED) == of("red")


def test_a_large_text_of_a_subclass_is_not_encoded() -> None:
    session = SessionManager(MemoryStore("64K", max_session_size="4K")).load()
    session["text"] = Text("x" * 10_000)
    assert session._size_limit == 4096


# -- copies of a session ---------------------------------------------------------------------------


def test_a_copy_of_a_session_is_a_dict() -> None:
    session = SessionManager(MemoryStore("4M")).load()
    session["a"] = 1
    made: Any = copy.copy(session)
    assert type(made) is dict
    made["a"] = 2
    assert session["a"] == 1


@pytest.mark.parametrize("copy_it", [copy.deepcopy, pickle.dumps])
def test_a_deep_copy_names_the_method_to_call(copy_it: Any) -> None:
    session = SessionManager(MemoryStore("4M")).load()
    with pytest.raises(TypeError, match=r"session\.copy\(\)"):
        copy_it(session)
