"""Counters of expired, evicted and rejected sessions, and the events to emit for them."""

from __future__ import annotations

from collections.abc import Callable

from ...events import Event


class Counters:
    """Counters since the store was made.

    Attributes:
        expired: Sessions that were removed because they had expired.
        evicted: Sessions that were evicted.
        too_large: Writes that were rejected because the session was too large.
        events: Events to emit. The store emits them after it has released its lock, because a
            listener may call the store.
        has_listener: Returns whether an event of this name has a listener.
    """

    __slots__ = ("events", "evicted", "expired", "has_listener", "too_large")

    def __init__(self, has_listener: Callable[[str], bool]) -> None:
        self.expired: int = 0
        self.evicted: int = 0
        self.too_large: int = 0
        self.events: list[Event] = []
        self.has_listener: Callable[[str], bool] = has_listener
