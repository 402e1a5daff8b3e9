"""Sessions of old: what another library has left in the browsers, as the core sees it. Those who
read it are in ``lembro.migrate``; how it moves in, in ``moving.py``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from .._core.session import check_user
from .._http.cookie import DUPLICATE, Presented, SessionCookie, find
from .._threads import in_thread
from ..errors import ConfigError, LembroError, StoreError
from ..options import CookieOptions, Seconds, legacy_cookie, seconds

LONGEST: Final = 8192
"""Bytes of a cookie of old. Browsers keep 4096, and what is longer need not be unpacked."""

_DATA_FAULTS: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


@dataclass(frozen=True)
class LegacySession:
    """A session of old, as a reader found it."""

    data: Mapping[str, Any] = field(repr=False)
    user: str | None = None
    """Who is logged in: what ``session.user`` is to be."""
    identity: str | bytes = field(default="", repr=False)
    """What stays the same however the cookie is written: the id, or what the signature signs.
    Each is accepted once. Empty: the cookie's value."""
    remember: bool = False
    """Whether the cookie outlived the browser."""


class LegacyReader(Protocol):
    """A reader of old sessions. ``lembro.migrate`` has those of other libraries, and ``Reader`` for
    one of your own."""

    @property
    def cookie(self) -> CookieOptions:
        """The cookie of old: its name, and its path and domain by which it is cleared."""
        ...

    @property
    def lifetime(self) -> Seconds:
        """How long an old cookie may be good for yet; it is remembered for so long that it was
        used."""
        ...

    @property
    def blocking(self) -> bool:
        """True: ``read`` waits for something, and is called in a thread in async code."""
        ...

    def read(self, value: str) -> LegacySession | Awaitable[LegacySession | None] | None:
        """The session of this cookie's value; ``async def`` where only async code will do. None
        or a ValueError: there is none (:class:`Refused` says why). A StoreError, or anything that
        is no fault of the data: where it is kept could not be asked, which is answered by 503, and
        the cookie stays."""
        ...


class Rejection(NamedTuple):
    """Why a cookie of old is not accepted. Nothing of what it holds, which errors may quote."""

    reason: str


class Refused(ValueError):  # noqa: N818 - what it says of the cookie
    """For readers: the cookie is not accepted, for this reason, which is logged."""


class Source:
    """A reader, and what is known of its cookie."""

    def __init__(self, reader: LegacyReader) -> None:
        cookie = legacy_cookie(reader.cookie)
        self.name: str = cookie.name
        self.names: dict[bool, bytes] = {
            https: cookie.name_over(https=https).encode("ascii") for https in (True, False)
        }
        self.life: float = seconds("lifetime", reader.lifetime)
        self._cookie = SessionCookie(cookie)
        self._read: Any = reader.read
        self.asynchronous: bool = inspect.iscoroutinefunction(reader.read) or bool(
            getattr(reader, "asynchronous", False)
        )
        self._aread: Any = reader.read if self.asynchronous else getattr(reader, "aread", None)
        self.waits: bool = self.asynchronous or reader.blocking

    def identity(self, old: LegacySession, value: bytes) -> bytes:
        """What an old session is remembered by."""
        identity = old.identity or value
        if isinstance(identity, str):
            identity = identity.encode("utf-8", "surrogatepass")
        return b"%s\0%s" % (self.name.encode(), identity)

    def cleared(self, *, https: bool) -> bytes:
        """The Set-Cookie header that removes the old cookie."""
        return self._cookie.render_cleared(https=https)

    def read(self, value: bytes) -> LegacySession | Rejection:
        """What the reader makes of a cookie. Raises StoreError if it could not find out."""
        if self.asynchronous:
            raise LembroError(
                f"the cookie {self.name!r} can only be read in async code: "
                f"`await session.areload()` first"
            )
        try:
            return self._checked(self._read(_text(value)))
        except Exception as error:
            return self._judged(error)

    async def aread(self, value: bytes) -> LegacySession | Rejection:
        """As ``read``, in a thread if that would block."""
        if self._aread is None:
            return await in_thread(lambda: self.read(value))
        try:
            return self._checked(await self._aread(_text(value)))
        except Exception as error:
            return self._judged(error)

    def _checked(self, old: object) -> LegacySession | Rejection:
        if old is None:
            return self._rejection("there is no such session")
        if not isinstance(old, LegacySession) or not isinstance(old.data, Mapping):
            raise Refused(f"its reader returned a {type(old).__name__}, not an Old")
        if old.user is not None:
            check_user(old.user)
        return old

    def _judged(self, error: Exception) -> Rejection:
        if isinstance(error, StoreError | ConfigError):
            raise error
        if not isinstance(error, _DATA_FAULTS):
            raise StoreError(
                f"the old session of the cookie {self.name!r} could not be read: "
                f"{type(error).__name__}"
            ) from error
        if isinstance(error, Refused):
            return self._rejection(str(error))
        return self._rejection(f"it cannot be read ({type(error).__name__})")

    def _rejection(self, reason: str) -> Rejection:
        return Rejection(f"the old cookie {self.name!r}: {reason}")


class LegacyCookie:
    """A cookie of old that came with a request."""

    __slots__ = ("source", "value")

    def __init__(self, source: Source, values: list[bytes]) -> None:
        self.source: Source = source
        self.value: bytes = values[0] if len(values) == 1 else b""

    def identity(self, old: LegacySession) -> bytes:
        """What this session of old is remembered by."""
        return self.source.identity(old, self.value)

    @property
    def problem(self) -> Rejection | None:
        """Why its value need not be looked at."""
        if not self.value:
            return Rejection(f"several old cookies {self.source.name!r}, or an empty one")
        if len(self.value) > LONGEST:
            return Rejection(f"the old cookie {self.source.name!r}: longer than {LONGEST} bytes")
        return None


class CookieWithLegacy(SessionCookie):
    """lembro's cookie, where cookies of old are looked for as well."""

    def __init__(
        self, options: CookieOptions, signing: tuple[str, ...], sources: tuple[Source, ...]
    ) -> None:
        super().__init__(options, signing)
        self._sources = sources

    def read(self, headers: list[bytes], *, https: bool) -> Presented:
        presented = super().read(headers, https=https)
        if presented is DUPLICATE:
            return presented
        offers = tuple(
            LegacyCookie(source, values)
            for source in self._sources
            if (values := find(headers, source.names[https]))
        )
        if not offers:
            return presented
        return Presented(presented.id, presented.value, presented.problem, offers)


def _text(value: bytes) -> str:
    if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
        value = value[1:-1]
    return value.decode()
