"""What the system says of memory: what a process can have, and a cap that is more."""

from __future__ import annotations

import logging
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
    """What is found where these groups (``__`` is a slash) have such limits."""
    groups = tmp_path / "cgroup"
    groups.write_text(kind["of"])
    root = tmp_path / "sys" / kind.get("root", "")
    for group, limit in given.items():
        folder = root / group.replace("__", "/").removeprefix("top")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / kind["limit"]).write_text(f"{limit}\n")
    return list(resident.of_groups(str(groups), str(tmp_path / "sys")))


@BOTH
def test_a_limit_of_the_own_group(tmp_path: Path, kind: dict[str, str]) -> None:
    found = limits(tmp_path, kind, **{"shop.slice__web.service": "1048576", "other": "5"})
    assert found == [1048576]


@BOTH
def test_limits_of_the_groups_around_it(tmp_path: Path, kind: dict[str, str]) -> None:
    given = {"shop.slice__web.service": "max", "shop.slice": "4096", "top": "8192"}
    assert limits(tmp_path, kind, **given) == [4096, 8192]


@BOTH
def test_in_a_container_the_topmost_group_is_its_own(tmp_path: Path, kind: dict[str, str]) -> None:
    assert limits(tmp_path, kind, top="4096") == [4096]


def test_no_groups(tmp_path: Path) -> None:
    assert limits(tmp_path, {**V2, "of": "4:cpu:/\n"}, top="4096") == []
    assert list(resident.of_groups(str(tmp_path / "missing"), str(tmp_path))) == []


def test_what_this_process_can_have() -> None:
    most = resident.most()
    assert most is not None
    assert most > 2**26


@pytest.mark.parametrize(("max_size", "said"), [("8M", False), ("8.001M", True), ("1G", True)])
def test_a_cap_beyond_the_memory_is_said(
    max_size: str, said: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "most", lambda: 2**23)
    MemoryStore(max_size)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * said
    if said:
        assert f"max_size={max_size} exceeds the 8M of memory" in caplog.text


def test_where_the_system_does_not_tell_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "most", lambda: None)
    MemoryStore("8M")
    assert not caplog.records
