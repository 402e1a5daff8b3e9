"""The sessions of the store benches, and their IDs, all made from a number."""

from __future__ import annotations

import random
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from typing import Any, Final

from msgspec import json

encode: Final = json.Encoder().encode
decode: Final = json.Decoder().decode

_FIRST: Final = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Niklaus")
_LAST: Final = ("Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Allen", "Wirth")

SMALLEST: Final = 50  # bytes, of the lognormal payloads
LARGEST: Final = 60_000


def session(n: int, visits: int = 0) -> dict[str, Any]:
    """Return what a shop keeps of a logged-in user: about 300 bytes of JSON."""
    return {
        "user_id": 100_000 + n,
        "name": f"{_FIRST[n % 8]} {_LAST[n // 8 % 8]}",
        "csrf_token": key(-1 - n).hex()[:32],
        "roles": ["customer", "reviewer"],
        "cart": [
            {"sku": f"BK-{n % 9000 + 1000}", "quantity": 1, "price": 2490},
            {"sku": f"PN-{n % 7000 + 1000}", "quantity": 12, "price": 130},
            {"sku": f"LP-{n % 5000 + 1000}", "quantity": 1, "price": 8900},
        ],
        "logged_in_at": 1_790_000_000 + n,
        "visits": visits,
    }


def key(n: int) -> bytes:
    """Return a key of lembro's store: 32 bytes."""
    return sha256(b"%d" % n).digest()


def name(n: int) -> str:
    """Return an ID of the other stores: 43 characters."""
    return urlsafe_b64encode(key(n))[:43].decode()


# -- sizes that change -----------------------------------------------------------------------------

Sizes = Callable[[random.Random], int]


def uniform(size: int) -> Sizes:
    return lambda rng: rng.randint(size - size // 10, size + size // 10)


def lognormal(rng: random.Random) -> int:
    """Return a size: most are small, a few are very large, the median is 300 bytes."""
    return min(LARGEST, max(SMALLEST, int(300 * rng.lognormvariate(0, 1.2))))


GROWING: Final = "growing overwrites"
"""The phase in which sessions start small and are written ten times, slightly larger each time."""

PHASES: Final[tuple[tuple[str, Sizes], ...]] = (
    ("300 B", uniform(300)),
    ("lognormal", lognormal),
    ("1,500 B", uniform(1500)),
    ("120 B", uniform(120)),
    (GROWING, uniform(200)),
    ("lognormal again", lognormal),
)

_FILLING: Final = random.Random(1).randbytes(2 * LARGEST)
_starts = count()


def payload(size: int) -> bytes:
    """Return a new bytes object of a size, with changing content."""
    start = next(_starts) % LARGEST
    return _FILLING[start : start + size]
