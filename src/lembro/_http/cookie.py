"""The session cookie: find it in raw header bytes, verify it, render it.

Its value is ``id``, ``id.mac`` or ``id.reputation.mac``:

* ``id``: the session ID, 256 random bits, or a short one (see :meth:`SessionCookie.short_id`);
* ``reputation``: how long this visitor has been known (see :class:`~lembro.Record`);
* ``mac``: a keyed hash of all that precedes it.

With a secret, a value without a valid hash is rejected. Without a secret, the ID needs no hash. A
reputation still has one, by a random key of this process.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from ..ids import ID_LENGTH, SHORT_ID_LENGTH, SessionID
from ..options import CookieOptions, seconds

LONGEST_AGE: Final = 400 * 24 * 60 * 60  # seconds, the limit of browsers (RFC 6265bis, 5.5)

_VALUE: Final = re.compile(
    rb"([A-Za-z0-9_-]{%d}|[A-Za-z0-9_-]{%d})(?:(?:\.([A-Za-z0-9_-]{22}))?\.([A-Za-z0-9_-]{22}))?"
    % (ID_LENGTH, SHORT_ID_LENGTH)
)
_RANDOM: Final = 22
"""The number of random characters in a short ID with a hash: 128 bits."""

_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_OUTLINE: Final = bytes(97 if c in _LETTERS else 46 if c == 46 else 0 for c in range(256))
_OUTLINES: Final = {
    b"a" * length + rest: length
    for length in (ID_LENGTH, SHORT_ID_LENGTH)
    for rest in (b"", b"." + b"a" * 22, (b"." + b"a" * 22) * 2)
}
# The values that _VALUE matches, with each letter replaced by "a", and the length of their ID. This
# check takes a third of the time.


class Clearable(Protocol):
    """Another library's cookie that came with a request."""

    def cleared(self, *, https: bool) -> bytes:
        """Render the Set-Cookie header that removes it."""
        ...


class Presented(msgspec.Struct, frozen=True):
    """The result of reading a request's cookies: a session ID, or the reason why there is no ID."""

    id: str | None = None
    value: bytes = b""
    problem: str = ""
    """Why the cookie was not accepted; empty if it was accepted, or if there is no cookie."""
    legacy: tuple[Clearable, ...] = ()
    """Other libraries' cookies, if ``migrate_from`` names a reader for them."""
    several: tuple[Presented, ...] = ()
    """If cookies with different session IDs came, all of them. There is no ``id`` then."""

    def __repr__(self) -> str:  # an error report shows the variables of every frame
        return f"<Presented {self.problem or ('no ID' if self.id is None else 'an ID')}>"


ABSENT: Final = Presented()
DUPLICATE: Final = Presented(
    problem="several cookies of this name belong to different sessions, or there are too many of "
    "them. Another application on this host or a sibling domain may set one of them; rename one"
)
MOST_VALUES: Final = 8
"""The maximum number of values of the cookie that are looked up for one request."""
MALFORMED: Final = Presented(problem="not a value that lembro issues")
FORGED: Final = Presented(problem="the signature does not match any secret")


def find(headers: Iterable[bytes], name: bytes) -> list[bytes]:
    """Return the distinct values of the cookies with exactly this name, in linear time.

    It stops when there are more than ``MOST_VALUES``. It splits at semicolons, and strips blanks
    and tabs only. Stripping quotes, ``$Version`` or Unicode spaces would make one cookie look like
    another (CVE-2023-23934).
    """
    values: list[bytes] = []
    for header in headers:
        if name not in header:
            continue
        for pair in header.split(b";"):
            key, equals, value = pair.partition(b"=")
            if equals and key.strip(b" \t") == name:
                stripped = value.strip(b" \t")
                if stripped not in values:
                    values.append(stripped)
                    if len(values) > MOST_VALUES:  # refused, so the rest does not matter
                        return values
    return values


def only(headers: list[bytes], name: bytes) -> bytes | None:
    """Return the value that ``find`` returns, in a third of its time, in the simple case.

    That is one header, as browsers send it, with the name once, at the beginning of a pair. Return
    None in any other case.
    """
    if len(headers) != 1:
        return None
    header = headers[0]
    at = header.find(name)
    after = at + len(name)
    if at < 0 or header.find(name, after) >= 0 or header[after : after + 1] != b"=":
        return None
    if at and header[at - 2 : at] != b"; ":
        return None
    end = header.find(b";", after)
    return header[after + 1 :] if end < 0 else header[after + 1 : end]


