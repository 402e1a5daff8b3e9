"""A fixture for the sync and the async verbs of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lembro.stores import MongoStore
from lembro.testing import Blocking


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Callable[[MongoStore], Any]]:
    """Return a function that gives the sync or the async verbs as plain functions."""
    opened: list[Any] = []

    def verbs_of(store: MongoStore) -> Any:
        opened.append(Blocking(lambda: store.aio) if request.param == "async" else store)
        return opened[-1]

    yield verbs_of
    for each in opened:
        each.close()
