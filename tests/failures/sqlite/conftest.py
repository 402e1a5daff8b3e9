"""Fixtures: the failures of an external store, on some integrations over SQLite."""

from __future__ import annotations

import pytest

from tests.support.worlds import FILE_KINDS, Kind, name_of


@pytest.fixture(params=FILE_KINDS, ids=name_of)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found
