"""The options of the session cookie and of legacy cookies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast, get_args

from ._durations import Seconds, seconds
from ._hints import explain_keywords
from .errors import ConfigError

SameSite = Literal["lax", "strict", "none"]
Prefix = Literal["auto", "host", "secure"]

# Patterns as text: Python compiles them when the first option is checked, not at the import.
_NAME_CHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}"  # RFC 9110, 5.6.2
_ATTRIBUTE: Final = r"[\x20-\x3a\x3c-\x7e]+"  # RFC 6265, 4.1.1: no controls, no ";"
_PREFIXES: Final = {"host": "__Host-", "secure": "__Secure-"}  # RFC 6265bis, 4.1.3
_PREFIXED: Final = "(?i)__(host|secure)-"
_DOMAIN: Final = r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"


@explain_keywords
@dataclass(frozen=True, kw_only=True)
class CookieOptions:
    """The attributes of the session cookie. The defaults follow OWASP's recommendations.

    Over https the cookie is ``__Host-sid=...; Path=/; Secure; HttpOnly; SameSite=Lax``. Over plain
    http it is ``sid``, without Secure, so that development works.

    Raises:
        ConfigError: A browser would refuse the cookie, or it would not be safe.
    """

    name: str = "sid"
    """The name without its prefix."""
    prefix: Prefix | None = "auto"
    """The prefix of the name of a Secure cookie (RFC 6265bis, 4.1.3). "auto": ``__Host-``, or
    ``__Secure-`` if a domain or another path is set. "host" or "secure": always this prefix, which
    needs ``secure=True``. None: no prefix."""
    path: str = "/"
    """The path for which the browser sends the cookie."""
    domain: str | None = None
    """The domain whose subdomains share the cookie. None: this host only."""
    secure: bool | Literal["auto"] = "auto"
    """Whether the cookie has Secure. "auto": if the request came over https. True: always, also
    behind a proxy whose headers are not trusted. False: never."""
    httponly: bool = True
    """Whether the cookie is hidden from JavaScript."""
    samesite: SameSite = "lax"
    """Which requests of other sites carry the cookie; "none" needs ``secure=True``."""
    partitioned: bool = False
    """Whether the cookie is partitioned by the top-level site (CHIPS); needs ``secure=True``."""
    max_age: Seconds | None = None
    """Max-Age in seconds. None: the cookie lasts until the browser is closed. After
    ``login(remember=True)``, Max-Age is how long the login is remembered."""
    previous: CookieOptions | Sequence[CookieOptions] = ()
    """The options that the cookie had before its domain, path, name or ``partitioned`` changed.
    Browsers still send those cookies. A response that sets the session cookie removes them."""

    def __post_init__(self) -> None:
        self._check_name()
        if not isinstance(self.path, str) or not (
            self.path.startswith("/") and re.fullmatch(_ATTRIBUTE, self.path)
        ):
            raise ConfigError(
                f"cookie path must begin with '/' and have no ';' or control characters, "
                f'got {self.path!r}. Example: path="/"'
            )
        if self.domain is not None and not (
            isinstance(self.domain, str) and re.fullmatch(_DOMAIN, self.domain)
        ):
            raise ConfigError(
                f"cookie domain must be a host name or None, got {self.domain!r}. "
                f'Example: domain="example.com". None, this host only, is the safest'
            )
        if not (isinstance(self.secure, bool) or self.secure == "auto"):
            raise ConfigError(
                f'cookie secure must be True, False or "auto", got {self.secure!r}. '
                f'Example: secure="auto"'
            )
        for name in ("httponly", "partitioned"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ConfigError(
                    f"cookie {name} must be True or False, got {value!r}. Example: {name}=True"
                )
        if self.samesite not in get_args(SameSite):
            raise ConfigError(
                f'cookie samesite must be "lax", "strict" or "none", got {self.samesite!r}. '
                f'Example: samesite="lax"'
            )
        if self.samesite == "none":
            self._check_secure('samesite="none"')
        if self.partitioned:
            self._check_secure("partitioned=True")
        if self.max_age is not None:
            seconds("max_age", self.max_age)
        self._check_prefix()
        object.__setattr__(self, "previous", self._checked_previous())

    def _checked_previous(self) -> tuple[CookieOptions, ...]:
        given: Any = self.previous
        previous = (given,) if isinstance(given, CookieOptions) else given
        example = 'Example: previous=[CookieOptions(domain="example.com")]'
        if not isinstance(previous, Sequence) or not all(
            isinstance(each, CookieOptions) for each in previous
        ):
            raise ConfigError(f"cookie previous must be CookieOptions, got {given!r}. {example}")
        for each in previous:
            if each.previous:
                raise ConfigError(
                    f"cookie previous must hold CookieOptions that have no previous themselves, "
                    f"got {each!r}. Write all of them into one list"
                )
            if all(self.scope(https=https) == each.scope(https=https) for https in (True, False)):
                raise ConfigError(
                    f"cookie previous must differ in name, domain, path or partitioned, got "
                    f"{each!r}. It would remove the session cookie itself; leave it out"
                )
        return tuple(previous)

    def _check_name(self) -> None:
        name = self.name
        if not isinstance(name, str) or not re.fullmatch(_NAME_CHARS, name):
            raise ConfigError(
                f"cookie name must be 1 to 128 letters, digits or !#$%&'*+-.^_`|~, got {name!r}. "
                f'Example: name="sid"'
            )
        prefixed = re.match(_PREFIXED, name)
        if prefixed:
            raise ConfigError(
                f"cookie name must not include the prefix {prefixed[0]}, got {name!r}. "
                f'Write name="{name[prefixed.end() :] or "sid"}": the prefix follows from the '
                f'other options, or is fixed by prefix="{prefixed[1].lower()}"'
            )

    def _check_secure(self, option: str) -> None:
        if self.secure is not True:
            raise ConfigError(
                f"cookie {option} needs secure=True, because browsers refuse it without Secure, "
                f"got secure={self.secure!r}. Write secure=True"
            )

    def _check_prefix(self) -> None:
        if self.prefix not in (None, *get_args(Prefix)):
            raise ConfigError(
                f'cookie prefix must be "auto", "host", "secure" or None, got {self.prefix!r}. '
                f'Example: prefix="auto"'
            )
        if self.prefix in _PREFIXES:
            self._check_secure(f'prefix="{self.prefix}" ({_PREFIXES[self.prefix]})')
        if self.prefix == "host" and not self._can_be_host:
            raise ConfigError(
                f'cookie prefix="host" (__Host-) needs path="/" and no domain, '
                f"got path={self.path!r} and domain={self.domain!r}. Leave them out, or write "
                f'prefix="secure"'
            )

    @property
    def _can_be_host(self) -> bool:
        return self.path == "/" and not self.domain

    def name_over(self, *, https: bool) -> str:
        """Return the name of the cookie over this scheme, with its prefix."""
        prefix = self.prefix
        if prefix is None or not self.is_secure(https=https):
            return self.name
        if prefix == "auto":
            prefix = "host" if self._can_be_host else "secure"
        return _PREFIXES[prefix] + self.name

    def scope(self, *, https: bool) -> tuple[Any, ...]:
        """Return the attributes by which a browser distinguishes cookies."""
        domain = (self.domain or "").lower().lstrip(".")
        return self.name_over(https=https), domain, self.path, self.partitioned

    def previous_over(self, *, https: bool) -> list[CookieOptions]:
        """Return the previous options whose scope differs from that of these options."""
        scope = self.scope(https=https)
        previous = cast("tuple[CookieOptions, ...]", self.previous)
        return [each for each in previous if each.scope(https=https) != scope]

    def is_secure(self, *, https: bool) -> bool:
        """Return whether the cookie has Secure over this scheme."""
        return https if self.secure == "auto" else self.secure


def exact_cookie(fields: Mapping[str, Any]) -> CookieOptions:
    """Return the options of a cookie that keeps the exact name in ``fields``, if there is one.

    This is for a name from a framework's or another library's configuration: other code reads the
    cookie by that name. A name that begins with ``__Host-`` or ``__Secure-`` keeps this prefix.

    Raises:
        ConfigError: The fields cannot work; see :class:`CookieOptions`.
    """
    name = fields.get("name")
    if name is None or "prefix" in fields:
        return CookieOptions(**fields)
    for prefix, text in _PREFIXES.items():
        if isinstance(name, str) and name.startswith(text):
            return CookieOptions(**{**fields, "name": name[len(text) :], "prefix": prefix})
    return CookieOptions(**fields, prefix=None)


def legacy_cookie(cookie: CookieOptions) -> CookieOptions:
    """Return the options of another library's cookie, which gets no automatic prefix."""
    return replace(cookie, prefix=None) if cookie.prefix == "auto" else cookie
