"""The memory limits of the system, and the warning about a cap above them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from lembro import MemoryStore
from lembro.stores.memory import resident, settings

V2 = {"of": "0::/shop.slice/web.service\n", "limit": "memory.max"}
V1 = {
    "of": "9:name=systemd:/shop\n4:cpu,memory:/shop.slice/web.service\n0::/\n",
    "root": "memory",
    "limit": "memory.limit_in_bytes",
}
BOTH = pytest.mark.parametrize("kind", [V1, V2], ids=["v1", "v2"])


def limits(tmp_path: Path, kind: dict[str, str], **given: str) -> list[int]:
    """Write these limits for these groups (``__`` is a slash). Return the found limit."""
    groups = tmp_path / "cgroup"
    groups.write_text(kind["of"])
    root = tmp_path / "sys" / kind.get("root", "")
    for group, limit in given.items():
        folder = root / group.replace("__", "/").removeprefix("top")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / kind["limit"]).write_text(f"{limit}\n")
    return list(resident.of_groups(str(groups), str(tmp_path / "sys")))


@BOTH
def test_the_limit_of_the_own_group_is_found(tmp_path: Path, kind: dict[str, str]) -> None:
    found = limits(tmp_path, kind, **{"shop.slice__web.service": "1048576", "other": "5"})
    assert found == [1048576]


@BOTH
def test_the_limits_of_the_surrounding_groups_are_found(
    tmp_path: Path, kind: dict[str, str]
) -> None:
    given = {"shop.slice__web.service": "max", "shop.slice": "4096", "top": "8192"}
    assert limits(tmp_path, kind, **given) == [4096, 8192]


@BOTH
def test_in_a_container_the_topmost_group_is_its_own(tmp_path: Path, kind: dict[str, str]) -> None:
    assert limits(tmp_path, kind, top="4096") == [4096]


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert limits(tmp_path, {**V2, "of": "4:cpu:/\n"}, top="4096") == []
    assert list(resident.of_groups(str(tmp_path / "missing"), str(tmp_path))) == []


def test_the_resident_bytes_are_the_second_number_of_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    found = resident.resident()
    assert found is not None
    assert found % page == 0
    opened = os.listdir("/proc/self/fd")
    for text, pages in ((b"10 20 5 1\n", 20), (b"10 0 5\n", None), (b"10", None), (b"a b", None)):
        monkeypatch.setattr("os.read", lambda *_, text=text: text)
        assert resident.resident() == (pages and pages * page)
    assert os.listdir("/proc/self/fd") == opened


def test_without_proc_the_resident_bytes_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("os.open", missing)
    assert resident.resident() is None


@pytest.mark.parametrize(
    ("machine", "groups", "least"), [([9], [7, 8], 7), ([5], [7], 5), ([9], [], 9), ([], [], None)]
)
def test_the_smallest_limit_counts(
    machine: list[int], groups: list[int], least: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_of_machine", lambda: machine)
    monkeypatch.setattr(resident, "of_groups", lambda *_: groups)
    assert resident.most.__wrapped__() == least


def test_the_limit_of_the_machine_is_its_memory() -> None:
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    assert list(resident._of_machine()) == [pages * page]


def test_the_limit_of_this_process_is_found() -> None:
    most = resident.most()
    assert most is not None
    assert most > 2**26


@pytest.mark.parametrize(("max_size", "warned"), [("8M", False), ("8.001M", True), ("1G", True)])
def test_a_cap_above_the_memory_is_warned_of(
    max_size: str, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "most", lambda: 2**23)
    MemoryStore(max_size)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * warned
    if warned:
        assert f"max_size={max_size} exceeds the 8M of memory" in caplog.text


def test_without_a_known_limit_there_is_no_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "most", lambda: None)
    MemoryStore("8M")
    assert not caplog.records
