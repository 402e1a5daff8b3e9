"""Readers of Beaker's sessions."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, Final

from ..errors import ConfigError
from ..options import CookieOptions, Seconds, seconds
from ._reader import (
    NEVER,
    Load,
    Reader,
    StoreReader,
    User,
    needs,
    refuse_if_older,
)
from .source import LegacySession, Refused

_SIGNATURE: Final = 40  # hexadecimal digits, before the text that they sign

_COOKIE: Final = re.compile(r"[0-9a-f]{40}([A-Za-z0-9+/=]+)", re.ASCII)
"""The signature, and the text that it signs. Beaker's parser would also accept quotes, and text
after it."""

_OWN: Final = ("_accessed_time", "_creation_time", "_domain", "_id", "_path")


class BeakerReader(StoreReader):
    """Reads exported sessions of Beaker by their ID.

    Beaker pickles the sessions that it keeps in files, databases and Redis. Before you change to
    lembro, export their data with Beaker.

    Args:
        load: ``load(id)`` returns the data as a dict or as JSON, or None if there is no such
            session. It may be ``async def``.
        secret: Beaker's ``session.secret``.
        cookie: Beaker's ``session.key``, or CookieOptions; see :class:`Reader`.
        timeout: Beaker's ``session.timeout``: seconds, or a timedelta. None: no timeout. It counts
            from ``_accessed_time`` in the data.
        user: The key of the user ID in the data, or a function that takes the data and returns it.
        blocking: False if ``load`` does no I/O. Otherwise async code calls it in a thread.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        load: Load,
        *,
        secret: str | None = None,
        cookie: str | CookieOptions = "beaker.session.id",
        timeout: Seconds | None = None,
        user: User = None,
        blocking: bool = True,
    ) -> None:
        super().__init__(
            load,
            cookie=cookie,
            lifetime=NEVER if timeout is None else timeout,
            user=user,
            form=r"[0-9a-f]{32}",
            blocking=blocking,
        )
        self._secret = None if secret is None else secret.encode()
        self._timeout = None if timeout is None else seconds("timeout", timeout)

    def id_in(self, value: str) -> str:
        if self._secret is None:
            return value
        signature, session_id = value[:_SIGNATURE], value[_SIGNATURE:]
        made = hmac.new(self._secret, session_id.encode(), hashlib.sha1).hexdigest()
        if not hmac.compare_digest(made.encode(), signature.encode()):
            raise Refused("the signature does not match")
        return session_id

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        if self._timeout is not None:
            refuse_if_older(data.get("_accessed_time"), self._timeout)
        return self.session(_without_own(data), self.identity_of(session_id))


class BeakerCookieReader(Reader):
    """Reads Beaker's cookies: ``session.type = cookie`` with ``session.data_serializer = json``.

    Needs Beaker, and with an ``encrypt_key`` the package that Beaker encrypts with.

    Args:
        validate_key: Beaker's ``session.validate_key``.
        encrypt_key: Beaker's ``session.encrypt_key``.
        crypto_type: Beaker's ``session.crypto_type``.
        cookie: Beaker's ``session.key``, or CookieOptions; see :class:`Reader`.
        timeout: Beaker's ``session.timeout``: seconds, or a timedelta. None: no timeout.
        user: The key of the user ID in the data, or a function that takes the data and returns it.

    Raises:
        ConfigError: an argument cannot work.
        ImportError: Beaker is not installed.
    """

    def __init__(
        self,
        validate_key: str,
        *,
        encrypt_key: str | None = None,
        crypto_type: str = "default",
        cookie: str | CookieOptions = "beaker.session.id",
        timeout: Seconds | None = None,
        user: User = None,
    ) -> None:
        try:
            from beaker.session import CookieSession  # noqa: PLC0415
        except ImportError as missing:
            raise needs("beaker", "BeakerCookieReader") from missing
        if not validate_key:
            raise ConfigError(
                f"BeakerCookieReader needs the validate_key that signed the cookies, got "
                f"{validate_key!r}. Write Beaker's session.validate_key"
            )
        super().__init__(cookie=cookie, lifetime=NEVER if timeout is None else timeout, user=user)
        self._open: Any = CookieSession
        self._options = {
            "key": self.cookie.name,
            "validate_key": validate_key,
            "encrypt_key": encrypt_key,
            "crypto_type": crypto_type,
            "timeout": None if timeout is None else seconds("timeout", timeout),
            "data_serializer": "json",
        }

    def read(self, value: str) -> LegacySession | None:
        signed = _COOKIE.fullmatch(value)
        if signed is None:
            raise Refused("Beaker does not accept it")
        request = {"cookie": f"{self.cookie.name}={value}"}
        try:
            session = self._open(request, **self._options)
        except Exception as error:
            # Only the type: the message may quote the cookie's data.
            raise Refused(f"Beaker does not accept it ({type(error).__name__})") from None
        data = _without_own(dict(session))
        return self.session(data, signed[1]) if data else None


def _without_own(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in _OWN}
