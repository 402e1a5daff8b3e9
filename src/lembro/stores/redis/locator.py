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
        """Return the address. Yield questions, and receive each reply, or the text of an error."""
        if not self.asks:
            return self._hosts[0]
        errors = []
        for host in list(self._hosts):
            if self._slot is None:
                reply = yield host, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._target.path)
            else:
                reply = yield host, ("CLUSTER", "SLOTS")
            if isinstance(reply, str):
                errors.append(f"{host[0]}:{host[1]}: {reply}")
                continue
            address = self._primary(reply) if self._slot is None else self._owner(reply, host)
            if address is not None:
                # A new list, because other threads read and change it too.
                self._hosts = [host, *(each for each in self._hosts if each != host)]
                return address
        details = f" ({'; '.join(errors)})" if errors else ""
        raise StoreUnavailable(f"{self._target.place}: no host knows a primary{details}")

    @staticmethod
    def _primary(reply: Any) -> Address | None:
        """Return the address in the reply of a Sentinel."""
        return None if reply is None else (reply[0].decode(), int(reply[1]))

    def _owner(self, reply: Any, host: Address) -> Address | None:
        """Return the address of the node that holds the slot, and note the others."""
        found = None
        for first, last, *nodes in reply:
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
