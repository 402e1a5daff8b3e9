"""Reserved memory: what is released and cleared."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lembro.errors import ConfigError
from lembro.stores.memory import MemoryStore, reserved_memory
from lembro.stores.memory.reserved_memory import PAGE, ReservedMemory, anonymous, release


def test_more_addresses_than_the_system_has_raise_an_error() -> None:
    with pytest.raises(ConfigError, match="Use a smaller max_size"):
        MemoryStore(2**60)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may keep the content")
def test_released_memory_reads_as_zeros() -> None:
    column = ReservedMemory("I", 4 * PAGE)
    for entry in range(0, 4 * PAGE, PAGE // 4):
        column.view[entry] = 9
    column.release_from(PAGE + 1)
    kept = [entry for entry in range(0, 4 * PAGE, PAGE // 4) if column.view[entry]]
    assert kept == list(range(0, PAGE + PAGE // 4, PAGE // 4))


@pytest.mark.parametrize("platform", [sys.platform, "elsewhere"])
def test_cleared_memory_reads_as_zeros(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds also on systems where released pages may keep their content."""
    monkeypatch.setattr(reserved_memory, "sys", SimpleNamespace(platform=platform))
    column = ReservedMemory("I", 4 * PAGE)
    for entry in range(4 * PAGE):
        column.view[entry] = 9
    column.clear(PAGE + 3)
    assert [*column.view] == [0] * (PAGE + 3) + [9] * (3 * PAGE - 3)


def test_only_whole_pages_are_released() -> None:
    memory = anonymous(2 * PAGE)
    memory[:] = b"x" * (2 * PAGE)
    release(memory, 10, PAGE)
    assert memory[:] == b"x" * (2 * PAGE)


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's statistics of a mapping")
def test_addresses_are_reserved_without_the_memory_behind_them() -> None:
    """With strict accounting, the system would otherwise count all of max_size as used."""
    memory = anonymous(1 << 24)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    flags, inside = "", False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        range_of = line.split(" ")[0]
        if "-" in range_of and ":" not in range_of:
            start, end = (int(part, 16) for part in range_of.split("-"))
            inside = start <= address < end
        elif line.startswith("VmFlags:") and inside:
            flags = line
    assert " nr" in flags  # without a reserve
