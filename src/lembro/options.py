"""The options of sessions, which are checked when they are created. Durations are seconds or a
timedelta."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, TypedDict, Unpack, get_args

from ._cookie_options import CookieOptions, Prefix, SameSite, exact_cookie, legacy_cookie
from ._device import Visitor, describe_visitor
from ._durations import DAY, Seconds, seconds
from ._hints import explain_keywords
from ._paths import path_prefixes
from ._threads import is_coroutine_function
from .errors import ConfigError

__all__ = [
    "DAY",
    "AtMaxSessions",
    "CookieOptions",
    "LegacyReader",
    "OptionKeywords",
    "Prefix",
    "SameSite",
    "Seconds",
    "SessionOptions",
    "exact_cookie",
    "from_keywords",
    "is_weak",
    "legacy_cookie",
    "option_names",
    "seconds",
    "take_cookie_keywords",
]

AtMaxSessions = Literal["oldest", "refuse"]
Load = Literal["ahead", "asked"]


class LegacyReader(Protocol):
    """Reads the legacy sessions of one cookie.

    ``lembro.migrate`` has readers for other libraries, and the base class ``Reader`` for your own.
    """

    @property
    def cookie(self) -> CookieOptions:
        """The legacy cookie: its name, and the path and domain by which it is cleared."""
        ...

    @property
    def lifetime(self) -> Seconds:
        """How long a legacy cookie may still be valid. lembro remembers its use for this time."""
        ...

    @property
    def blocking(self) -> bool:
        """Whether ``read`` waits for I/O. If it does, async code calls it in a thread."""
        ...

    def read(self, value: str) -> Any:
        """Read the session that belongs to a cookie value. May be ``async def``.

        Returns:
            The session, or None if there is no such session.

        Raises:
            ValueError: the cookie is not accepted. Raise :class:`~lembro.migrate.Refused` to give
                the reason.
            StoreError: the store of the legacy sessions failed. The response is a 503, and the
                cookie stays. Errors that bad data cannot cause, such as OSError, have the same
                effect.
        """
        ...


def is_weak(secret: str) -> bool:
    """Return whether a secret has fewer than 32 bytes, or fewer than 8 different characters."""
    return len(secret.encode("utf-8", "surrogatepass")) < 32 or len(set(secret)) < 8


def _secrets(given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        secrets: tuple[Any, ...] = (given,)
    else:
        secrets = tuple(given)
    example = "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
    if not secrets:
        raise ConfigError(f"secret must be None or at least one str, got {given!r}. {example}")
    for secret in secrets:
        if not isinstance(secret, str):
            raise ConfigError(
                f"secret must be a str or a list of str, got {type(secret).__name__}. {example}"
            )
        if is_weak(secret):
            raise ConfigError(
                f"secret must have at least 32 bytes and 8 different characters, got "
                f"{len(secret.encode('utf-8', 'surrogatepass'))} bytes and {len(set(secret))} "
                f"different characters, which can be guessed. {example}"
            )
    return secrets


def _readers(given: Any, cookie: CookieOptions) -> tuple[LegacyReader, ...]:
    """Return the readers of legacy sessions. Raises ConfigError if one reads lembro's cookie."""
    readers = tuple(given) if isinstance(given, list | tuple) else (given,)
    for reader in readers:
        old = getattr(reader, "cookie", None)
        if not isinstance(old, CookieOptions) or not callable(getattr(reader, "read", None)):
            raise ConfigError(
                f"migrate_from must be a reader of legacy sessions or a list of them, got "
                f"{given!r}. Example: migrate_from=StarletteCookieReader(secret_key)"
            )
        old = legacy_cookie(old)
        if any(old.name_over(https=on) == cookie.name_over(https=on) for on in (True, False)):
            raise ConfigError(
                f"the cookies of migrate_from must have other names than lembro's, got "
                f"{old.name!r} for both. Give lembro's another name for as long as the legacy "
                f'cookie is accepted. Example: cookie=CookieOptions(name="web_sid")'
            )
    return readers


