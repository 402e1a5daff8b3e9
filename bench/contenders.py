"""The stores that take part in the store benches."""

from __future__ import annotations

from typing import Final

from bench.contender import IDLE, BareDict, Contender, Lembro, LembroKnown
from bench.store_peers import (
    Beaker,
    Cachebox,
    Cachelib,
    Cachetools,
    DjangoLocmem,
    Litestar,
    Moka,
    Starsessions,
    Theine,
)

__all__ = ["IDLE", "BareDict", "Cachetools", "Contender", "Lembro"]

PEERS: Final[tuple[type[Contender], ...]] = (
    Cachetools,
    Cachebox,
    Theine,
    Moka,
    Cachelib,
    DjangoLocmem,
    Starsessions,
    Litestar,
    Beaker,
)

OURS: Final[tuple[type[Contender], ...]] = (Lembro,)
BARE: Final[tuple[type[Contender], ...]] = (BareDict,)
KNOWN: Final[tuple[type[Contender], ...]] = (LembroKnown,)

BY_TITLE: Final = {cls.title: cls for cls in (*BARE, *OURS, *KNOWN, *PEERS)}
