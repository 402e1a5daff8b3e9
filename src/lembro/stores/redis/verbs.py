"""The verbs of the Redis store, as generators that yield commands.

A command is a tuple: the name of a command of Redis, or a script and the number of its keys, and
then the arguments. Each verb is one command, but ``get`` also asks for the time once a minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from ..._log import log
from ...errors import ConfigError
from ..base import MARK, Found, PerUser, Record
from ..external.backend import Busy, Page, Steps
from ..external.clock import ServerClock
from . import scripts
from .record import decode, encode, millis

OLDEST: Final = (6, 2)
"""The oldest supported version of Redis. Earlier ones lack some of the commands."""


class RedisVerbs:
    """The verbs of the Redis store.

    Args:
        prefix: The beginning of all keys.
        clock: A function that returns seconds, for tests. None: the server's clock.
        wait_replicas: How many replicas must confirm the end of a session.
        wait: The maximum number of milliseconds to wait for them.
    """

    def __init__(
        self,
        prefix: bytes,
        *,
        clock: Callable[[], float] | None = None,
        wait_replicas: int = 0,
        wait: int = 0,
    ) -> None:
        self._prefix = prefix
        self._records = prefix + b"s:"
        self._users = prefix + b"u:"
        self._clock = ServerClock(clock)
        self._replicas = wait_replicas
        self._wait = wait

    def get(self, key: bytes) -> Steps[Found | None]:
        data = yield "GET", self._records + key
        if data is None:
            return None
        now = self._clock.now()
        if now is None:
            [now] = yield from self._call(scripts.TIME, self._records)
        return decode(data, now)

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> Steps[bool]:
        _, added = yield from self._call(
            scripts.ADD,
            self._records + key,
            millis(idle),
            millis(life),
            millis(record.age),
            encode(record),
            *(per_user or ("", "")),
        )
        return bool(added)

    def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Steps[Found | None]:
        reply = yield from self._call(
            scripts.SET, self._records + key, millis(idle), expected, record.payload
        )
        return _found(reply, record.payload)

    def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes | None,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Steps[Found | None]:
        rest = encode(record)
        reply = yield from self._call(
            scripts.REPLACE,
            (self._records + old, self._records + new),
            millis(idle),
            -1 if life is None else millis(life),
            millis(grace),
            millis(record.age),
            rest,
            *(per_user or ("", "")),
            *(() if expected is None else (expected,)),
        )
        if len(reply) < 3:
            return _found(reply)
        yield from self._replicated()
        return decode(reply[1] + rest, reply[0])

    def touch(self, key: bytes, *, idle: float) -> Steps[bool]:
        _, touched = yield from self._call(scripts.TOUCH, self._records + key, millis(idle))
        return bool(touched)

    def destroy(self, key: bytes, *, expected: bytes | None) -> Steps[Found | None]:
        reply = yield from self._call(
            scripts.DESTROY, self._records + key, *(() if expected is None else (expected,))
        )
        if len(reply) > 1:
            yield from self._replicated()
        return _found(reply)

    def page(self, after: Any) -> Steps[Page]:
        now, cursor, *found = yield from self._scan(after or b"0", "all", b"s:")
        return _pairs(now, found), None if cursor == b"0" else cursor

    def length(self) -> Steps[int]:
        count, cursor = 0, b"0"
        while True:
            _, cursor, *keys = yield from self._scan(cursor, "count", b"s:")
            count += len(keys)
            if cursor == b"0":
                return count

    def clear(self) -> Steps[None]:
        for kind in (b"s:", b"u:"):
            cursor = b"0"
            while True:
                _, cursor = yield from self._scan(cursor, "clear", kind)
                if cursor == b"0":
                    break

    def purge(self, limit: int | None) -> Steps[int]:
        """Return 0, because Redis itself removes expired records."""
        yield from ()
        return 0

    def of_user(self, user: str) -> Steps[list[tuple[bytes, Found]]]:
        name = user.encode()
        now, *found = yield from self._call(scripts.OF_USER, self._users + name, name)
        return _pairs(now, found)

    def destroy_user(self, user: str, keep: bytes | None) -> Steps[list[bytes]]:
        name = user.encode()
        _, *removed = yield from self._call(
            scripts.DESTROY_USER, self._users + name, name, *(() if keep is None else (keep,))
        )
        yield from self._replicated()
        return removed

    def stats(self) -> Steps[dict[str, Any]]:
        state = yield from self._state()
        return {
            "used": _number(state, "used_memory"),
            "max_size": _number(state, "maxmemory") or None,
            "evicted": _number(state, "evicted_keys"),
            "expired": _number(state, "expired_keys"),
        }

    def ping(self) -> Steps[Any]:
        return (yield from self._call(scripts.TIME, self._records))

    def prepare(self, place: str) -> Steps[None]:
        """Check the server when a connector is opened.

        Args:
            place: The name of the server, for errors and the log.

        Raises:
            ConfigError: The server is older than Redis 6.2.
        """
        state = yield from self._state()
        version = tuple(map(int, re.findall(r"\d+", state.get("redis_version", ""))[:2]))
        if version and version < OLDEST:
            raise ConfigError(
                f"lembro needs Redis 6.2 or later, or Valkey; {place} is version "
                f"{state['redis_version']}. Update the server"
            )
        policy = state.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and _number(state, "maxmemory"):
            log.warning(
                "lembro: %s evicts keys when its memory is full (maxmemory-policy is %s). It may "
                "evict the list of a user's sessions, and revoke_user() would then miss some. Set "
                "maxmemory-policy to noeviction",
                place,
                policy,
            )

    # -- within ------------------------------------------------------------------------------------

    def _call(
        self, script: scripts.Script, key: bytes | tuple[bytes, ...], *args: Any
    ) -> Steps[list[Any]]:
        """Run a script, and note the server's time, which it returns first."""
        keys = key if isinstance(key, tuple) else (key,)
        reply: list[Any] = yield (
            script,
            len(keys),
            *keys,
            self._prefix,
            self._clock.given(),
            *args,
        )
        self._clock.note(reply[0])
        return reply

    def _scan(self, cursor: bytes, wanted: str, kind: bytes) -> Steps[list[Any]]:
        pattern = re.sub(rb"([*?\[\]\\^-])", rb"\\\1", self._prefix) + kind + b"*"
        arguments = cursor, pattern, scripts.PAGE, wanted, MARK
        return (yield from self._call(scripts.PAGE_OF_ALL, self._records, *arguments))

    def _state(self) -> Steps[dict[str, str]]:
        """Return the fields of INFO. It is empty if the user may not read them."""
        _, *sections = yield from self._call(scripts.STATE, self._records)
        lines = b"\n".join(sections).decode(errors="replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _replicated(self) -> Steps[None]:
        """Wait until the replicas have received what this connection wrote."""
        if not self._replicas:
            return
        count: int = yield "WAIT", self._replicas, self._wait
        if count < self._replicas:
            raise Busy(
                f"{count} of {self._replicas} replicas confirmed the end of a session within "
                f"{self._wait} ms. The session has ended, but a failover could restore it"
            )


def _found(reply: list[Any], payload: bytes = b"") -> Found | None:
    """Return the record of a reply: the time, then the data, then 1 if the data has no payload."""
    if len(reply) < 2:
        return None
    return decode(reply[1], reply[0], payload if len(reply) > 2 else None)


def _pairs(now: int, found: list[bytes]) -> list[tuple[bytes, Found]]:
    decoded = [(key, decode(data, now)) for key, data in zip(found[::2], found[1::2], strict=True)]
    return [(key, record) for key, record in decoded if record is not None]


def _number(state: dict[str, str], name: str) -> int | None:
    text = state.get(name, "")
    return int(text) if text.isdigit() else None
