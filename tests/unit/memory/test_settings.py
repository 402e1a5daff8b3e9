"""The arguments of MemoryStore."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lembro.errors import ConfigError
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.settings import check_snapshot


@pytest.mark.parametrize(
    "options",
    [
        {"max_size": "63K"},
        {"max_size": 65535},
        {"max_size": "lots"},
        {"max_size": -1},
        {"max_size": math.nan},
        {"max_size": math.inf},
        {"max_size": 2**63},
        {"max_size": True},
        {"max_size": None},
        {"interval": 0},
        {"interval": -1},
        {"interval": math.nan},
        {"interval": math.inf},
        {"interval": 2**63},
        {"interval": timedelta.max},
        {"interval": timedelta(0)},
        {"interval": "360"},
        {"interval": True},
        {"interval": None},
        {"max_session_size": 0},
        {"max_session_size": 100},
        {"max_session_size": "2M"},
        {"max_session_size": 2**63},
        {"max_session_size": math.nan},
        {"reduce_to": 0},
        {"reduce_to": 1.01},
        {"reduce_to": -0.5},
        {"reduce_to": math.nan},
        {"reduce_to": math.inf},
        {"reduce_to": 10**400},
        {"reduce_to": True},
        {"reduce_to": "75%"},
        {"clock": 5},
        {"snapshot": ""},
        {"snapshot": b"sessions.bin"},
        {"snapshot": "a\0b"},
        {"snapshot": True},
        {"snapshot": "/nowhere/sessions.bin"},
        {"snapshot": "/"},
        {"snapshot_max_age": 0},
        {"snapshot_max_age": math.nan},
        {"snapshot_max_age": "60"},
        {"snapshot_max_age": True},
        {"snapshot_max_age": timedelta(0)},
    ],
)
def test_invalid_arguments_raise_an_error_that_shows_the_value(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        MemoryStore(**options)
    name, value = next(iter(options.items()))
    assert repr(value) in str(error.value), name


def test_a_snapshot_is_a_path_that_does_not_depend_on_the_folder_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = (str(tmp_path / "sessions.bin"), 90.0)
    for path in ("sessions.bin", Path("sessions.bin"), tmp_path / "sessions.bin"):
        assert check_snapshot(path, timedelta(seconds=90)) == expected
    assert check_snapshot(None, 1) == ("", 1.0)


def test_valid_arguments() -> None:
    assert MemoryStore().max_size == 4 * 2**20
    assert MemoryStore().interval == 360
    assert MemoryStore("1M", interval=timedelta(minutes=1)).interval == 60
    assert MemoryStore("1M").max_session_size == 2**16
    assert MemoryStore("64M").max_session_size == 2**20
    assert MemoryStore("1M", max_session_size="256K").max_session_size == 2**18
    assert MemoryStore("1M", reduce_to=1).reduce_to == 1.0
