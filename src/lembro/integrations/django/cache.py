"""A Django cache that can share the store of the sessions."""

from __future__ import annotations

from typing import Any

from ...caches import django as caches
from .config import get_manager


class LembroCache(caches.LembroCache):
    """``CACHES = {"default": {"BACKEND": "lembro.integrations.django.LembroCache"}}``.

    Without OPTIONS the cache shares the store of the sessions. With ``"OPTIONS": {"max_size":
    "64M"}`` it has a store of its own, as :class:`lembro.caches.django.LembroCache` has.
    """

    def _default_store(self) -> Any:
        return get_manager().store
