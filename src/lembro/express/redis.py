"""ConnectRedis: the sessions of connect-redis, in Redis or Valkey."""

from __future__ import annotations

import math
import re
from hashlib import sha1
from typing import Any, Final

from .._hints import explain_keywords
from ..errors import ConfigError
from ..stores.external.backend import Steps
from ..stores.external.store import MAX_SESSION_SIZE
from ..stores.redis.scripts import Script
from ..stores.redis.store import ClientBackend, URLBackend
from ..stores.redis.verbs import RedisVerbs
from .record import Body, encode_json
from .store import ExpressStore, users_of
from .users import ReadUser, Users, WriteUser
from .verbs import ExpressVerbs, Row

PAGE: Final = 256

_ABSENT: Final = -2
"""The time that Redis returns for a key that does not exist."""


# Each other script returns the time first. The prefix is its first argument, as in RedisStore.
class _Read(Script):
    """Reads a session, and the time until it expires. Most requests only do this, so it has the
    fewest arguments, and one reply: the time, a colon and the session."""

    def __init__(self) -> None:
        self.text: str = (
            "return redis.call('PTTL', KEYS[1]) .. ':' .. (redis.call('GET', KEYS[1]) or '')"
        )
        self.sha: str = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


READ: Final = _Read()
INSERT: Final = Script(
    "",
    """
local done = redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4], 'NX')
return {now, done and 1 or 0}
""",
)
"""Arguments: the session, the time until it expires. Returns 1 if it was stored."""
SWAP: Final = Script(
    "",
    """
local raw, new = redis.call('GET', KEYS[1]), KEYS[2]
if not raw then
    return {now}
end
if raw ~= ARGV[3] then
    return {now, raw, redis.call('PTTL', KEYS[1])}
end
if new and redis.call('EXISTS', new) == 1 then
    return {now}
end
redis.call('SET', new or KEYS[1], ARGV[4], 'PX', ARGV[5])
if new then
    redis.call('DEL', KEYS[1])
end
return {now, 1}
""",
)
"""Arguments: the expected session, the new one, the time until it expires. With two keys, the
session moves to the second one. Returns 1 if it was stored."""
REMOVE: Final = Script(
    "",
    """
local raw = redis.call('GET', KEYS[1])
if not raw or (ARGV[3] and raw ~= ARGV[3]) then
    return {now}
end
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
return {now, raw, left}
""",
)
"""Arguments: the expected session, or none. Returns the session that was removed."""
PAGE_OF_ALL: Final = Script(
    "",
    """
local found = redis.call('SCAN', ARGV[3], 'MATCH', ARGV[4], 'COUNT', ARGV[5], 'TYPE', 'string')
local reply = {now, found[1]}
for _, key in ipairs(found[2]) do
    local raw = redis.call('GET', key)
    if raw then
        reply[#reply + 1] = key
        reply[#reply + 1] = raw
        reply[#reply + 1] = redis.call('PTTL', key)
    end
end
return reply
""",
)
"""Arguments: cursor, pattern, how many keys to scan. Returns the next cursor, and for each session
its key, the session, and the time until it expires."""


class ConnectRedisVerbs(ExpressVerbs, RedisVerbs):
    """The steps in Redis. The connection, the state and the clock are those of RedisStore."""

    def __init__(self, users: Users, prefix: bytes, **options: Any) -> None:
        RedisVerbs.__init__(self, prefix, **options)
        self.users: Users = users

    def form(self, body: Body, before: Any) -> bytes:
        return encode_json(body)

    def server_time(self) -> Steps[int]:
        now = self._clock.now()
        if now is None:
            [now] = yield from self._call(_TIME, self._prefix)
        return now

    def read(self, session_id: str) -> Steps[Row | None]:
        reply: bytes = yield READ, 1, self._key(session_id)
        left, _, raw = reply.partition(b":")
        return None if int(left) == _ABSENT else Row(raw, _left(int(left)))

    def insert(self, session_id: str, raw: Any, idle: float) -> Steps[bool]:
        reply = yield from self._call(INSERT, self._key(session_id), raw, _millis(idle))
        return bool(reply[1])

    def swap(self, session_id: str, before: Any, raw: Any, idle: float) -> Steps[Row | bool | None]:
        reply = yield from self._call(SWAP, self._key(session_id), before, raw, _millis(idle))
        return True if len(reply) == 2 else _row(reply)

    def move(
        self, old: str, new: str, before: Any, raw: Any, idle: float
    ) -> Steps[Row | bool | None]:
        keys = self._key(old), self._key(new)
        reply = yield from self._call(SWAP, keys, before, raw, _millis(idle))
        yield from self._replicated()
        return True if len(reply) == 2 else _row(reply)

    def extend(self, session_id: str, idle: float) -> Steps[bool]:
        return bool((yield "PEXPIRE", self._key(session_id), _millis(idle)))

    def remove(self, session_id: str, before: Any) -> Steps[Row | None]:
        expected = () if before is None else (before,)
        reply = yield from self._call(REMOVE, self._key(session_id), *expected)
        yield from self._replicated()
        return _row(reply)

    def rows(self, after: Any) -> Steps[tuple[list[tuple[str, Row]], Any]]:
        cursor, found = yield from self._sessions(after or b"0")
        return found, None if cursor == b"0" else cursor

    def length(self) -> Steps[int]:
        count, cursor = 0, b"0"
        while True:
            cursor, found = yield from self._sessions(cursor)
            count += len(found)
            if cursor == b"0":
                return count

    def clear(self) -> Steps[None]:
        cursor = b"0"
        while True:
            cursor, found = yield from self._sessions(cursor)
            if found:
                yield "UNLINK", *(self._key(session_id) for session_id, _ in found)
            if cursor == b"0":
                return

    # -- within ------------------------------------------------------------------------------------

    def _key(self, session_id: str) -> bytes:
        return self._prefix + session_id.encode()

    def _sessions(self, cursor: bytes) -> Steps[tuple[bytes, list[tuple[str, Row]]]]:
        pattern = re.sub(rb"([*?\[\]\\^-])", rb"\\\1", self._prefix) + b"*"
        reply = yield from self._call(PAGE_OF_ALL, self._prefix, cursor, pattern, PAGE)
        found = []
        for key, raw, left in zip(*(iter(reply[2:]),) * 3, strict=True):
            session_id = key.removeprefix(self._prefix).decode(errors="replace")
            found.append((session_id, Row(raw, _left(left))))
        return reply[1], found


