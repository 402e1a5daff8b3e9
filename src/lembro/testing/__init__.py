"""For tests: log a test client in, let time pass, and check your own store.

Provisional in 0.1: names and signatures may change in a minor release.

    client = TestClient(app)
    log_in(client, manager, "heidi", cart=["bread"])

To check a store, there are the contract as a test suite, a state machine and races:

    class TestMyStore(StoreContract):
        def make_store(self):
            self.clock = FakeClock()
            return MyStore(clock=self.clock)

        def advance(self, store, seconds):
            self.clock.advance(seconds)

    TestMyStoreMachine = store_machine(...).TestCase

    class TestMyStoreRaces(StoreRaces):
        def make_store(self):
            return MyStore()

The suite needs pytest, or another runner that collects its classes. The machine needs hypothesis.
"""

from __future__ import annotations

from . import _assertions  # noqa: F401 - before the modules that have assertions
from ._async import AsyncStoreContract, Blocking
from ._clients import alog_in, log_in
from ._clock import FakeClock
from ._contract import StoreContract
from ._machine import store_machine
from ._races import AsyncStoreRaces, StoreRaces

__all__ = [
    "AsyncStoreContract",
    "AsyncStoreRaces",
    "Blocking",
    "FakeClock",
    "StoreContract",
    "StoreRaces",
    "alog_in",
    "log_in",
    "store_machine",
]
