"""Readers of what other libraries have left in the browsers, so that nobody is logged out by the
change: ``SessionManager(store, migrate_from=StarletteCookie(secret_key))``.

A cookie of old is looked at where a session is looked at and there is no cookie of lembro's. It is
accepted once; the docs ("Coming from elsewhere") say what that means. Signatures are checked by the
library that made them, as it did, and nothing is ever unpickled.
"""

from __future__ import annotations

from ..errors import StoreError
from ._beaker import Beaker, BeakerCookie
from ._django import DjangoSession
from ._express import ExpressSession
from ._flask import FlaskCookie, FlaskSession
from ._reader import FromStore, Reader
from ._starlette import StarletteCookie, Starsessions
from .source import Old, OldSessions, Refused

__all__ = [
    "Beaker",
    "BeakerCookie",
    "DjangoSession",
    "ExpressSession",
    "FlaskCookie",
    "FlaskSession",
    "FromStore",
    "Old",
    "OldSessions",
    "Reader",
    "Refused",
    "StarletteCookie",
    "Starsessions",
    "StoreError",
]
