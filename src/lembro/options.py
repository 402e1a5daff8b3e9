"""What can be set, checked when it is built. Durations are seconds or a timedelta."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, get_args

from ._device import Visitor, describe_visitor
from .errors import ConfigError

if TYPE_CHECKING:
    from .migrate.source import LegacyReader

Seconds = int | float | timedelta
SameSite = Literal["lax", "strict", "none"]
Prefix = Literal["auto", "host", "secure"]
AtMaxSessions = Literal["oldest", "refuse"]

DAY: Final = 24 * 60 * 60
_LONGEST: Final = 100 * 365 * DAY
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110, 5.6.2
_ATTRIBUTE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]+")  # RFC 6265, 4.1.1: no controls, no ";"
_PREFIXES: Final = {"host": "__Host-", "secure": "__Secure-"}  # RFC 6265bis, 4.1.3
_PREFIXED: Final = re.compile("__(host|secure)-", re.IGNORECASE)
_DOMAIN: Final = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def seconds(name: str, value: Seconds, example: str = "", *, zero: bool = False) -> float:
    """Return a duration in seconds.

    Args:
        name: The option, for the error.
        value: Seconds or a timedelta.
        example: What the error shows as an example, if it is not an option of that name.
        zero: Whether 0 is allowed.

    Raises:
        ConfigError: ``value`` is no duration, not above 0, or longer than 100 years.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ConfigError(
            f"{name}={value!r}: give seconds as int or float, or a timedelta, "
            f"for example {example or f'{name}=timedelta(hours=8)'}"
        )
    if not (0 < number <= _LONGEST or (zero and number == 0)):
        raise ConfigError(
            f"{name}={value!r}: give {'at least' if zero else 'more than'} 0 and at most "
            f"{_LONGEST} seconds (100 years), "
            f"for example {example or f'{name}=timedelta(hours=8)'}"
        )
    return float(number)


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
    """What is put before the name when the cookie is Secure (RFC 6265bis, 4.1.3). "auto":
    ``__Host-``, or ``__Secure-`` if a domain or another path is set. "host", "secure": always that
    one, which needs ``secure=True``. None: nothing."""
    path: str = "/"
    """The path for which the browser sends the cookie."""
    domain: str | None = None
    """The domain that shares the cookie with its subdomains. None: this host only."""
    secure: bool | Literal["auto"] = "auto"
    """Whether the cookie has Secure. "auto": if the request came over https. True: always, also
    behind a proxy whose headers are not trusted. False: never."""
    httponly: bool = True
    """Whether JavaScript is kept from reading the cookie."""
    samesite: SameSite = "lax"
    """Which requests of other sites carry the cookie; "none" needs ``secure=True``."""
    partitioned: bool = False
    """Whether the cookie is partitioned by the top-level site (CHIPS); needs ``secure=True``."""
    max_age: Seconds | None = None
    """Max-Age in seconds. None: the cookie lasts until the browser is closed. A session of
    ``login(remember=True)`` has the absolute timeout instead."""

    def __post_init__(self) -> None:
        self._check_name()
        if not isinstance(self.path, str) or not (
            self.path.startswith("/") and _ATTRIBUTE.fullmatch(self.path)
        ):
            raise ConfigError(
                f"cookie path must begin with '/' and have no ';' or control characters, "
                f'got {self.path!r}. Example: path="/"'
            )
        if self.domain is not None and not (
            isinstance(self.domain, str) and _DOMAIN.fullmatch(self.domain)
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

    def _check_name(self) -> None:
        name = self.name
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigError(
                f"cookie name must be 1 to 128 letters, digits or !#$%&'*+-.^_`|~, got {name!r}. "
                f'Example: name="sid"'
            )
        prefixed = _PREFIXED.match(name)
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
        """Return the name, with its prefix, that is set and read over this scheme."""
        prefix = self.prefix
        if prefix is None or not self.is_secure(https=https):
            return self.name
        if prefix == "auto":
            prefix = "host" if self._can_be_host else "secure"
        return _PREFIXES[prefix] + self.name

    def is_secure(self, *, https: bool) -> bool:
        """Return whether the cookie has Secure over this scheme."""
        return https if self.secure == "auto" else self.secure


def exact_cookie(fields: Mapping[str, Any]) -> CookieOptions:
    """Return the options of a cookie that keeps the exact name in ``fields``, if there is one.

    This is for a name from a framework's or another library's configuration: other code reads the
    cookie by that name. A name that begins with ``__Host-`` or ``__Secure-`` keeps this prefix.

    Raises:
        ConfigError: As of :class:`CookieOptions`.
    """
    name = fields.get("name")
    if name is None or "prefix" in fields:
        return CookieOptions(**fields)
    for prefix, text in _PREFIXES.items():
        if isinstance(name, str) and name.startswith(text):
            return CookieOptions(**{**fields, "name": name[len(text) :], "prefix": prefix})
    return CookieOptions(**fields, prefix=None)


def legacy_cookie(cookie: CookieOptions) -> CookieOptions:
    """Return the options of another library's cookie, which has no prefix but an explicit one."""
    return replace(cookie, prefix=None) if cookie.prefix == "auto" else cookie


def is_weak(secret: str) -> bool:
    return len(secret.encode("utf-8", "surrogatepass")) < 32 or len(set(secret)) < 8


def _secrets(given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        secrets: tuple[Any, ...] = (given,)
    else:
        secrets = tuple(given)
    example = "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
    if not secrets:
        raise ConfigError(f"secret=[]: give at least one secret, or None; {example}")
    for secret in secrets:
        if not isinstance(secret, str):
            raise ConfigError(f"secret: give str, not {type(secret).__name__}; {example}")
        if is_weak(secret):
            raise ConfigError(
                f"a secret of {len(secret)} characters, {len(set(secret))} different ones, "
                f"can be guessed: give at least 32 bytes of chance; {example}"
            )
    return secrets


def _readers(given: Any, cookie: CookieOptions) -> tuple[LegacyReader, ...]:
    """The readers of old sessions, each of which has a cookie of another name than ours."""
    readers = tuple(given) if isinstance(given, list | tuple) else (given,)
    for reader in readers:
        old = getattr(reader, "cookie", None)
        if not isinstance(old, CookieOptions) or not callable(getattr(reader, "read", None)):
            raise ConfigError(
                f"migrate_from={given!r}: give a reader of old sessions, or a list of them, for "
                f"example lembro.migrate.StarletteCookie(secret_key)"
            )
        old = legacy_cookie(old)
        if any(old.name_over(https=on) == cookie.name_over(https=on) for on in (True, False)):
            raise ConfigError(
                f"the cookies of migrate_from must have other names than lembro's, got "
                f"{old.name!r} for both. Give lembro's another name for as long as the legacy "
                f'cookie is accepted. Example: cookie=CookieOptions(name="web_sid")'
            )
    return readers


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How long sessions live, who may have how many, and their cookie.

    Raises ConfigError when built with what cannot work.
    """

    idle_timeout: Seconds = DAY
    """Seconds a session lives without being used."""
    absolute_timeout: Seconds | None = 30 * DAY
    """Seconds a session lives however much it is used, counted anew at a login. None: no limit."""
    cookie: CookieOptions = field(default_factory=CookieOptions)
    secret: str | Sequence[str] | None = field(default=None, repr=False)
    """Signs the cookie, so that a forged id never reaches the store; not needed for safety, since
    an id is 256 random bits. Of several, the first signs and all are accepted."""
    rotation_grace: Seconds = 30
    """How long the old ID keeps working for requests in flight, in seconds, after the session got
    a new one. 0: the old ID is stale at once."""
    max_sessions_per_user: int | None = 100
    """Sessions that one user may have at a time; None: any number."""
    at_max_sessions: AtMaxSessions = "oldest"
    """Which gives way: the user's "oldest" session, or the new one ("refuse")."""
    describe: Callable[[Visitor], str] | None = describe_visitor
    """Makes the description of the device that ``SessionInfo`` shows, from a
    :class:`~lembro.Visitor`, at a login. By default it comes from the User-Agent, such as "Firefox
    on Windows". None: no description."""
    store_address: bool = False
    """Whether ``SessionInfo`` gets the client's address, which is stored at a login. An address is
    personal data: in many countries you must say why you keep it."""
    migrate_from: LegacyReader | Sequence[LegacyReader] = field(default=(), repr=False)
    """What was there before: readers from :mod:`lembro.migrate`, whose cookies are accepted once
    in place of lembro's own."""

    def __post_init__(self) -> None:
        idle = seconds("idle_timeout", self.idle_timeout)
        if self.absolute_timeout is not None:
            absolute = seconds("absolute_timeout", self.absolute_timeout)
            if absolute < idle:
                raise ConfigError(
                    f"absolute_timeout={self.absolute_timeout!r} is shorter than "
                    f"idle_timeout={self.idle_timeout!r}: a session could never be idle for so "
                    f"long; lower idle_timeout, or raise absolute_timeout"
                )
        seconds("rotation_grace", self.rotation_grace, zero=True)
        if not isinstance(self.cookie, CookieOptions):
            raise ConfigError(f'cookie={self.cookie!r}: write cookie=CookieOptions(name="sid")')
        object.__setattr__(self, "secret", _secrets(self.secret))
        limit = self.max_sessions_per_user
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise ConfigError(f"max_sessions_per_user={limit!r}: write a whole number, or None")
        if limit is not None and not 1 <= limit <= 1_000_000:
            raise ConfigError(f"max_sessions_per_user={limit!r}: write 1 to 1,000,000, or None")
        if self.at_max_sessions not in get_args(AtMaxSessions):
            raise ConfigError(f'at_max_sessions={self.at_max_sessions!r}: "oldest" or "refuse"')
        if self.describe is not None and (
            not callable(self.describe) or inspect.iscoroutinefunction(self.describe)
        ):
            raise ConfigError(
                f"describe must be a plain function of a Visitor, or None, got {self.describe!r}. "
                f"Example: describe=lambda visitor: visitor.user_agent[:60]"
            )
        if not isinstance(self.store_address, bool):
            raise ConfigError(
                f"store_address must be True or False, got {self.store_address!r}. "
                f"Example: store_address=True"
            )
        object.__setattr__(self, "migrate_from", _readers(self.migrate_from, self.cookie))

    @classmethod
    def aal2(cls, **changes: Any) -> SessionOptions:
        """NIST SP 800-63B-4, AAL2: 1 hour idle, 24 hours in all."""
        return from_keywords({"idle_timeout": 60 * 60, "absolute_timeout": DAY, **changes})

    @classmethod
    def aal3(cls, **changes: Any) -> SessionOptions:
        """NIST SP 800-63B-4, AAL3: 15 minutes idle, 12 hours in all."""
        return from_keywords({"idle_timeout": 15 * 60, "absolute_timeout": DAY / 2, **changes})


class OptionKeywords(TypedDict, total=False):
    """The fields of :class:`SessionOptions`, as keywords of whatever takes them."""

    idle_timeout: Seconds
    absolute_timeout: Seconds | None
    cookie: CookieOptions
    secret: str | Sequence[str] | None
    rotation_grace: Seconds
    max_sessions_per_user: int | None
    at_max_sessions: AtMaxSessions
    describe: Callable[[Visitor], str] | None
    store_address: bool
    migrate_from: LegacyReader | Sequence[LegacyReader]


STORE_NAMES: Final = ("max_size", "interval", "max_session_size", "reduce_to")
_ELSEWHERE: Final = {  # without underscores: what other libraries say, and what it is here
    "httpsonly": "secure",
    "sessioncookie": "name",
    "sid": "name",
    **dict.fromkeys(("ttl", "lifetime", "expires", "expire", "expiresin"), "idle_timeout"),
    **dict.fromkeys(("sessionttl", "sessionlifetime", "permanentsessionlifetime"), "idle_timeout"),
    **dict.fromkeys(("maxbytes", "bytes", "size", "maxmemory", "memory", "cap"), "max_size"),
    **dict.fromkeys(("checkperiod", "purgeinterval", "cleanupinterval"), "interval"),
}


def _meant(name: str, known: Sequence[str]) -> str:
    """What to write instead of a name that is not among those ``known``."""
    if name == "manager":
        return "; the keyword is sessions"
    ours = (*known, *STORE_NAMES, *(f.name for f in fields(CookieOptions)))
    plain = {each.replace("_", ""): each for each in ours}
    word = name.lower().replace("-", "").replace("_", "")
    bare = word.removeprefix("session")
    for part in (word, bare, bare.removeprefix("cookie")):
        meant = plain.get(part) or _ELSEWHERE.get(part)
        if meant is not None:
            break
    else:
        near = difflib.get_close_matches(name, ours, 1, 0.7)
        near = near or difflib.get_close_matches(name, known, 1, 0.5)
        if not near or near[0] in known:
            return f"; did you mean {near[0]}?" if near else ""
        meant = near[0]
    if meant in known:
        return f"; write {meant}=..."
    if meant in STORE_NAMES:
        return f", which belongs to the store: MemoryStore({meant}=...)"
    lives = "; how long a session lives is idle_timeout=..." if meant == "max_age" else ""
    return f"; write cookie=CookieOptions({meant}=...){lives}"


def option_names() -> list[str]:
    return [f.name for f in fields(SessionOptions)]


def check_names(keywords: Iterable[str], known: Sequence[str]) -> None:
    """Raise ConfigError for one that is not known; it names the nearest."""
    for name in keywords:
        if name not in known:
            raise ConfigError(
                f"no option {name!r}{_meant(name, known)} (there are {', '.join(known)})"
            )


def from_keywords(
    keywords: Mapping[str, Any], base: SessionOptions | None = None
) -> SessionOptions:
    """Options from keywords; an unknown one is a ConfigError that names the nearest."""
    known = option_names()
    check_names(keywords, known)
    values = {name: getattr(base, name) for name in known} if base else {}
    if base and not values["secret"]:
        values["secret"] = None
    return SessionOptions(**{**values, **keywords})


def take_cookie_keywords(options: OptionKeywords, cookie: Mapping[str, Any]) -> None:
    """Put fields of the cookie, which other libraries have beside all else, into ``options``;
    ``max_age`` is the idle timeout too, as it is there. Raises ConfigError."""
    if not cookie:
        return
    if "cookie" in options:
        raise ConfigError(f"{', '.join(cookie)}: give these in cookie=CookieOptions(...)")
    options["cookie"] = exact_cookie(cookie)
    max_age = cookie.get("max_age")
    if max_age is not None:
        options.setdefault("idle_timeout", max_age)
        options.setdefault("absolute_timeout", max(seconds("max_age", max_age), 30 * DAY))
