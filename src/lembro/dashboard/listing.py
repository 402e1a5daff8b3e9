"""The sessions of a store, one page at a time, and the ways to end them.

All of it is synchronous and may take long, so call it in a worker thread. A scan reads the store in
slices and pauses between them. So the event loop and other threads run meanwhile, and a store with
any number of sessions needs the memory of one page.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .._core import codec
from .._core.lifecycle import destroy_chain
from .._core.user_sessions import CACHE_ENTRY, SessionInfo, info_of, text_of
from ..errors import CodecError, ConfigError, UsageError, printable
from ..events import Event
from ..ids import handle_for
from ..manager import SessionManager, runner_of
from ..stores.base import Found
from .samples import sample_of

PAGE: Final = 50  # sessions
LONGEST: Final = 200  # characters of a shown value
HANDLE: Final = 12  # characters
SLICE: Final = 2048  # records between two pauses: about 10 ms
# Seconds: long enough that an event loop gets several turns. A busy machine wakes the scan up to
# 80 ms late, so few long pauses cost less than many short ones: with a pause every 256 records,
# 10^5 sessions took up to half a minute there.
REST: Final = 0.002

Place: TypeAlias = tuple[bool, str, str]
"""The place of a session in the order of the list: whether it is a visitor's, the user ID, and a
part of the key that reveals no more than the handle."""


@dataclass(frozen=True)
class Query:
    """The sessions that a page shows."""

    text: str = ""
    """The text that a user ID, device or address contains, or a whole handle."""
    user: str | None = None
    """The user whose sessions are shown. The default is all users, and visitors."""
    after: Place | None = None
    """The place of the last session on the previous page."""
    users: frozenset[str] = frozenset()
    """User IDs that match too, because the names of these users contain the text."""


@dataclass(frozen=True)
class Row:
    """One session as a page shows it, in texts that are not escaped yet."""

    handle: str
    user: str | None
    device: str
    address: str
    age: str
    idle: str
    left: str
    data: list[tuple[str, str]]


@dataclass(frozen=True)
class Listing:
    """One page of sessions."""

    rows: list[Row]
    total: int
    """How many sessions match, on all pages."""
    next: Place | None
    """The place after which the next page begins. None on the last page."""


class Directory:
    """Lists and ends the sessions of a manager.

    Args:
        manager: The manager.
        show: The keys of the data that a page may show.

    Raises:
        ConfigError: The manager or the keys are invalid, or the store cannot list its sessions.
    """

    def __init__(self, manager: SessionManager, show: Sequence[str] = ()) -> None:
        if not isinstance(manager, SessionManager):
            raise ConfigError(
                f"manager must be a SessionManager, got {manager!r}. Pass the manager of your "
                f"application"
            )
        if isinstance(show, str) or not all(isinstance(key, str) for key in show):
            raise ConfigError(
                f"show must be a list of keys of the session's data, got {show!r}. "
                f'Example: show=["cart"]'
            )
        self._runner = runner_of(manager)
        self._show = tuple(show)
        try:
            for verb in ("all", "of_user", "destroy_user", "clear"):
                self._runner.require(verb)
        except UsageError as error:
            raise ConfigError(f"the dashboard cannot list these sessions: {error}") from None
        self.has_stats: bool = hasattr(self._runner.store, "stats")
        """Whether the store has statistics."""

    def stats(self) -> dict[str, Any]:
        """Return the statistics of the store, for the charts."""
        return sample_of(self._runner.run(self._runner.verb("stats"), "stats"))

    def find(self, query: Query) -> Listing:
        """Return one page of the sessions that match, sorted by user; visitors come last."""
        total = 0
        matches = _matcher(query)

        def candidates() -> Iterator[tuple[Place, bytes, Found]]:
            nonlocal total
            for key, found in self._records(query.user):
                if matches(key, found):
                    total += 1
                    place = found.user is None, found.user or "", key[:9].hex()
                    if query.after is None or place > query.after:
                        yield place, key, found

        first = heapq.nsmallest(PAGE + 1, candidates(), key=lambda candidate: candidate[0])
        infos = [info_of(self._runner.lifecycle, key, found) for _, key, found in first[:PAGE]]
        infos.sort(key=lambda info: (info.user_id is None, info.user_id or "", info.age))
        following = first[PAGE - 1][0] if len(first) > PAGE else None
        return Listing([self._row(info) for info in infos], total, following)

    def end_session(self, handle: str, user: str | None, operator: str) -> bool:
        """End one session. Return whether there was one.

        Args:
            handle: The handle of the session.
            user: The user whose session it is, or None for a visitor's.
            operator: The name for the audit event.
        """
        for key, found in self._records(user):
            if found.user == user and handle_for(key) == handle:
                ended = self._runner.run(destroy_chain(key), "revoke")
                if ended is not None:
                    self._emit("destroyed", operator, [(handle, ended[1])])
                return ended is not None
        return False

    def end_user(self, user: str, operator: str) -> int:
        """End all sessions of a user. Return how many."""
        verb = self._runner.verb("destroy_user", user, None)
        keys: list[bytes] = self._runner.run(verb, "revoke_user")
        self._emit("destroyed", operator, [(handle_for(key), user) for key in keys])
        return len(keys)

    def end_all(self, operator: str) -> None:
        """End all sessions, of users and visitors."""
        self._runner.run(self._runner.verb("clear"), "clear")
        self._emit("cleared", operator, [(None, None)])

    def _emit(self, name: str, operator: str, ended: list[tuple[str | None, str | None]]) -> None:
        reason = f"in the dashboard, by {operator}" if operator else "in the dashboard"
        self._runner.emit([Event(name, handle, user, reason) for handle, user in ended])

    def _records(self, user: str | None) -> Iterator[tuple[bytes, Found]]:
        """Yield the sessions of a user, or of all, with pauses in between."""
        verb = self._runner.verb("all") if user is None else self._runner.verb("of_user", user)
        for number, (key, found) in enumerate(self._runner.run(verb, "all"), 1):
            if not found.payload.startswith(CACHE_ENTRY):
                yield key, found
            if number % SLICE == 0:
                time.sleep(REST)

    def _row(self, info: SessionInfo) -> Row:
        return Row(
            handle=info.handle,
            user=info.user_id,
            device=info.device,
            address=info.address,
            age=span(info.age),
            idle=span(info.idle_for),
            left=span(info.expires_in),
            data=[
                (key, printable(repr(info.data[key]), LONGEST))
                for key in self._show
                if key in info.data
            ],
        )


def _matcher(query: Query) -> Callable[[bytes, Found], bool]:
    """Return a function that decides whether a session matches the text of a query.

    It runs for each session, so it decodes only those that hold the text.
    """
    text, users = query.text, query.users
    if not text:
        return lambda key, found: True
    folded = text.casefold()
    handle = text if len(text) == HANDLE else None
    # Bytes have no lower case beyond ASCII.
    within = folded.encode() if text.isascii() else b""

    def matches(key: bytes, found: Found) -> bool:
        user = found.user
        if user is not None and (folded in user.casefold() or user in users):
            return True
        if handle is not None and handle_for(key) == handle:
            return True
        if within not in found.payload.lower():
            return False
        try:
            meta, _ = codec.decode(found.payload)
        except CodecError:
            return False
        return any(folded in text_of(meta, name).casefold() for name in ("device", "ip"))

    return matches


def span(seconds: float) -> str:
    """Return a duration as text, such as "5 min"; rounded down, in the largest fitting unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size):,} {unit}"
    return f"{max(0, int(seconds))} s"
