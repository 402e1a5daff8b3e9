"""The protection of the dashboard's forms against other sites.

Two checks, which need neither the application's session nor a secret that workers share:

* The headers that a browser adds must name the page's own origin (``is_same_origin``).
* The form holds a token that is made from a cookie (``token_for``, ``is_valid``). Another site can
  neither read nor set this cookie: it is HttpOnly, SameSite=Strict and, over https, ``__Host-``.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final

NAME: Final = "lembro-dashboard"

_is_secret = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII).fullmatch


def cookie_name(*, https: bool) -> str:
    """Return the name of the cookie."""
    return f"__Host-{NAME}" if https else NAME


def secret_of(cookies: str, *, https: bool) -> str | None:
    """Return the secret in a Cookie header, if there is exactly one."""
    name = cookie_name(https=https)
    pairs = (pair.strip().partition("=") for pair in cookies.split(";"))
    found = {value for key, _, value in pairs if key == name}
    return found.pop() if len(found) == 1 and all(map(_is_secret, found)) else None


def new_secret() -> str:
    """Return a new secret for the cookie."""
    return secrets.token_urlsafe(32)


def set_cookie(secret: str, *, https: bool) -> str:
    """Return the Set-Cookie header of a secret."""
    attributes = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if https else "")
    return f"{cookie_name(https=https)}={secret}{attributes}"


def token_for(secret: str) -> str:
    """Return a token for a form: another one each time, so that compression does not reveal it."""
    salt = secrets.token_hex(8)
    return salt + _digest(secret, salt)


def is_valid(token: str, secret: str | None) -> bool:
    """Return whether a token was made from this secret."""
    if secret is None or not token.isascii():
        return False
    return hmac.compare_digest(token[16:], _digest(secret, token[:16]))


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from a page of the same origin, or from no browser.

    Browsers send ``Sec-Fetch-Site``, or (over plain http to another machine) ``Origin``.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _digest(secret: str, salt: str) -> str:
    return hmac.new(secret.encode(), salt.encode(), "sha256").hexdigest()