class SessionCookie:
    """Reads and renders the session cookie.

    Args:
        options: The attributes of the cookie.
        signing: The secrets: the first signs, all verify. Empty: the ID is not signed.
    """

    def __init__(self, options: CookieOptions, signing: tuple[str, ...] = ()) -> None:
        self.options: CookieOptions = options
        self.signed: bool = bool(signing)
        given = [secret.encode() for secret in signing] or [secrets.token_bytes(32)]
        self._keys = [
            blake2b(key, digest_size=32, person=b"lembro cookie").digest() for key in given
        ]
        self._names = {
            https: options.name_over(https=https).encode("ascii") for https in (True, False)
        }
        age = options.max_age
        self._max_age = None if age is None else seconds("max_age", age)
        self._attributes = {https: self._render_attributes(https) for https in (True, False)}
        self._previous = {
            https: [
                SessionCookie(each).render_cleared(https=https)
                for each in options.previous_over(https=https)
            ]
            for https in (True, False)
        }

    def read(self, headers: list[bytes], *, https: bool) -> Presented:
        """Return the session ID in these Cookie headers, or the reason why there is no ID. It never
        raises."""
        name = self._names[https]
        value = only(headers, name)
        length = None if value is None else _OUTLINES.get(value.translate(_OUTLINE))
        if value is None or length is None:
            values = find(headers, name)
            if len(values) > 1:
                return self._read_several(name, values, https=https)
            if not values:
                return ABSENT
            value = values[0]
            length = _OUTLINES.get(value.translate(_OUTLINE))
            if length is None:
                return MALFORMED
        if self.signed:
            match = _VALUE.fullmatch(value)
            assert match is not None  # because the value has one of the outlines
            if not self._is_verified(value, match):
                return FORGED
        return Presented(value[:length].decode("ascii"), value)

    def _read_several(self, name: bytes, values: list[bytes], *, https: bool) -> Presented:
        """Read several values. Those that lembro cannot have issued do not count."""
        if len(values) > MOST_VALUES:
            return DUPLICATE
        read = [self.read([name + b"=" + value], https=https) for value in values]
        valid = {presented.id: presented for presented in read if presented.id is not None}
        if len(valid) > 1:
            return Presented(several=tuple(valid.values()))
        return next(iter(valid.values()), read[0])

    def reputation(self, value: bytes) -> bytes | None:
        """Return the reputation in a cookie's value; None without one, or if its hash is wrong."""
        match = _VALUE.fullmatch(value)
        if match is None or match[2] is None or not self._is_verified(value, match):
            return None
        return urlsafe_b64decode(match[2] + b"==")

    def short_id(self, secret: bytes) -> SessionID:
        """Return 32 random bytes as a session ID of 40 characters, for columns of this length.

        It is a valid value of the cookie by itself. So with a secret, it has 128 random bits, and
        ends in a keyed hash of them; without a secret, it has 240 random bits.
        """
        if not self.signed:
            return SessionID(urlsafe_b64encode(secret[:30]).decode())
        random = urlsafe_b64encode(secret[:16])[:_RANDOM]
        text = random + self._mac(self._keys[0], random)
        return SessionID(text[:SHORT_ID_LENGTH].decode())

    def value(self, session_id: str, reputation: bytes | None) -> bytes:
        """Return the cookie's value for a session ID."""
        value = session_id.encode("ascii")
        if reputation is not None:
            value += b"." + urlsafe_b64encode(reputation).rstrip(b"=")
        if reputation is not None or self.signed:
            value += b"." + self._mac(self._keys[0], value)
        return value

    def render(
        self, session_id: str, reputation: bytes | None, *, https: bool, max_age: float | None
    ) -> bytes:
        """Render the Set-Cookie header for a session ID.

        Args:
            session_id: The session ID.
            reputation: The reputation, if the store uses one.
            https: Whether the request came over https.
            max_age: Max-Age in seconds. None: that of the options. 0: none, so that the browser
                removes the cookie when it is closed.
        """
        value = self.value(session_id, reputation)
        if max_age is None:
            max_age = self._max_age
        age = b"" if not max_age else b"; Max-Age=%d" % max(1, min(max_age, LONGEST_AGE))
        return self._names[https] + b"=" + value + age + self._attributes[https]

    def render_previous(self, *, https: bool) -> list[bytes]:
        """Render the Set-Cookie headers that remove the cookie from its previous scopes."""
        return self._previous[https]

    def render_cleared(self, *, https: bool) -> bytes:
        """Render the Set-Cookie header that removes the cookie: same name, path and flags."""
        expires = b"; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        return self._names[https] + b"=" + expires + self._attributes[https]

    def _is_verified(self, value: bytes, match: re.Match[bytes]) -> bool:
        mac = match[3]
        if mac is not None:
            signed = value[: -len(mac) - 1]
        elif len(value) == SHORT_ID_LENGTH:
            signed, mac = value[:_RANDOM], value[_RANDOM:]
        else:
            return False
        # Every key is tried, so that the time does not show which one matched.
        macs = [self._mac(key, signed)[: len(mac)] for key in self._keys]
        matches = [hmac.compare_digest(each, mac) for each in macs]
        return any(matches)

    @staticmethod
    def _mac(key: bytes, value: bytes) -> bytes:
        # Keyed BLAKE2 is a MAC by itself, and takes 0.7 us where HMAC-SHA256 takes 1.8.
        return urlsafe_b64encode(blake2b(value, key=key, digest_size=16).digest()).rstrip(b"=")

    def _render_attributes(self, https: bool) -> bytes:
        options = self.options
        parts = [f"; Path={options.path}"]
        if options.domain:
            parts.append(f"; Domain={options.domain}")
        if options.is_secure(https=https):
            parts.append("; Secure")
        if options.httponly:
            parts.append("; HttpOnly")
        parts.append(f"; SameSite={options.samesite.capitalize()}")
        if options.partitioned:
            parts.append("; Partitioned")
        return "".join(parts).encode("ascii")
