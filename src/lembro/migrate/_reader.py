"""What the readers share, and the one for any store."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ..errors import ConfigError
from ..options import DAY, CookieOptions, Seconds, exact_cookie, seconds
from .source import LegacySession, Refused

User = str | Callable[[Mapping[str, Any]], object] | None
"""The key under which the data have who is logged in, or a function of the data."""

Load = Callable[[str], Any]
"""``load(id)``, plain or async: the data, a dict or encoded; None if there is no such session."""

NEVER: Final = 3650 * DAY
"""How long it is remembered that a cookie without an end was used."""

IDS: Final = r"[A-Za-z0-9_-]{8,256}"


class Reader:
    """What a reader has, for one of your own: write ``read(value)``, which returns
    ``self.old(data, ...)``, or None, or raises :class:`~lembro.migrate.Refused`.

    ``cookie``: the name, or CookieOptions if the cookie was set with another path or domain than
    the default ones. ``prefix="auto"`` adds no prefix here, because the legacy cookie has its name
    already. ``lifetime``: how long an old cookie may be good for yet. ``user``: where the data
    have who is logged in, for ``session.user``.
    """

    blocking: bool = False

    def __init__(
        self, *, cookie: str | CookieOptions, lifetime: Seconds, user: User = None
    ) -> None:
        if isinstance(cookie, str):
            prefixed = cookie.startswith(("__Host-", "__Secure-"))  # which a browser ties to Secure
            cookie = exact_cookie({"name": cookie, "secure": True if prefixed else "auto"})
        if not isinstance(cookie, CookieOptions):
            raise ConfigError(f'cookie={cookie!r}: give its name, or CookieOptions(name="...")')
        if not (user is None or isinstance(user, str) or callable(user)):
            raise ConfigError(f'user={user!r}: give a key, for example "user_id", or a function')
        seconds("lifetime", lifetime)
        self.cookie: CookieOptions = cookie
        self.lifetime: Seconds = lifetime
        self._user = user

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of the cookie {self.cookie.name!r}>"

    def read(self, value: str) -> LegacySession | Awaitable[LegacySession | None] | None:
        """The session of this cookie's value."""
        raise NotImplementedError

    def old(
        self, data: object, identity: str | bytes = "", *, remember: bool = False
    ) -> LegacySession:
        """What ``read`` returns. ``identity``: as of :class:`~lembro.migrate.Old`."""
        if not isinstance(data, Mapping):
            raise Refused(f"it holds a {type(data).__name__}, not a dict")
        key = self._user
        user = data.get(key) if isinstance(key, str) else None if key is None else key(data)
        if type(user) is int:  # what a session is asked for is str(user.id)
            user = str(user)
        if user is not None and not isinstance(user, str):
            raise Refused(f"its user is a {type(user).__name__}, not a str")
        return LegacySession(data, user or None, identity, remember)


class StoreReader(Reader):
    """Sessions that are kept somewhere under an id, which is the cookie's value.

    ``load(id)`` returns a dict, or JSON, or None; it may be ``async def``. ``form``: what an id
    looks like; anything else is not looked up. ``blocking=False`` if ``load`` waits for nothing,
    as that of a dict; else it is called in a thread in async code.
    """

    def __init__(
        self,
        load: Load,
        *,
        cookie: str | CookieOptions,
        lifetime: Seconds,
        user: User = None,
        form: str = IDS,
        remember: bool = False,
        blocking: bool = True,
    ) -> None:
        super().__init__(cookie=cookie, lifetime=lifetime, user=user)
        if not callable(load):
            raise ConfigError(f"load={load!r}: give a function that returns the data of an id")
        self.asynchronous: bool = inspect.iscoroutinefunction(load)
        self.blocking: bool = blocking and not self.asynchronous
        self._load = load
        self._is_id = re.compile(form, re.ASCII).fullmatch
        self._remember = remember

    def read(self, value: str) -> LegacySession | Awaitable[LegacySession | None] | None:
        session_id = self.id_in(value)
        if not self._is_id(session_id):
            raise Refused("it has no id of the form that was issued")
        held = self._load(self.key_of(session_id))
        if inspect.isawaitable(held):
            return self._later(session_id, held)
        return self._found(session_id, held)

    def id_in(self, value: str) -> str:
        """The id in a cookie's value. Raises Refused."""
        return value

    def key_of(self, session_id: str) -> str:
        """What ``load`` is called with."""
        return session_id

    def decode(self, held: bytes) -> object:
        """The data in what ``load`` returned."""
        return json.loads(held)

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        """The session, of what is held."""
        return self.old(data, session_id, remember=self._remember)

    async def _later(self, session_id: str, held: Awaitable[Any]) -> LegacySession | None:
        return self._found(session_id, await held)

    def _found(self, session_id: str, held: Any) -> LegacySession | None:
        if held is None:
            return None
        if isinstance(held, str):
            held = held.encode()
        if isinstance(held, bytes | bytearray | memoryview):
            held = self.decode(bytes(held))
        if not isinstance(held, Mapping):
            raise Refused(f"what is stored is a {type(held).__name__}, not a dict")
        return self.made_of(dict(held), session_id)


def needs(package: str, reader: str) -> ImportError:
    """The error where what made the cookie is not installed."""
    return ImportError(
        f"lembro.migrate.{reader} reads the old cookies with the library that made them, which is "
        f"needed until they have run out: pip install {package}"
    )
