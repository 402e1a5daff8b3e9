"""A Django cache that can share the store of the sessions."""

from __future__ import annotations

from typing import Any

from ...caches import django as caches
from .config import get_manager


class LembroCache(caches.LembroCache):
    """A Django cache: ``{"BACKEND": "lembro.integrations.django.LembroCache"}`` in CACHES.

    Without OPTIONS the cache shares the store of the sessions. With ``"OPTIONS": {"max_size":
    "64M"}`` it has its own store, as :class:`lembro.caches.django.LembroCache` has.
    """

    def _default_store(self) -> Any:
        """Return the store of the sessions."""
        return get_manager().store
