"""The trials. All that they know of a library is how to send it a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

LIFETIME: Final = 2.0  # seconds
STEP: Final = 1.2  # within the lifetime; two of these exceed it
PLANTED: Final = "0" * 32
PREFIXED: Final = "__Host-id"


@dataclass
class Answer:
    """A response: its body, and its Set-Cookie headers."""

    body: str
    set_cookies: list[str] = field(default_factory=list)

    @property
    def cookie(self) -> str:
        """Return the pair that a browser sends back, or nothing."""
        return self.set_cookies[-1].partition(";")[0] if self.set_cookies else ""

    def has(self, attribute: str) -> bool:
        attributes = self.set_cookies[-1].lower().split(";")[1:]
        return any(one.strip().startswith(attribute.lower()) for one in attributes)


Send = Callable[[str, str], Answer]
"""Send a GET request for a path over https, with or without a Cookie header."""


class Library(Protocol):
    """An application of a library, with its defaults or with options."""

    rolling: bool
    """Whether use extends the lifetime by default, so that it needs no option."""

    def default(self) -> Send: ...

    def hardened(self) -> Send:
        """Return one with the options for a safe cookie, whose name is PREFIXED."""
        ...

    def short(self) -> Send:
        """Return one with a lifetime of two seconds, which use extends."""
        ...

    def limited(self) -> Send | None:
        """Return one with a lifetime of two seconds that use does not extend, if an option provides
        it.
        """
        ...


def tried(library: Library) -> dict[str, str]:
    """Return the outcome of each requirement."""
    send, hardened = library.default(), library.hardened()
    found = {
        "7.2.1": "default" if _checked_by_the_server(send) else "own code",
        "7.2.2": "default" if _made_for_each_session(send) else "own code",
        "7.2.4": _new_at_login(send),
        "7.4.1": "call" if _ended(send) else "own code",
    }
    ends_unused, _ = _lifetimes(library.short())
    found["7.3.1"] = ("default" if library.rolling else "option") if ends_unused else "own code"
    limited = library.limited()
    _, ends_used = (False, False) if limited is None else _lifetimes(limited)
    found["7.3.2"] = "option" if ends_used else "own code"
    plain, safe = send("/write", ""), hardened("/write", "")
    prefixed = safe.cookie.startswith(PREFIXED) and safe.has("secure") and safe.has("path=/")
    for number, attribute in (("3.3.1", "secure"), ("3.3.2", "samesite"), ("3.3.4", "httponly")):
        found[number] = _where(plain.has(attribute), safe.has(attribute))
    if found["3.3.1"] == "default" and prefixed:
        found["3.3.1"] = "Secure by default, the prefix an option"
    found["3.3.3"] = _where(plain.cookie.startswith("__Host-"), prefixed)
    found["3.3.5"] = _where(len(plain.cookie) <= 4096, False)
    return found


def _where(by_default: bool, by_option: bool) -> str:
    return "default" if by_default else "option" if by_option else "own code"


def _renamed(cookie: str, value: str) -> str:
    return f"{cookie.partition('=')[0]}={value}"


def _checked_by_the_server(send: Send) -> bool:
    """Check that a token finds its session, and that a changed token finds nothing."""
    cookie = send("/write", "").cookie
    value = cookie.partition("=")[2]
    changed = value[:8] + ("A" if value[8] != "A" else "B") + value[9:]
    return (
        send("/read", cookie).body == "written"
        and not send("/read", _renamed(cookie, changed)).body
    )


def _made_for_each_session(send: Send) -> bool:
    """Check that two visitors have two tokens."""
    return send("/write", "").cookie != send("/write", "").cookie


def _new_at_login(send: Send) -> str:
    """Check that a login has a new token with the data, and that the old token ends."""
    before = send("/write", "").cookie
    after = send("/rotate", before).cookie
    if not after or after == before or send("/read", after).body != "written":
        return "own code"
    return "call" if not send("/read", before).body else "call, for the new token"


def _ended(send: Send) -> bool:
    cookie = send("/write", "").cookie
    send("/end", cookie)
    return not send("/read", cookie).body


def _lifetimes(send: Send) -> tuple[bool, bool]:
    """Check whether a session ends without use, and whether it ends in spite of use."""
    used, unused = send("/write", "").cookie, send("/write", "").cookie
    alive = True  # all the time
    for _ in range(2):
        time.sleep(STEP)
        answer = send("/read", used)
        alive = alive and answer.body == "written"
        used = answer.cookie or used  # if the token contains the time
    return not send("/read", unused).body, not alive
