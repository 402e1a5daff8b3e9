"""Typed parts of a session, without a framework."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from pydantic.errors import PydanticUserError

from lembro import CodecError, ConfigError
from lembro._core.state import MISSING, Upgraded
from lembro._core.typed import Misfit, converters, loader


class Size(enum.Enum):
    LARGE = "large"


@dataclass
class DataItem:
    name: str
    count: int = 1
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class DataCart:
    items: list[DataItem] = field(default_factory=list)


class StructItem(msgspec.Struct):
    name: str
    count: int = 1
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


class StructCart(msgspec.Struct):
    items: list[StructItem] = msgspec.field(default_factory=list)


class ModelItem(pydantic.BaseModel):
    name: str
    count: int = 1
    at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


class ModelCart(pydantic.BaseModel):
    items: list[ModelItem] = pydantic.Field(default_factory=list)


class DictItem(TypedDict):
    name: str
    count: int
    at: datetime


class DictCart(TypedDict):
    items: list[DictItem]


AT = datetime(2026, 1, 2, tzinfo=UTC)
MODELS: list[tuple[Any, Any]] = [(ModelCart, ModelItem), (list[ModelItem], ModelItem)]
OTHERS: list[tuple[Any, Any]] = [
    (DataCart, DataItem),
    (list[DataItem], DataItem),
    (StructCart, StructItem),
    (list[StructItem], StructItem),
    (DictCart, DictItem),
    (list[DictItem], DictItem),
]


@pytest.fixture(params=["pydantic", "msgspec"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "msgspec":
        without_pydantic(monkeypatch)
    return str(request.param)


def without_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)


def round_trip(kind: Any, item: Any) -> None:
    items = [item(name="bread", count=2, at=AT)]
    value = items if kind == list[item] else kind(items=items)
    load, dump = converters("cart", kind)
    stored = dump(value)
    assert load(stored) == value
    assert dump(load(stored)) == stored
    [plain] = stored if kind == list[item] else stored["items"]
    assert isinstance(plain, dict)
    assert plain["name"] == "bread"
    assert isinstance(plain["at"], str)


@pytest.mark.parametrize(("kind", "item"), OTHERS, ids=str)
def test_a_loaded_value_equals_the_dumped_one(library: str, kind: Any, item: Any) -> None:
    round_trip(kind, item)


@pytest.mark.parametrize(("kind", "item"), MODELS, ids=str)
def test_a_loaded_pydantic_model_equals_the_dumped_one(kind: Any, item: Any) -> None:
    round_trip(kind, item)


class Crossed(pydantic.BaseModel):
    """A model in which the alias of a field is the name of another one."""

    first: int = pydantic.Field(alias="second")
    second: int = pydantic.Field(alias="third")
    json_text: pydantic.Json[dict[str, int]]


def test_a_pydantic_model_is_stored_by_the_names_of_its_fields() -> None:
    value = Crossed.model_validate({"second": 1, "third": 2, "json_text": '{"a": 1}'})
    load, dump = converters("crossed", Crossed)
    stored = dump(value)
    assert stored == {"first": 1, "second": 2, "json_text": '{"a":1}'}
    assert load(stored) == value


def test_a_struct_needs_no_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydantic, "TypeAdapter", None)  # would fail
    round_trip(StructCart, StructItem)


class Plain:
    pass


@pytest.mark.parametrize("kind", [Plain, list[Plain], 7], ids=str)
def test_an_unknown_kind_is_refused(library: str, kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"must be a pydantic model, .*got .* for 'plain'. Exam"):
        converters("plain", kind)


def test_a_kind_that_msgspec_does_not_support_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pydantic(monkeypatch)
    with pytest.raises(ConfigError, match=r"must be a pydantic model"):
        converters("either", list[int] | set[int])  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["typed-dict-version", "class-not-fully-defined"])
def test_a_typed_dict_that_pydantic_refuses_is_loaded_by_msgspec(
    code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: Any) -> None:
        raise PydanticUserError("not this one", code=code)

    monkeypatch.setattr(pydantic, "TypeAdapter", refuse)
    if code == "typed-dict-version":
        round_trip(DictCart, DictItem)
    else:
        with pytest.raises(PydanticUserError, match="not this one"):
            converters("cart", DictCart)


class Anything(pydantic.BaseModel):
    thing: Any = None


class AnyStruct(msgspec.Struct):
    thing: Any = None


@pytest.mark.parametrize("kind", [Anything, AnyStruct])
def test_a_value_that_cannot_be_stored_is_a_codec_error(kind: Any) -> None:
    _, dump = converters("it", kind)
    with pytest.raises(CodecError, match=r"^it: ") as caught:
        dump(kind(thing=object()))
    assert caught.value.path == "it"


# -- the loader ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DataCart, StructCart, ModelCart])
def test_without_stored_data_the_default_is_used(kind: Any) -> None:
    assert loader("cart", kind)(MISSING) == kind()
    made = kind(items=[])
    assert loader("cart", kind, lambda: made)(MISSING) is made


def test_a_list_is_empty_by_default() -> None:
    assert loader("items", list[StructItem])(MISSING) == []


@pytest.mark.parametrize("kind", [DataItem, StructItem, ModelItem])
def test_a_kind_that_needs_arguments_needs_a_default(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"default of the session's 'item' .*default=lambda"):
        loader("item", kind)(MISSING)


def test_a_converter_may_be_given() -> None:
    assert loader("n", int, load=lambda value: value + 1)(1) == 2


MISFITS: list[tuple[Any, Any, str]] = [
    (DataCart, {"items": "SECRET"}, "items: Input should be a valid"),
    (DataCart, {"items": [{"name": "a", "count": "SECRET"}]}, "items.0.count: Input should be"),
    (ModelCart, {"items": [{"count": 2}]}, "items.0.name: Field required"),
    (ModelCart, "SECRET", "Input should be"),
    (StructCart, {"items": "SECRET"}, "Expected `array`, got `str` - at `$.items`"),
    (StructCart, {"items": [{"count": 2}]}, "Object missing required field `name` - at `$.items["),
    (DictCart, {}, "items: Field required"),
    (list[StructItem], {"SECRET": 1}, "Expected `array`, got `object`"),
]


@pytest.mark.parametrize(("kind", "stored", "reason"), MISFITS, ids=str)
def test_an_error_names_the_fields_that_do_not_fit(kind: Any, stored: Any, reason: str) -> None:
    with pytest.raises(CodecError) as caught:
        loader("cart", kind)(stored)
    error = caught.value
    assert isinstance(error, Misfit)
    assert error.path == "cart"
    assert error.reason.startswith(reason)
    assert f"the session's 'cart' no longer fits {kind.__name__}: {reason}" in str(error)
    assert "upgrade=f" in str(error)
    assert "SECRET" not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


class Tagged(msgspec.Struct, tag="one"):
    size: Size = Size.LARGE
    word: Literal["a", "b"] = "a"


class One(pydantic.BaseModel):
    kind: Literal["one"]


class Two(pydantic.BaseModel):
    kind: Literal["two"]


class Either(pydantic.BaseModel):
    it: One | Two = pydantic.Field(discriminator="kind")
    size: Size = Size.LARGE


@pytest.mark.parametrize(
    ("kind", "stored", "reason"),
    [
        (Tagged, {"type": "one", "size": "SECRET"}, "Invalid enum value - at `$.size`"),
        (Tagged, {"type": "one", "word": "SECRET"}, "Invalid enum value - at `$.word`"),
        (Tagged, {"type": "SECRET"}, "Invalid value - at `$.type`"),
        (Tagged, {"type": "one", "size": "' - at `$.SECRET"}, "Invalid enum value - at `$.size`"),
        (Tagged, {"type": "SECRET` - at `$\n"}, "Invalid value - at `$.type`"),
        (list[Tagged], [{"type": "SECRET"}], "Invalid value - at `$[0].type`"),
        (Either, {"it": {"kind": "SECRET"}}, "it: Input tag does not match any of the expected"),
        (Either, {"it": {"kind": "one"}, "size": "SECRET"}, "size: Input should be 'large'"),
    ],
    ids=str,
)
def test_an_error_does_not_quote_stored_data(kind: Any, stored: Any, reason: str) -> None:
    with pytest.raises(Misfit) as caught:
        loader("it", kind)(stored)
    assert caught.value.reason.startswith(reason)
    assert "SECRET" not in str(caught.value)


def test_an_error_of_an_enum_does_not_quote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pydantic(monkeypatch)
    with pytest.raises(Misfit) as caught:
        loader("size", Size)("SECRET - at `$.x`")
    assert caught.value.reason == "Invalid enum value"


def test_a_stored_key_does_not_begin_a_line() -> None:
    with pytest.raises(Misfit) as caught:
        loader("counts", dict[str, int])({"bread\nERROR all is lost": "many"})
    assert "\n" not in str(caught.value)


# -- upgrade ---------------------------------------------------------------------------------------


def test_upgrade_gets_a_copy_of_the_stored_data() -> None:
    def split(old: Any) -> StructCart:
        return StructCart([StructItem(name) for name in old.pop("items").split(", ")])

    stored = {"items": "bread, butter"}
    upgraded = loader("cart", StructCart, None, split)(stored)
    assert isinstance(upgraded, Upgraded)
    cart: StructCart = upgraded.value
    assert [item.name for item in cart.items] == ["bread", "butter"]
    assert stored == {"items": "bread, butter"}


def test_upgrade_is_not_called_for_data_that_fits() -> None:
    def never(old: Any) -> StructCart:
        raise AssertionError

    load = loader("cart", StructCart, upgrade=never)
    assert load({"items": []}) == load(MISSING) == StructCart()


def test_upgrade_may_refuse_the_stored_data() -> None:
    def refuse(old: Any) -> StructCart:
        raise ValueError("version 1 is too old")

    with pytest.raises(Misfit, match=r"StructCart: version 1 is too old"):
        loader("cart", StructCart, upgrade=refuse)("old")
