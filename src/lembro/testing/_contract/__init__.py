"""The store contract: a test for every sentence of ``lembro.stores.base``."""

from __future__ import annotations

from .extras import Extras
from .limits import Limits
from .replace import Replace
from .verbs import Verbs

__all__ = ["StoreContract"]


class StoreContract(Verbs, Replace, Limits, Extras):
    """The test suite for stores. Subclass it in a test module, with ``make_store`` and ``advance``.

    The optional methods of the contract are tested if the store has them.
    """
