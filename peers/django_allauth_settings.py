"""The settings of django-allauth's own tests, with lembro's sessions.

The tests import Django's middleware before pytest is configured, so it is replaced here.
"""

from __future__ import annotations

from tests.projects.regular.settings import *  # type: ignore[import-not-found] # noqa: F403

from peers.outcomes import peer_here

if peer_here() is not None:
    from peers import django

    SESSION_ENGINE = "lembro.integrations.django"
    LEMBRO = {"MAX_SIZE": "16M"}
    django.install()
