"""63. Values that lose something silently: of two values with one name, only one was stored.

Other libraries refused the datetime of another library, or a StrEnum. A value of a subclass comes
back as the plain value that it equals. If something would be lost, it is refused, with a hint.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.datastructures import FormData
from werkzeug.datastructures import MultiDict

from lembro import CodecError
from tests.support.visits import Visit, World
from tests.support.worlds import CODEC_KINDS, only

pytestmark = pytest.mark.anyio


class Colour(enum.StrEnum):
    RED = "red"


class Step(enum.IntEnum):
    FIRST = 1


class Moment(datetime):
    """Such as those of freezegun and pendulum."""


class Html(str):
    __slots__ = ()

    def __html__(self) -> str:
        return self


KEPT: dict[str, tuple[Any, Any]] = {
    "str enum": (Colour.RED, "red"),
    "int enum": (Step.FIRST, 1),
    "datetime": (Moment(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
    "dict": (OrderedDict(a=Colour.RED), {"a": "red"}),
    "key": ({Step.FIRST: 1}, {1: 1}),
}
REFUSED: dict[str, Any] = {
    "MultiDict": MultiDict([("a", "1"), ("a", "2")]),
    "FormData": FormData([("a", "1"), ("a", "2")]),
    "safe text": Html("<b>"),
}


@only(CODEC_KINDS)
@pytest.mark.parametrize("name", KEPT)
async def test_a_subclass_comes_back_as_the_plain_value(world: World, name: str) -> None:
    value, plain = KEPT[name]
    tab = world.tab()
    assert (await tab.write(value=value, within=[value])).status == 200
    back = await tab.read()
    assert back == {"value": plain, "within": [plain]}
    assert type(back["value"]) is type(back["within"][0]) is type(plain)


@only(CODEC_KINDS)
@pytest.mark.parametrize("name", REFUSED)
async def test_a_value_that_would_lose_something_is_refused(world: World, name: str) -> None:
    tab = world.tab()
    await tab.write(old=1)

    def assign(visit: Visit) -> str:
        with pytest.raises(CodecError) as caught:
            visit.session["form"] = REFUSED[name]
        return str(caught.value)

    assert "; store " in (await tab.visit(assign)).result
    assert await tab.read() == {"old": 1}
