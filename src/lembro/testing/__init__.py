"""For those who write a store: the contract as a suite of tests, a model to compare with, and a
clock that only moves when told to.

    class TestMyStore(StoreContract):
        def make_store(self):
            self.clock = FakeClock()
            return MyStore(clock=self.clock)

        def advance(self, store, seconds):
            self.clock.advance(seconds)

    TestMyStoreMachine = store_machine(...).TestCase

Needs pytest (or a runner that knows its classes), the machine needs hypothesis.
"""

from __future__ import annotations

from ._async import AsyncStoreContract, Blocking
from ._clock import FakeClock
from ._contract import StoreContract
from ._machine import store_machine

__all__ = ["AsyncStoreContract", "Blocking", "FakeClock", "StoreContract", "store_machine"]
