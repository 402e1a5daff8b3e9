"""From the key to the record: a few dozen small dicts, so that none ever grows in one long go.

They are keyed by the first 60 bits of the key, an int of 32 bytes where a key takes 80; the whole
key is in the blob and is compared. Two keys that share those 60 bits (nobody will meet them by
chance) meet in ``overflow``, which is keyed by whole keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from sys import getsizeof
from typing import Final

from .blob import KEY, allocated, fields

PREFIX_BITS: Final = 60
ENTRY: Final = 32  # bytes of the int that is the dict's key
_OVERFLOW_ENTRY: Final = allocated(KEY)
word = Struct(">Q").unpack_from


def prefix_of(key: bytes) -> int:
    """The first 60 bits of a key."""
    prefix: int = word(key)[0] >> 4
    return prefix


def _dict_size(bits: int) -> int:
    """What getsizeof says of a dict with a table of 2**bits."""
    table = 1 << bits
    slots = table * (1 if bits < 8 else 2 if bits < 16 else 4)
    return _DICT_HEAD + slots + table * 2 // 3 * _DICT_ENTRY


_DICT_ENTRY: Final = 24
_DICT_HEAD: Final = getsizeof({1 << PREFIX_BITS: b""}) - 8 - 5 * _DICT_ENTRY
_CAPACITY: Final = {_dict_size(bits): (2 << bits) // 3 for bits in range(3, 40)}


def dict_bound(entries: int) -> int:
    """No dict takes more bytes than this when an insertion makes it resize to hold ``entries``:
    its new table is the least power of two that is at least three times as many, and 16."""
    return 64 + _dict_size((3 * entries | 8).bit_length())


def insertions_left(shard: dict[int, bytes]) -> int:
    """How many new keys surely fit into a dict that has just been resized before it is resized
    again (deletions don't count); 0 for one whose size is not understood."""
    return max(0, _CAPACITY.get(getsizeof(shard), 0) - len(shard))


class Index:
    __slots__ = ("_left", "_sizes", "overflow", "shards", "shift")

    def __init__(self, shards: int) -> None:
        """``shards`` is a power of two."""
        self.shift = PREFIX_BITS - (shards.bit_length() - 1)
        self.shards: list[dict[int, bytes]] = [{} for _ in range(shards)]
        self.overflow: dict[bytes, bytes] = {}
        self._sizes = [getsizeof(shard) for shard in self.shards]
        self._left = [0] * shards  # insertions until a shard may be resized

    def find(self, key: bytes) -> bytes | None:
        """The blob of a key."""
        if len(key) != KEY:
            return None
        prefix: int = word(key)[0] >> 4
        blob = self.shards[prefix >> self.shift].get(prefix)
        if blob is not None and blob.startswith(key):
            return blob
        return self.overflow.get(key) if self.overflow else None

    def at(self, prefix: int, slot: int) -> bytes:
        """The blob of a slot, whose key has this prefix."""
        blob = self.shards[prefix >> self.shift].get(prefix)
        if blob is not None and fields(blob, KEY)[0] == slot:
            return blob
        return next(b for b in self.overflow.values() if fields(b, KEY)[0] == slot)

    def growth(self, key: bytes, *, now: bool = False) -> int:
        """At most so many bytes are needed while a new key is put in: the new table of the dict,
        should it be resized. With ``now`` the table counts only if that is due."""
        number = prefix_of(key) >> self.shift
        need = ENTRY
        if not now or not self._left[number]:
            need += dict_bound(len(self.shards[number]) + 1)
        if self.overflow or prefix_of(key) in self.shards[number]:
            need += _OVERFLOW_ENTRY + dict_bound(len(self.overflow) + 1)
        return need

    def put(self, key: bytes, blob: bytes) -> int:
        """Put a new key in; by how many bytes the index has grown."""
        prefix = prefix_of(key)
        number = prefix >> self.shift
        shard = self.shards[number]
        if prefix in shard:
            before = self._overflow_size()
            self.overflow[bytes(key)] = blob
            return self._overflow_size() - before
        shard[prefix] = blob
        if self._left[number]:
            self._left[number] -= 1
            return ENTRY
        self._left[number] = insertions_left(shard)
        size = getsizeof(shard)
        grown = size - self._sizes[number]
        self._sizes[number] = size
        return grown + ENTRY

    def swap(self, key: bytes, blob: bytes) -> None:
        """Another blob for a key that is there."""
        prefix = prefix_of(key)
        shard = self.shards[prefix >> self.shift]
        if shard.get(prefix, b"").startswith(key):
            shard[prefix] = blob
        else:
            self.overflow[key] = blob

    def pop(self, key: bytes) -> int:
        """Take a key that is there out; by how many bytes the index has grown (negative)."""
        prefix = prefix_of(key)
        shard = self.shards[prefix >> self.shift]
        if shard.get(prefix, b"").startswith(key):
            del shard[prefix]
            return -ENTRY
        before = self._overflow_size()
        del self.overflow[key]
        if not self.overflow:
            self.overflow = {}
        return self._overflow_size() - before

    def is_sparse(self, number: int) -> bool:
        """Whether a shard takes far more than it needs: a dict gives nothing back by itself
        when entries leave it."""
        return self._sizes[number] > 2 * self.rebuilt(number)

    def rebuilt(self, number: int) -> int:
        """At most so many bytes a shard takes once it is rebuilt."""
        return dict_bound(len(self.shards[number]))

    def shrink(self, number: int) -> int:
        """Rebuild a shard; by how many bytes the index has grown (negative)."""
        self.shards[number] = dict(self.shards[number].items())  # from items: no copy of the table
        before, self._sizes[number] = self._sizes[number], getsizeof(self.shards[number])
        self._left[number] = insertions_left(self.shards[number])
        return self._sizes[number] - before

    def reset(self) -> list[dict[int, bytes]]:
        """Empty the index; what it held is for the caller to free."""
        gone = [*self.shards, dict(enumerate(self.overflow.values()))]
        self.overflow = {}
        self.shards[:] = [{} for _ in self.shards]
        self._sizes = [getsizeof(shard) for shard in self.shards]
        self._left = [0] * len(self.shards)
        return gone

    def blobs(self, number: int) -> list[bytes]:
        """The blobs of a shard, and with the first those of the overflow."""
        extra = list(self.overflow.values()) if number == 0 else []
        return [*self.shards[number].values(), *extra]

    def __iter__(self) -> Iterator[bytes]:
        for number in range(len(self.shards)):
            yield from self.blobs(number)

    @property
    def size(self) -> int:
        """Bytes, recounted: the dicts and their keys (the blobs are not the index's)."""
        entries = sum(map(len, self.shards))
        return sum(map(getsizeof, self.shards)) + ENTRY * entries + self._overflow_size()

    def _overflow_size(self) -> int:
        return getsizeof(self.overflow) + _OVERFLOW_ENTRY * len(self.overflow)
