"""The base class of readers, and the reader for any store."""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from ..errors import ConfigError
from ..ids import SessionID
from ..options import DAY, CookieOptions, Seconds, exact_cookie, seconds
from .source import LegacySession, Refused

User = str | Callable[[Mapping[str, Any]], object] | None
"""The key of the user ID in the data, or a function that takes the data and returns it."""

Load = Callable[[str], Any]
"""A function, plain or async, that returns the data of an ID: a dict, bytes, a str, or None."""

NEVER: Final = 3650 * DAY
"""Seconds for which lembro remembers that a cookie without an expiry was used."""

IDS: Final = r"[A-Za-z0-9_-]{8,256}"
"""The form of a legacy session ID, unless the reader gives another one."""


class Reader:
    """The base class for your own reader. (Provisional in 0.1.)

    Implement ``read(value)``. It returns ``self.session(data, ...)`` or None, or it raises
    :class:`~lembro.migrate.Refused`.

    Args:
        cookie: The name of the legacy cookie, or CookieOptions if it was set with another path or
            domain. Here ``prefix="auto"`` adds no prefix.
        lifetime: How long a legacy cookie may still be valid: seconds, or a timedelta.
        user: The key of the user ID in the data, or a function that takes the data and returns it.

    Raises:
        ConfigError: an argument cannot work.
    """

    blocking: bool = False

    def __init__(
        self, *, cookie: str | CookieOptions, lifetime: Seconds, user: User = None
    ) -> None:
        if isinstance(cookie, str):
            prefixed = cookie.startswith(("__Host-", "__Secure-"))  # they need Secure
            cookie = exact_cookie({"name": cookie, "secure": True if prefixed else "auto"})
        if not isinstance(cookie, CookieOptions):
            raise ConfigError(
                f"cookie must be a name or CookieOptions, got {cookie!r}. Example: cookie='session'"
            )
        if not (user is None or isinstance(user, str) or callable(user)):
            raise ConfigError(
                f"user must be a key or a function, got {user!r}. Example: user='user_id'"
            )
        seconds("lifetime", lifetime)
        self.cookie: CookieOptions = cookie
        self.lifetime: Seconds = lifetime
        self._user = user

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of the cookie {self.cookie.name!r}>"

    def read(self, value: str) -> LegacySession | Awaitable[LegacySession | None] | None:
        """Read the session that belongs to a cookie value; see
        :class:`~lembro.migrate.LegacyReader`."""
        raise NotImplementedError

    def session(
        self,
        data: object,
        identity: str | bytes = "",
        *,
        remember: bool = False,
        lifetime: float = 0.0,
    ) -> LegacySession:
        """Make the session that ``read`` returns.

        Args:
            data: The data of the legacy session, a mapping.
            identity: The verified part of the cookie: the decoded ID, or the signed part. Required;
                see :class:`~lembro.migrate.LegacySession`.
            remember: Whether the cookie stays after the browser is closed.
            lifetime: Seconds for which this session may still be valid, if that may be longer than
                the reader's ``lifetime``. lembro remembers for this time that its cookie was used.

        Raises:
            Refused: the data are not a mapping, or the user ID is not a str or int.
        """
        if not isinstance(data, Mapping):
            raise Refused(f"it holds a {type(data).__name__}, not a dict")
        key = self._user
        user = data.get(key) if isinstance(key, str) else None if key is None else key(data)
        if type(user) is int:  # session.user_id is a str
            user = str(user)
        if user is not None and not isinstance(user, str):
            raise Refused(f"its user is a {type(user).__name__}, not a str")
        return LegacySession(data, user or None, identity, remember, lifetime)


class StoreReader(Reader):
    """Reads stored sessions by their ID, which is the cookie's value.

    Args:
        load: ``load(id)`` returns a dict, or JSON, or None. It may be ``async def``. For a session
            that has expired it must return None.
        cookie: As for :class:`Reader`.
        lifetime: As for :class:`Reader`.
        user: As for :class:`Reader`.
        form: A regular expression of valid IDs. An ID of another form is refused without a look-up.
        remember: Whether the legacy cookie stays after the browser is closed.
        blocking: False if ``load`` does no I/O. Otherwise async code calls it in a thread.

    Raises:
        ConfigError: an argument cannot work.
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
            raise ConfigError(f"load must be a function, got {load!r}. Example: load=redis.get")
        self.asynchronous: bool = inspect.iscoroutinefunction(load)
        self.blocking: bool = blocking and not self.asynchronous
        self._load = load
        self._is_id = re.compile(form, re.ASCII).fullmatch
        self._remember = remember

    def read(self, value: str) -> LegacySession | Awaitable[LegacySession | None] | None:
        # Error reporters record the variables of every frame, and ``load`` may fail.
        session_id = SessionID(self.id_in(value))
        del value
        if not self._is_id(session_id):
            raise Refused("its session ID has the wrong form")
        held = self._load(str(self.key_of(session_id)))
        if inspect.isawaitable(held):
            return self._later(session_id, held)
        return self._found(session_id, held)

    def id_in(self, value: str) -> str:
        """Return the ID in a cookie's value, or raise Refused."""
        return value

    def key_of(self, session_id: str) -> str:
        """Return the argument for ``load``."""
        return session_id

    def decode(self, held: bytes) -> object:
        """Decode the bytes that ``load`` returned."""
        return json.loads(held)

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        """Make the session from the stored data."""
        return self.session(data, self.identity_of(session_id), remember=self._remember)

    def identity_of(self, session_id: str) -> str:
        """Return the identity of an ID: its letters and digits, in lower case.

        ``load`` may ignore case and hyphens, as some databases do, and functions that parse a UUID.
        """
        return "".join(filter(str.isalnum, session_id)).casefold() or session_id

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
            raise Refused(f"its stored data are a {type(held).__name__}, not a dict")
        return self.made_of(dict(held), session_id)


def refuse_if_older(time_of: object, limit: float) -> None:
    """Refuse a session if a time, in seconds since 1970, is more than ``limit`` seconds ago.

    Raises:
        Refused: the time is longer ago, or is not a number.
    """
    if type(time_of) not in {int, float} or not time.time() - cast("float", time_of) <= limit:
        raise Refused("it has expired")


def needs(package: str, reader: str) -> ImportError:
    """Make the error for a library that is not installed."""
    return ImportError(
        f"lembro.migrate.{reader} reads legacy cookies with the library that made them: "
        f"pip install {package}"
    )
