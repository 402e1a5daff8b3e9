"""Short descriptions of devices, for a list of a user's sessions.

The text comes from the User-Agent header (RFC 9110, 10.1.5), which a client can set to anything. A
description is for people to read. Never identify a visitor by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 60
"""The maximum length of a description, in characters."""

_READ: Final = 512  # characters of the header; browsers send about 120
_UNKNOWN: Final = "Unknown device"

# The first name that occurs decides, because most browsers also send the names of older ones.
_BROWSERS: Final = (
    ("Edg", "Edge"),  # Edg/, EdgA/, EdgiOS/, Edge/
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("OPT/", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chrome"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    ("Safari/", "Safari"),
)
_PLATFORMS: Final = (
    ("Xbox", "Xbox"),
    ("PlayStation", "PlayStation"),
    ("Windows Phone", "Windows Phone"),
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("iPod", "iPod"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
)
_ROBOT: Final = r"compatible; ([A-Za-z][A-Za-z0-9._-]{0,39})"
_PRODUCT: Final = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}"


@dataclass(frozen=True)
class Visitor:
    """The client of a login: the argument of the function that you give as ``describe=``.

    Attributes:
        user_agent: The User-Agent header; empty if there was none. A client can send any text.
        address: The client's address as the server reports it, or None if it is not known.
    """

    user_agent: str
    address: str | None


def describe_visitor(visitor: Visitor) -> str:
    """Describe the device of a visitor by its User-Agent. This is the default of ``describe=``."""
    return describe_device(visitor.user_agent)


def describe_device(user_agent: str) -> str:
    """Return a short description of a device, such as "Firefox on Windows".

    Args:
        user_agent: A User-Agent header. It is not trusted: only its first 512 characters are read,
            in linear time.

    Returns:
        At most 60 printable ASCII characters: the browser or program and its platform, if they are
        known. Empty if the header is.
    """
    text = user_agent[:_READ].strip()
    if not text:
        return ""
    platform = _first(text, _PLATFORMS)
    program = _first(text, _BROWSERS) or _product(text)
    if program and platform:
        return f"{program} on {platform}"
    return program or platform or _UNKNOWN


def _first(text: str, names: tuple[tuple[str, str], ...]) -> str:
    return next((name for sign, name in names if sign in text), "")


def _product(text: str) -> str:
    """Return the name of a program that is not a known browser; empty if the header has none."""
    robot = re.search(_ROBOT, text)
    if robot is not None:
        return robot[1]
    product = re.match(_PRODUCT, text)
    if product is None:
        return ""
    return "Browser" if product[0] == "Mozilla" else product[0]
