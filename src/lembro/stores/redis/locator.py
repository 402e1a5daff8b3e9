"""Find the server that holds the sessions.

Sentinels or the nodes of a Cluster name the primary. All sessions of a store are in one slot of a
Cluster, so one server holds them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ...errors import StoreUnavailable
from ..external.extras import client
from .target import CLUSTER, SENTINEL, Address, Target

Question = tuple[Address, tuple[str, ...]]


class Locator:
    """Asks the hosts of a URL. The host that answered last is asked first.

    Args:
        target: The server, Sentinels or Cluster. A single server needs no question.
        key: A key of the store. It determines the slot in a Cluster.
    """

    def __init__(self, target: Target, key: bytes) -> None:
        self._target = target
        self._hosts = list(target.hosts)
        self._slot: int | None = None
        if target.scheme == CLUSTER:
            self._slot = client("redis.crc", "redis").key_slot(key)
        self.asks: bool = target.scheme in (SENTINEL, CLUSTER)
        """Whether the server can change."""

    def find(self) -> Generator[Question, Any, Address]:
        """Return the address. Yield questions, and receive each reply, or None without one."""
        if not self.asks:
            return self._hosts[0]
        ask = self._sentinel if self._slot is None else self._cluster
        for host in list(self._hosts):
            address = yield from ask(host)
            if address is not None:
                # A new list, because other threads read and change it too.
                self._hosts = [host, *(each for each in self._hosts if each != host)]
                return address
        raise StoreUnavailable(f"{self._target.place}: no host knows a primary")

    def _sentinel(self, host: Address) -> Generator[Question, Any, Address | None]:
        reply = yield host, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.path)
        return None if reply is None else (reply[0].decode(), int(reply[1]))

    def _cluster(self, host: Address) -> Generator[Question, Any, Address | None]:
        found = None
        for first, last, *nodes in (yield host, ("CLUSTER", "SLOTS")) or ():
            # A node without an address is the one that was asked.
            addresses = [((name or b"").decode() or host[0], port) for name, port, *_ in nodes]
            self._hosts += [each for each in addresses if each not in self._hosts]
            if first <= self._slot <= last:
                found = addresses[0]
        return found

    def check_role(self, role: Any) -> None:
        """Raise StoreUnavailable unless the server is a primary. A replica may be out of date."""
        if role[0] != b"master":
            raise StoreUnavailable(f"{self._target.place}: the server is no longer a primary")
