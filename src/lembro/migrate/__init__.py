"""Readers of other libraries' sessions, so that users stay logged in when you change to lembro.

Example: ``SessionManager(store, migrate_from=StarletteCookieReader(secret_key))``.

A legacy cookie is read when a session is accessed and the request has no lembro cookie. It is
accepted once. No reader unpickles anything.
"""

from __future__ import annotations

from ..errors import StoreError
from ..options import LegacyReader
from ._beaker import BeakerCookieReader, BeakerReader
from ._django import DjangoSessionReader
from ._express import ExpressSessionReader
from ._flask import FlaskCookieReader, FlaskSessionReader
from ._reader import Reader, StoreReader
from ._starlette import StarletteCookieReader, StarsessionsReader
from .source import LegacySession, Refused

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
