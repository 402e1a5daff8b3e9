"""Standings: how long a visitor has been known, carried in the cookie and so surviving the loss
of a session. 8 random bytes (the token), 8 bytes of the birth, a big-endian double."""

from __future__ import annotations

from secrets import token_bytes
from struct import Struct
from typing import Final

_TOKEN: Final = 8
_layout = Struct(">Qd")


class Reputations:
    __slots__ = ("_epoch",)

    def __init__(self, epoch: float) -> None:
        """``epoch`` is what the store's clock lacks to a clock that survives a restart."""
        self._epoch = epoch

    def new(self, now: float) -> bytes:
        """A standing born now."""
        (token,) = Struct(">Q").unpack(token_bytes(_TOKEN))
        return _layout.pack(token, now + self._epoch)

    def birth(self, reputation: bytes | None, now: float) -> float:
        """The birth by the store's clock; now for none, for one in the future and for NaN."""
        if reputation is None:
            return now
        birth: float = _layout.unpack(reputation)[1] - self._epoch
        return birth if birth <= now else now

    @staticmethod
    def tag(reputation: bytes) -> int:
        """The token, as the tag that its bearer is found by."""
        tag: int = _layout.unpack(reputation)[0]
        return tag
