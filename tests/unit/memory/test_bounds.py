"""The exact bounds of the arguments, of the sizes and of the statistics."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lembro import MemoryStore, _durations
from lembro._durations import LONGEST
from lembro.errors import ConfigError, SessionTooLarge
from lembro.stores.base import Record
from lembro.stores.memory import settings
from lembro.stores.memory.counters import Counters
from lembro.stores.memory.layout import HEADER, LINKS
from lembro.stores.memory.limits import SizeLimits
from lembro.stores.memory.overflow import allocated
from lembro.stores.memory.stats import Stats


@pytest.mark.parametrize(
    ("name", "value"),
    [("interval", 366 * 86400), ("max_session_size", 1024), ("snapshot_max_age", inf)],
)
def test_the_bound_itself_is_accepted(name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    assert getattr(MemoryStore(**options), name, value) == value


def test_an_interval_above_366_days_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most 366 days"):
        MemoryStore(interval=366 * 86400 + 1)


@pytest.mark.parametrize("memory", [None, 1 << 20, (1 << 20) - 1])
def test_a_size_above_the_memory_of_the_process_is_warned_of(
    memory: int | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "most", lambda: memory)
    MemoryStore("1M")
    warned = "max_size=1M exceeds the" in caplog.text
    assert warned == (memory is not None and memory < 1 << 20)


@pytest.mark.parametrize(
    ("name", "value", "warned"),
    [
        ("interval", 360_000, True),
        ("snapshot_max_age", 600_000, True),
        ("snapshot_max_age", LONGEST, True),
        ("snapshot_max_age", LONGEST + 1, False),
    ],
)
def test_a_duration_that_looks_like_milliseconds_is_warned_of(
    name: str,
    value: int,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(_durations, "_warned", set())
    options: dict[str, Any] = {name: value}
    MemoryStore(**options)
    assert (f"lembro: {name}={value} is in seconds" in caplog.text) == warned


def test_a_snapshot_is_refused_where_files_have_no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        with pytest.raises(ConfigError, match="needs the file locks of a POSIX system"):
            settings.check_snapshot("sessions.bin", 60)


@pytest.mark.parametrize("length", [385, 5000])
def test_a_user_that_is_too_long_is_reported_with_a_size_above_the_limit(length: int) -> None:
    limits = SizeLimits(4096, 2048, Counters(lambda name: False))
    with pytest.raises(SessionTooLarge) as error:
        limits.measure(b"u" * length, Record(b""))
    assert error.value.size == max(4097, HEADER + LINKS + length)


def test_the_part_of_a_large_record_in_a_segment_is_rounded_up_to_8_bytes() -> None:
    limits = SizeLimits(4096, 2048, Counters(lambda name: False))
    for length in range(16):
        head = HEADER + LINKS + length
        expected = -(-head // 8) * 8, allocated(1000)
        assert limits.measure(b"u" * length, Record(b"x" * 1000)) == expected


def test_the_sessions_of_all_tiers_are_counted() -> None:
    store = MemoryStore("64K")
    store._parts.queues.counts[:] = range(1, 6)
    stats = store.stats()
    assert (stats.sessions, stats.tiers) == (15, (1, 2, 3, 4, 5))
    with pytest.raises(AttributeError):
        stats.used = 0  # type: ignore[misc]
    made: Any = Stats
    with pytest.raises(TypeError):
        made(*msgspec.structs.astuple(stats))


def test_a_store_with_a_snapshot_counts_the_last_use_from_30_days_before(tmp_path: Path) -> None:
    for path, days in ((None, 0), (tmp_path / "sessions.bin", 30)):
        store = MemoryStore("64K", clock=lambda: 1e7, snapshot=path)
        assert store._parts.reader.start == 1e7 - days * 86400


def test_a_record_of_more_than_256_kib_has_its_payload_outside() -> None:
    assert SizeLimits(2**30, 2**24, Counters(lambda name: False)).small == 2**18
