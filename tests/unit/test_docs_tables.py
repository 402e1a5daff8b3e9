"""The tables of the documentation name every option, event, method and field, and nothing else."""

from __future__ import annotations

import inspect
import re
from typing import Any

from lembro import (
    asgi,
)
from lembro.events import EVENTS
from lembro.integrations.starlette import SessionMiddleware
from lembro.stores.memory.eviction import (
    FLOOR,
    LARGE_FROM,
    LARGE_SHARE,
    NEWCOMERS_FLOOR,
    TIERS,
    tier_for,
)
from lembro.stores.memory.stats import Stats
from tests.support import ROOT

Row = list[str]


def tables(page: str, heading: str | None = None) -> list[Row]:
    """Return the rows of the tables of a page, or of those under a heading, without their heads."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if heading is not None:
        [text] = re.findall(
            rf"^## {heading}$(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL
        )
    rows: list[Row] = []
    for line in text.splitlines():
        if line.startswith("|---"):
            rows.pop()
        elif line.startswith("|"):
            rows.append([cell.strip() for cell in line[1:-1].split("|")])
    assert rows, f"no table in {page} under {heading}"
    return rows


def names(cell: str) -> list[str]:
    """Return the names in a cell, without other text: `await asave()` is asave."""
    return re.findall(r"`(?:async |await |with |session\.)*(\w+)[^`]*`", cell)


def public(cls: type[Any]) -> set[str]:
    return {
        name
        for name, value in inspect.getmembers(cls)
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    }


def test_every_event_is_in_the_table_in_order() -> None:
    assert tuple(names(row[0])[0] for row in tables("events.md")) == EVENTS


def test_every_keyword_of_starlettes_middleware_is_in_the_table() -> None:
    documented = {name for row in tables("starlette.md", "Options") for name in names(row[0])}
    parameters = set(inspect.signature(SessionMiddleware.__init__).parameters)
    everywhere = {"app", "manager", "store", "exclude", "options", "keywords"}
    assert documented == parameters - {"self"} - everywhere


def test_every_argument_of_an_integration_is_in_the_table() -> None:
    documented = [names(row[0])[0] for row in tables("options.md", "Arguments of integrations")]
    parameters = set(inspect.signature(asgi.SessionMiddleware.__init__).parameters)
    assert set(documented) == parameters - {"self", "app", "keywords"}


def test_every_number_of_the_store_is_in_the_table() -> None:
    documented = {name for row in tables("memory.md", r"stats\(\)") for name in names(row[0])}
    assert documented == set(Stats.__struct_fields__)


def test_the_tiers_of_the_store_are_in_the_table() -> None:
    text = (ROOT / "docs" / "flood.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d) \|", text, flags=re.MULTILINE) == [str(n) for n in range(TIERS)]
    for tier, age in enumerate((0, 10, 60, 600)):
        assert tier_for(age) == tier
        assert tier_for(age - 0.001) == max(0, tier - 1)
    assert (FLOOR, NEWCOMERS_FLOOR) == (1 / 20, 1 / 5)
    assert (LARGE_FROM, LARGE_SHARE) == (4096, 16)
    assert "more than 4 KiB are large" in text
