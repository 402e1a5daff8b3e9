"""Readers of what other libraries have left in the browsers, so that nobody is logged out by the
change: ``SessionManager(store, migrate_from=StarletteCookieReader(secret_key))``.

A cookie of old is looked at where a session is looked at and there is no cookie of lembro's. It is
accepted once; the docs ("Coming from elsewhere") say what that means. Signatures are checked by the
library that made them, as it did, and nothing is ever unpickled.
"""

from __future__ import annotations

from ..errors import StoreError
from ._beaker import BeakerCookieReader, BeakerReader
from ._django import DjangoSessionReader
from ._express import ExpressSessionReader
from ._flask import FlaskCookieReader, FlaskSessionReader
from ._reader import Reader, StoreReader
from ._starlette import StarletteCookieReader, StarsessionsReader
from .source import LegacyReader, LegacySession, Refused

__all__ = [
    "BeakerCookieReader",
    "BeakerReader",
    "DjangoSessionReader",
    "ExpressSessionReader",
    "FlaskCookieReader",
    "FlaskSessionReader",
    "LegacyReader",
    "LegacySession",
    "Reader",
    "Refused",
    "StarletteCookieReader",
    "StarsessionsReader",
    "StoreError",
    "StoreReader",
]
