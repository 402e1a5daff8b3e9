"""FastHTML changes how Starlette writes a path parameter, for the whole process, when it is
imported; the other applications get Starlette's own way back."""

from __future__ import annotations

import pytest
from starlette.convertors import StringConvertor

_AS_STARLETTE_HAS_IT = StringConvertor.to_string


@pytest.fixture(autouse=True)
def _starlettes_own_convertor(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "fasthtml" not in request.node.nodeid:
        monkeypatch.setattr(StringConvertor, "to_string", _AS_STARLETTE_HAS_IT)