@explain_keywords
@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """The options of sessions: how long they live, how many a user may have, and their cookie.

    Raises:
        ConfigError: An option cannot work. The error says what to write instead.
    """

    idle_timeout: Seconds = DAY
    """The idle timeout: seconds that a session lives after its last use."""
    absolute_timeout: Seconds | None = 30 * DAY
    """The absolute timeout: seconds that a session lives at most, even if it is used. A login
    restarts it. None: no limit."""
    remember_timeout: Seconds | None = 30 * DAY
    """The idle and the absolute timeout after ``login(remember=True)``, in place of the two above;
    at least ``idle_timeout``. None: such a login has the same timeouts as any other, and only its
    cookie stays after the browser is closed."""
    anonymous_idle_timeout: Seconds | None = None
    """The idle timeout of visitors who are not logged in. None: that of users."""
    passive: str | Sequence[str] = ()
    """Path prefixes of requests that are not activity, for example ``["/poll"]``. They do not
    extend the session, as after ``session.skip_touch()``."""
    cookie: CookieOptions = field(default_factory=CookieOptions)
    """The name and the attributes of the cookie."""
    secret: str | Sequence[str] | None = field(default=None, repr=False)
    """The secret that signs the cookie, so that a forged ID never reaches the store. Safety does
    not depend on it, because nobody can guess an ID. Of several secrets, the first signs, and
    all are accepted."""
    rotation_grace: Seconds = 30
    """The grace: seconds that the old ID keeps working for requests in flight, after the session
    got a new one. 0: the old ID is stale at once."""
    max_sessions_per_user: int | None = 100
    """The maximum number of sessions of a user at a time. None: no limit."""
    at_max_sessions: AtMaxSessions = "oldest"
    """The effect of a login beyond that limit. "oldest": the user's oldest session ends. "refuse":
    the commit of the login raises TooManySessions."""
    describe: Callable[[Visitor], str] | None = describe_visitor
    """The function that describes the device of a login for ``SessionInfo``, from a
    :class:`~lembro.Visitor`. The default reads the User-Agent, for example "Firefox on Windows".
    None: no description."""
    store_address: bool = False
    """Whether a login stores the client's address for ``SessionInfo``. An address is personal data:
    in many countries you must state why you keep it."""
    load: Load = "ahead"
    """When an async application loads the session, if the store is outside of the process. "ahead":
    before the handler is called, even if it does not use the session. "asked": at
    ``await session.aload()``, which FastAPI's and Litestar's dependencies do by themselves."""
    migrate_from: LegacyReader | Sequence[LegacyReader] = field(default=(), repr=False)
    """Readers of legacy sessions, from :mod:`lembro.migrate`. Each legacy cookie is accepted once,
    and the session continues under lembro's cookie."""

    def __post_init__(self) -> None:
        idle = seconds("idle_timeout", self.idle_timeout)
        if self.absolute_timeout is not None:
            absolute = seconds("absolute_timeout", self.absolute_timeout)
            if absolute < idle:
                raise ConfigError(
                    f"absolute_timeout must be at least idle_timeout ({self.idle_timeout!r}), got "
                    f"{self.absolute_timeout!r}. Lower idle_timeout, or raise absolute_timeout"
                )
        for name in ("remember_timeout", "anonymous_idle_timeout"):
            if getattr(self, name) is not None:
                seconds(name, getattr(self, name))
        object.__setattr__(self, "passive", path_prefixes(self.passive, "passive", "/poll"))
        seconds("rotation_grace", self.rotation_grace, zero=True, usual=60 * 60)
        if not isinstance(self.cookie, CookieOptions):
            raise ConfigError(
                f"cookie must be CookieOptions, got {self.cookie!r}. {_cookie_example(self.cookie)}"
            )
        object.__setattr__(self, "secret", _secrets(self.secret))
        limit = self.max_sessions_per_user
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 1_000_000
        ):
            raise ConfigError(
                f"max_sessions_per_user must be a whole number from 1 to 1,000,000, or None, got "
                f"{limit!r}. Example: max_sessions_per_user=5"
            )
        if self.at_max_sessions not in get_args(AtMaxSessions):
            raise ConfigError(
                f'at_max_sessions must be "oldest" or "refuse", got {self.at_max_sessions!r}. '
                f'Example: at_max_sessions="oldest"'
            )
        if self.describe is not None and (
            not callable(self.describe) or is_coroutine_function(self.describe)
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
        if self.load not in get_args(Load):
            raise ConfigError(
                f'load must be "ahead" or "asked", got {self.load!r}. Example: load="asked"'
            )
        object.__setattr__(self, "migrate_from", _readers(self.migrate_from, self.cookie))

    @classmethod
    def aal2(cls, **changes: Unpack[OptionKeywords]) -> SessionOptions:
        """Return the options for AAL2 of NIST SP 800-63B-4: 1 hour idle, 24 hours in total.

        They apply to remembered logins too.

        Args:
            changes: Fields of :class:`SessionOptions`; they replace these values.
        """
        return _preset(60 * 60, DAY, changes)

    @classmethod
    def aal3(cls, **changes: Unpack[OptionKeywords]) -> SessionOptions:
        """Return the options for AAL3 of NIST SP 800-63B-4: 15 minutes idle, 12 hours in total.

        They apply to remembered logins too.

        Args:
            changes: Fields of :class:`SessionOptions`; they replace these values.
        """
        return _preset(15 * 60, DAY / 2, changes)


class OptionKeywords(TypedDict, total=False):
    """The fields of :class:`SessionOptions`, as keywords."""

    idle_timeout: Seconds
    absolute_timeout: Seconds | None
    remember_timeout: Seconds | None
    anonymous_idle_timeout: Seconds | None
    passive: str | Sequence[str]
    cookie: CookieOptions
    secret: str | Sequence[str] | None
    rotation_grace: Seconds
    max_sessions_per_user: int | None
    at_max_sessions: AtMaxSessions
    describe: Callable[[Visitor], str] | None
    store_address: bool
    load: Load
    migrate_from: LegacyReader | Sequence[LegacyReader]


def _preset(idle: float, absolute: float, changes: OptionKeywords) -> SessionOptions:
    limits = {"idle_timeout": idle, "absolute_timeout": absolute, "remember_timeout": None}
    return from_keywords({**limits, **changes})


def _cookie_example(given: Any) -> str:
    """Return what to write instead of a cookie that is not CookieOptions, such as a dict."""
    if not isinstance(given, Mapping) or not given:
        return 'Example: cookie=CookieOptions(name="sid")'
    known = {f.name.replace("_", ""): f.name for f in fields(CookieOptions)}
    words = [str(name).lower().replace("_", "") for name in given]
    meant = ", ".join(f"{known[word]}=..." for word in words if word in known)
    unit = ". max_age is in seconds" if "maxage" in words else ""
    return f"Write cookie=CookieOptions({meant}){unit}"


def option_names() -> list[str]:
    """Return the names of the fields of :class:`SessionOptions`."""
    return [f.name for f in fields(SessionOptions)]


def from_keywords(
    keywords: Mapping[str, Any], base: SessionOptions | None = None
) -> SessionOptions:
    """Return options made from keywords.

    Args:
        keywords: Fields of :class:`SessionOptions`.
        base: Options with the values of all other fields, instead of the defaults.

    Raises:
        ConfigError: A keyword is unknown, or cannot work.
    """
    values = {name: getattr(base, name) for name in option_names()} if base else {}
    if base and not values["secret"]:
        values["secret"] = None
    return SessionOptions(**{**values, **keywords})


def take_cookie_keywords(options: OptionKeywords, cookie: Mapping[str, Any]) -> None:
    """Move the cookie's fields, which other libraries take as keywords, into ``options``.

    As in those libraries, ``max_age`` is also the idle timeout. The name gets no prefix.

    Raises:
        ConfigError: ``options`` has a cookie already, or a field cannot work.
    """
    if not cookie:
        return
    if "cookie" in options:
        given = ", ".join(f"{name}=..." for name in cookie)
        raise ConfigError(
            f"keywords of the cookie cannot be given together with cookie=, got "
            f"{', '.join(cookie)}. "
            f"Write cookie=CookieOptions({given})"
        )
    options["cookie"] = exact_cookie(cookie)
    max_age = cookie.get("max_age")
    if max_age is not None:
        options.setdefault("idle_timeout", max_age)
        options.setdefault("absolute_timeout", max(seconds("max_age", max_age), 30 * DAY))
