"""Django: the engine alone, under Django's own middleware."""

from __future__ import annotations

from dataclasses import replace

from peers import django
from peers.peer import Peer


def install() -> None:
    from django.contrib.sessions.backends import cache

    from lembro.integrations.django import SessionStore

    cache.SessionStore = SessionStore


PEER: Peer = replace(
    django.PEER,
    part="engine alone",
    how="`SESSION_ENGINE` alone, under Django's own middleware",
    install=install,
    differs={
        **django.OF_THE_STORE,
        f"{django.MIDDLEWARE}.test_empty_session_saved": (
            "the test reads the session from the database"
        ),
    },
)
