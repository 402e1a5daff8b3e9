"""The device that a list of a user's sessions shows."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro import Visitor
from lembro._device import LONGEST, describe_device, describe_visitor

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K"
KIT = ") AppleWebKit/537.36 (KHTML, like Gecko)"

DEVICES = [
    (f"{WINDOWS}; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Windows"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
    (f"{IPHONE}) AppleWebKit/605.1.15 FxiOS/128.0 Mobile/15E148 Safari/605.1", "Firefox on iPhone"),
    (f"{IPHONE}{KIT} Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
    (f"{IPHONE}{KIT} CriOS/126.0.0.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
    ("Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) Version/12.1 Safari/604.1", "Safari on iPad"),
    (f"{MAC}{KIT} Version/17.5 Safari/605.1.15", "Safari on macOS"),
    (f"{MAC}{KIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0", "Edge on macOS"),
    (f"{ANDROID}{KIT} Chrome/126.0.0.0 Mobile Safari/537.36", "Chrome on Android"),
    (f"{ANDROID}{KIT} Chrome/126.0.0.0 Mobile Safari/537.36 EdgA/126.0", "Edge on Android"),
    (f"{ANDROID}{KIT} SamsungBrowser/25.0 Chrome/121.0 Safari/5", "Samsung Internet on Android"),
    (f"{WINDOWS}{KIT} Chrome/126.0.0.0 Safari/537.36 OPR/112.0.0.0", "Opera on Windows"),
    (f"{WINDOWS}{KIT} Chrome/126.0.0.0 Safari/537.36 Vivaldi/6.8", "Vivaldi on Windows"),
    (f"{WINDOWS}; Xbox; Xbox One{KIT} Chrome/1 Safari/537 Edge/44.1", "Edge on Xbox"),
    (f"{WINDOWS}; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer on Windows"),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) Chrome/126.0.0.0 Safari/5", "Chrome on ChromeOS"),
    (f"Mozilla/5.0 (X11; Linux x86_64{KIT} HeadlessChrome/126 Safari/", "Headless Chrome on Linux"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
    ("Mozilla/5.0 (X11; Linux x86_64) something/1", "Browser on Linux"),
    ("Mozilla/5.0", "Browser"),
    ("curl/8.5.0", "curl"),
    ("python-requests/2.32.3", "python-requests"),
    ("ShopApp/3.1 (iPhone; iOS 17.5; Scale/3.00)", "ShopApp on iPhone"),
    ("(Android 14)", "Android"),
    ("", ""),
    (" \t", ""),
    ("\u2028<script>", "Unknown device"),
    ("é", "Unknown device"),
    ("x" * 10_000, "x" * 40),
]


@pytest.mark.parametrize(("user_agent", "expected"), DEVICES)
def test_a_device_is_described_by_its_user_agent(user_agent: str, expected: str) -> None:
    assert describe_device(user_agent) == expected
    assert describe_visitor(Visitor(user_agent, None)) == expected


PIECES = ["Mozilla/5.0 ", "compatible; ", "Windows Phone", "Edg", "x" * 60, "\n", "<b>", "é", "("]


@given(st.text(max_size=700) | st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_a_description_is_short_and_printable(user_agent: str) -> None:
    described = describe_device(user_agent)
    assert len(described) <= LONGEST
    assert described == "" or (described.isascii() and described.isprintable())
    assert bool(described) == bool(user_agent[:512].strip())


@pytest.mark.parametrize("piece", ["compatible; ", "Mozilla", "W", "(", "a" * 39 + "; ", " "])
def test_a_hostile_user_agent_is_parsed_quickly(piece: str) -> None:
    hostile = piece * 1_000_000
    began = time.perf_counter()
    describe_device(hostile)
    assert time.perf_counter() - began < 0.1


def test_a_visitor_is_immutable() -> None:
    visitor = Visitor("curl/8.5.0", "203.0.113.7")
    with pytest.raises(dataclasses.FrozenInstanceError):
        visitor.address = None  # type: ignore[misc]
