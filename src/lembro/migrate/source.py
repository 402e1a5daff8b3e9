"""Legacy sessions: sessions of another library, whose cookies browsers still send.

A reader of ``lembro.migrate`` reads them; ``lifecycle.py`` adopts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from msgspec import structs

from .._http.cookie import DUPLICATE, Presented, SessionCookie, find
from .._threads import in_thread, is_coroutine_function
from ..errors import ConfigError, StoreError, UsageError
from ..ids import CookieValue, user_id_text
from ..options import CookieOptions, LegacyReader, legacy_cookie, seconds

LONGEST: Final = 8192
"""The maximum size of a legacy cookie that is read, in bytes. Browsers keep at most 4096."""

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
    """A legacy session, as a reader returns it."""

    data: Mapping[str, Any] = field(repr=False)
    """The data of the session."""
    user: str | None = None
    """The ID of the user who is logged in; becomes ``session.user_id``."""
    identity: str | bytes = field(default="", repr=False)
    """The verified part of the cookie: the decoded ID, or the signed part. Required. Each identity
    is accepted once, so all spellings of one cookie must have the same identity."""
    remember: bool = False
    """Whether the cookie stays after the browser is closed."""
    lifetime: float = 0.0
    """Seconds for which this legacy session may still be valid, if that may be longer than the
    reader's ``lifetime``."""


class Rejection(NamedTuple):
    """The reason why a legacy cookie is not accepted. It never quotes the cookie."""

    reason: str


class Refused(ValueError):  # noqa: N818 - the cookie is refused
    """The error of a reader that does not accept a cookie. Its text is logged as the reason."""


class Source:
    """A reader and its cookie."""

    def __init__(self, reader: LegacyReader) -> None:
        cookie = legacy_cookie(reader.cookie)
        self.name: str = cookie.name
        self.names: dict[bool, bytes] = {
            https: cookie.name_over(https=https).encode("ascii") for https in (True, False)
        }
        self.life: float = seconds("lifetime", reader.lifetime)
        self._cookie = SessionCookie(cookie)
        self._read: Any = reader.read
        self.asynchronous: bool = is_coroutine_function(reader.read) or bool(
            getattr(reader, "asynchronous", False)
        )
        self._aread: Any = reader.read if self.asynchronous else getattr(reader, "aread", None)
        self.waits: bool = self.asynchronous or reader.blocking

    def cleared(self, *, https: bool) -> bytes:
        """Render the Set-Cookie header that removes the legacy cookie."""
        return self._cookie.render_cleared(https=https)

    def read(self, value: bytes) -> LegacySession | Rejection:
        """Read a cookie.

        Raises:
            StoreError: the reader's backend failed.
            ConfigError: the reader cannot work.
            UsageError: the reader is asynchronous.
        """
        if self.asynchronous:
            raise UsageError(
                f"the legacy cookie {self.name!r} can only be read in async code. Write "
                f"`await session.aload()` first"
            )
        try:
            return self._checked(self._read(_text(value)))
        except Exception as error:
            return self._judged(error)

    async def aread(self, value: bytes) -> LegacySession | Rejection:
        """Read a cookie in an event loop; see :meth:`read`. In a thread if that would block."""
        if self._aread is None:
            return await in_thread(lambda: self.read(value))
        try:
            return self._checked(await self._aread(_text(value)))
        except Exception as error:
            return self._judged(error)

    def _checked(self, legacy: object) -> LegacySession | Rejection:
        if legacy is None:
            return self._rejection("there is no such session")
        if not isinstance(legacy, LegacySession) or not isinstance(legacy.data, Mapping):
            raise Refused(f"its reader returned a {type(legacy).__name__}, not a LegacySession")
        if not legacy.identity:
            raise ConfigError(
                f"the reader of the legacy cookie {self.name!r} must give the identity of each "
                f"session. Write self.session(data, identity), with the ID or the signed part"
            )
        if legacy.user is not None:
            user_id_text(legacy.user, "login")
        return legacy

    def _judged(self, error: Exception) -> Rejection:
        if isinstance(error, StoreError | ConfigError):
            raise error
        if not isinstance(error, _DATA_FAULTS):
            raise StoreError(
                f"the legacy session of the cookie {self.name!r} could not be read: "
                f"{type(error).__name__}"
            ) from error
        if isinstance(error, Refused):
            return self._rejection(str(error))
        return self._rejection(f"it cannot be read ({type(error).__name__})")

    def _rejection(self, reason: str) -> Rejection:
        return Rejection(f"the legacy cookie {self.name!r}: {reason}")


class LegacyCookie:
    """A legacy cookie that came with a request."""

    __slots__ = ("source", "value")

    def __init__(self, source: Source, values: list[bytes]) -> None:
        self.source: Source = source
        self.value: CookieValue = CookieValue(values[0] if len(values) == 1 else b"")

    def cleared(self, *, https: bool) -> bytes:
        """Render the Set-Cookie header that removes the cookie."""
        return self.source.cleared(https=https)

    @property
    def problem(self) -> Rejection | None:
        """The reason to reject the cookie before its value is read, if there is one."""
        if not self.value:
            return Rejection(f"several legacy cookies {self.source.name!r}, or an empty one")
        if len(self.value) > LONGEST:
            return Rejection(f"the legacy cookie {self.source.name!r}: longer than {LONGEST} bytes")
        return None


class CookieWithLegacy(SessionCookie):
    """The session cookie together with the legacy cookies."""

    def __init__(
        self, options: CookieOptions, signing: tuple[str, ...], sources: tuple[Source, ...]
    ) -> None:
        super().__init__(options, signing)
        self._sources = sources

    def read(self, headers: list[bytes], *, https: bool) -> Presented:
        presented = super().read(headers, https=https)
        if presented is DUPLICATE:
            return presented
        legacy = tuple(
            LegacyCookie(source, values)
            for source in self._sources
            if (values := find(headers, source.names[https]))
        )
        if not legacy:
            return presented
        return structs.replace(presented, legacy=legacy)


def _text(value: bytes) -> str:
    if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
        value = value[1:-1]
    return value.decode()
