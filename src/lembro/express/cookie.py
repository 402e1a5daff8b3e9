"""The cookie of express-session: read, verified and rendered as it does.

Its value is ``s:<id>.<signature>``, percent-encoded. A cookie under an older secret is accepted,
and is not signed again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import quote, unquote

from .._http.cookie import ABSENT, FORGED, LONGEST_AGE, Presented, SessionCookie, find, only
from .._http.signature import is_signed, sign
from ..errors import ConfigError
from ..ids import SessionID
from .ids import SentID, id_of, is_id
from .options import ExpressCookie

LONGEST: Final = 4096
"""The maximum size of a value that is read, in bytes. Browsers keep no longer cookies."""
UNSIGNED: Final = Presented(problem="not a value that express-session signs")

_UNESCAPED: Final = "!'()*-._~"  # of encodeURIComponent
_TEXT: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]+")
_SAME_SITE: Final[dict[Any, str]] = {
    True: "Strict",
    "lax": "Lax",
    "strict": "Strict",
    "none": "None",
}
_PRIORITY: Final[dict[Any, str]] = {"low": "Low", "medium": "Medium", "high": "High"}


class SignedCookie(SessionCookie):
    """Reads and renders the cookie.

    Args:
        options: The cookie's options.
        secrets: The secrets: the first signs, all verify.
    """

    def __init__(self, options: ExpressCookie, secrets: Sequence[bytes]) -> None:
        super().__init__(options.as_options())
        self.signed: bool = True
        self.express: ExpressCookie = options
        self._secrets = tuple(secrets)
        self._name = options.name.encode("ascii")

    def read(self, headers: list[bytes], *, https: bool) -> Presented:
        """Return the session ID in these Cookie headers, or the reason why there is no ID."""
        value = only(headers, self._name)
        if value is None:
            values = find(headers, self._name)
            if len(values) > 1:
                return self._read_several(self._name, values, https=https)
            if not values:
                return ABSENT
            value = values[0]
        session_id, dot, signature = _plain(value).rpartition(".")
        if not dot or not session_id.startswith("s:") or not is_id(session_id[2:]):
            return UNSIGNED
        session_id = session_id[2:]
        if not is_signed(session_id, signature, self._secrets):
            return FORGED
        return Presented(session_id, value)

    def short_id(self, secret: bytes) -> SessionID:
        """Return a session ID; those of Express are short enough."""
        return id_of(secret)

    def value(self, session_id: str, reputation: bytes | None) -> bytes:
        """Return the cookie's value for a session ID."""
        signed = f"s:{session_id}.{sign(session_id, self._secrets[0])}"
        return quote(signed, safe=_UNESCAPED).encode("ascii")

    def render(
        self, session_id: str, reputation: bytes | None, *, https: bool, max_age: float | None
    ) -> bytes:
        """Render the Set-Cookie header, byte for byte as express-session does."""
        if isinstance(session_id, SentID):
            attributes = session_id.attributes
        else:
            attributes = self.express.attributes(https=https)
        value = self.value(session_id, None)
        if max_age is None:
            max_age = self.express.seconds
        expires = None if not max_age else time.time() + min(max_age, LONGEST_AGE)
        return self._name + b"=" + value + self._tail(attributes, expires)

    def render_cleared(self, *, https: bool) -> bytes:
        """Render the Set-Cookie header that removes the cookie."""
        return self._name + b"=" + self._tail(self.express.attributes(https=https), 0.0)

    def _tail(self, attributes: Mapping[str, Any], expires: float | None) -> bytes:
        """Render the attributes. A value that cannot be in a header is left out."""
        parts = [""]
        for name, key in (("Domain", "domain"), ("Path", "path")):
            text = attributes.get(key)
            if isinstance(text, str) and _TEXT.fullmatch(text):
                parts.append(f"{name}={text}")
        if expires is not None:
            parts.append(f"Expires={formatdate(expires, usegmt=True)}")
        for name, key in (("HttpOnly", "httpOnly"), ("Secure", "secure")):
            if attributes.get(key):
                parts.append(name)
        if attributes.get("partitioned"):
            parts.append("Partitioned")
        for name, key, words in (
            ("Priority", "priority", _PRIORITY),
            ("SameSite", "sameSite", _SAME_SITE),
        ):
            word = attributes.get(key)
            known = words.get(word.lower() if isinstance(word, str) else word is True)
            if known is not None:
                parts.append(f"{name}={known}")
        return "; ".join(parts).encode("ascii")


def _plain(value: bytes) -> str:
    """Return a value without quotes and percent-encoding; empty if it is too long."""
    if len(value) > LONGEST:
        return ""
    text = value.decode("latin-1")
    if text.startswith('"'):
        text = text[1:-1]
    if "%" not in (short := text.replace("%3A", ":").replace("%2B", "+").replace("%2F", "/")):
        return short  # most values; unquote() takes ten times as long
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:  # express-session keeps such a value, and no such value is signed
        return text


def secrets_of(given: Any) -> tuple[bytes, ...]:
    """Return the secrets of express-session.

    Raises:
        ConfigError: no secret is given, or a secret is empty or not a str.
    """
    secrets = [given] if isinstance(given, str) else given
    if (
        isinstance(secrets, bytes)
        or not isinstance(secrets, Sequence)
        or not secrets
        or not all(isinstance(secret, str) and secret for secret in secrets)
    ):
        raise ConfigError(
            f"secret must be the secret of express-session, a str that is not empty, or a list of "
            f"them, got {_kind(given)}. Example: secret=os.environ['SESSION_SECRET']"
        )
    return tuple(secret.encode() for secret in secrets)


def _kind(given: Any) -> str:
    """Return what was given, without a secret."""
    if given is None or given == "" or (isinstance(given, list | tuple) and not given):
        return repr(given)
    kinds = given if isinstance(given, list | tuple) else [given]
    return ", ".join(sorted({type(each).__name__ for each in kinds}))
