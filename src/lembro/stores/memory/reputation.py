"""Reputations: how long a visitor has been known.

The browser keeps a reputation in its cookie, so it survives the loss of the session. It is 16
bytes: 8 random bytes (the token), then the time of birth as a big-endian double. The birth is when
the store first issued the reputation.
"""

from __future__ import annotations

from secrets import token_bytes
from struct import Struct
from typing import Final

_TOKEN: Final = 8
_layout = Struct(">Qd")


class Reputations:
    """Makes and reads reputations."""

    __slots__ = ("_epoch",)

    def __init__(self, epoch: float) -> None:
        """Make the reputations of a store.

        Args:
            epoch: Seconds to add to the store's clock for a clock that survives a restart.
        """
        self._epoch = epoch

    def new(self, now: float) -> bytes:
        """Return a reputation that begins now."""
        (token,) = Struct(">Q").unpack(token_bytes(_TOKEN))
        return _layout.pack(token, now + self._epoch)

    def birth(self, reputation: bytes | None, now: float) -> float:
        """Return the time of birth by the store's clock.

        Without a reputation, or if its birth is in the future or NaN, the birth is now.
        """
        if reputation is None:
            return now
        birth: float = _layout.unpack(reputation)[1] - self._epoch
        return min(now, birth)  # in this order, NaN counts as now

    @staticmethod
    def tag(reputation: bytes) -> int:
        """Return the token as a tag of the user index."""
        tag: int = _layout.unpack(reputation)[0]
        return tag
