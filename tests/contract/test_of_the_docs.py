"""The store of docs/stores.md passes the contract, with the tests of that page."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lembro.testing import store_machine
from tests.contract.test_plain import skipped
from tests.support import ROOT
from tests.unit.test_readme import run


@pytest.fixture(scope="module")
def page() -> Any:
    path = ROOT / "docs" / "stores.md"
    return run(path, path.read_text(encoding="utf-8"))


def test_the_store_of_the_page_passes_the_contract(page: Any) -> None:
    names = skipped(page.TestSqliteStore)
    assert "test_purge_removes_expired_sessions" not in names
    assert "test_of_user_lists_the_oldest_first" not in names


def test_the_store_of_the_page_passes_the_state_machine(page: Any) -> None:
    machine = store_machine(page.make_store, page.advance)
    few = settings(max_examples=10, stateful_step_count=30, deadline=None, derandomize=True)
    run_state_machine_as_test(machine, settings=few)
