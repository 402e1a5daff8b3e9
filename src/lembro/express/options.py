"""The options of the cookie, with the defaults of express-session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from .._cookie_options import CookieOptions, SameSite
from .._durations import Seconds, seconds
from .._hints import explain_keywords
from ..errors import ConfigError

Priority = Literal["low", "medium", "high"]

NAME: Final = "connect.sid"


@explain_keywords
@dataclass(frozen=True, kw_only=True)
class ExpressCookie:
    """The cookie of express-session: its option ``cookie``, and its ``name``.

    The defaults are those of express-session. Set the values that the Express application has.

    Raises:
        ConfigError: an option cannot work.
    """

    name: str = NAME
    """The ``name`` of express-session."""
    path: str = "/"
    """The path for which the browser sends the cookie."""
    domain: str | None = None
    """The domain whose subdomains share the cookie. None: this host only."""
    httponly: bool = True
    """Whether the cookie is hidden from JavaScript."""
    secure: bool | Literal["auto"] = False
    """Whether the cookie has Secure. "auto": if the request came over https. True: always. Over
    plain http, express-session would send no cookie then, but lembro sends one."""
    samesite: SameSite | None = None
    """Which requests of other sites carry the cookie. None: no such attribute."""
    partitioned: bool = False
    """Whether the cookie is partitioned by the top-level site (CHIPS)."""
    priority: Priority | None = None
    """The attribute Priority. None: no such attribute."""
    max_age: Seconds | None = None
    """The ``maxAge`` of express-session, but in seconds. It is also the idle timeout. None: the
    cookie lasts until the browser is closed."""

    def __post_init__(self) -> None:
        if self.priority not in (None, *get_args(Priority)):
            raise ConfigError(
                f'cookie priority must be "low", "medium", "high" or None, got {self.priority!r}. '
                f'Example: priority="high"'
            )
        self.as_options()

    def as_options(self) -> CookieOptions:
        """Return these options as CookieOptions, which check them."""
        return CookieOptions(
            name=self.name,
            prefix=None,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            httponly=self.httponly,
            samesite="lax" if self.samesite is None else self.samesite,
            partitioned=self.partitioned,
            max_age=self.max_age,
        )

    def attributes(self, *, https: bool) -> dict[str, Any]:
        """Return the attributes by the names of express-session, for a session that begins."""
        secure = https if self.secure == "auto" else self.secure
        all_of_them = {
            "partitioned": self.partitioned or None,
            "priority": self.priority,
            "secure": secure or None,
            "httpOnly": self.httponly,
            "domain": self.domain,
            "path": self.path,
            "sameSite": self.samesite,
        }
        return {name: value for name, value in all_of_them.items() if value is not None}

    @property
    def seconds(self) -> float | None:
        """The Max-Age in seconds."""
        return None if self.max_age is None else seconds("max_age", self.max_age)