_TIME: Final = Script("", "return {now}\n")


def _millis(idle: float) -> int:
    return max(1, int(idle * 1000))


def _left(left: int) -> float:
    return math.inf if left < 0 else left / 1000


def _row(reply: list[Any]) -> Row | None:
    """Return the session of a reply: the time, then the session and the time that it has left."""
    return None if len(reply) < 3 else Row(reply[1], _left(reply[2]))


class _MakesVerbs:
    """Makes the verbs of connect-redis, for a backend with a URL or a client."""

    def __init__(self, users: Users, *args: Any, **options: Any) -> None:
        self._users = users
        super().__init__(*args, **options)

    def make_verbs(self, prefix: bytes, **options: Any) -> RedisVerbs:
        return ConnectRedisVerbs(self._users, prefix, **options)


class _ToURL(_MakesVerbs, URLBackend):
    pass


class _ToClient(_MakesVerbs, ClientBackend):
    pass


@explain_keywords
class ConnectRedis(ExpressStore):
    """The sessions of connect-redis, in Redis 6.2 or later, or in Valkey.

    Args:
        server: A URL, or a client of redis-py or valkey-py, as for
            :class:`~lembro.stores.RedisStore`. A Cluster cannot be used.
        prefix: The ``prefix`` of connect-redis.
        user: The path of the user ID in the session's data, or a function that takes the data and
            returns the ID. Default: ``passport.user``.
        set_user: A function that takes the data and a user ID, and notes the login in the data.
            Only if ``user`` is a function.
        user_type: The type of the ID at the path: str or int.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
            Only with a URL. The default is 20.
        timeout: The maximum number of seconds to connect, to wait for a reply, and to wait for a
            free connection. Only with a URL. The default is 0.2.
        wait_replicas: How many replicas must confirm the end of a session. Only with a URL.
        tls: Whether to connect over TLS. Only with a URL.
        ca_file: The file of the certificates to trust over TLS. Only with a URL.
        sentinel_password: The password of the Sentinels. Only with a URL.

    Raises:
        ConfigError: An argument is invalid, or redis-py is not installed.
    """

    def __init__(
        self,
        server: Any,
        *,
        prefix: str = "sess:",
        user: ReadUser | None = None,
        set_user: WriteUser | None = None,
        user_type: type[str] | type[int] | None = None,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int | None = None,
        timeout: float | None = None,
        wait_replicas: int = 0,
        tls: bool = False,
        ca_file: str | None = None,
        sentinel_password: str | None = None,
    ) -> None:
        users = users_of(user, set_user, user_type)
        options: dict[str, Any] = {
            "max_connections": max_connections,
            "timeout": timeout,
            "wait_replicas": wait_replicas,
            "tls": tls,
            "ca_file": ca_file,
            "sentinel_password": sentinel_password,
        }
        backend: URLBackend | ClientBackend
        if isinstance(server, str):
            if server.lower().startswith("redis+cluster:"):
                raise _no_cluster()
            backend = _ToURL(users, server, prefix, None, **options)
        elif hasattr(server, "get_node_from_key"):
            raise _no_cluster()
        else:
            wrong = [name for name, value in options.items() if value]
            if wrong:
                raise ConfigError(
                    f"{wrong[0]} needs a URL, got a client. Configure the client, or pass a URL"
                )
            backend = _ToClient(users, server, prefix, None)
        super().__init__(backend, users, max_session_size=max_session_size)


def _no_cluster() -> ConfigError:
    return ConfigError(
        "connect-redis spreads its keys over all nodes of a Redis Cluster, where a login cannot "
        "move a session in one step. Use one server, or Sentinels"
    )
