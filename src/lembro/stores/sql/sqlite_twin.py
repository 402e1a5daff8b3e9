"""The async verbs of SQLiteStore."""

from __future__ import annotations

from collections.abc import Callable

from ..external.backend import AsyncConnector
from ..external.shared import Shared
from ..external.twin import AsyncTwin
from ..memory.reputation import Reputations
from .verbs import Clock


class SQLiteTwin(AsyncTwin):
    """The async verbs, with the reputations that eviction needs."""

    def __init__(
        self, name: str, shared: Shared, make: Callable[[], AsyncConnector], clock: Clock
    ) -> None:
        super().__init__(name, shared, make)
        self._clock = clock

    async def new_reputation(self) -> bytes:
        """Return a reputation that is born now; it needs no connection."""
        return Reputations(0.0).new(self._clock())
