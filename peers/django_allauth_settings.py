"""The settings of django-allauth's own tests, with lembro's sessions.

The tests import Django's middleware before pytest is configured, so it is replaced here.
"""

from __future__ import annotations

from importlib import import_module

from peers.outcomes import peer_here

# Those tests are no part of an installed package, so a type checker would not find them.
globals().update(vars(import_module("tests.projects.regular.settings")))

if peer_here() is not None:
    from peers import django

    SESSION_ENGINE = "lembro.integrations.django"
    LEMBRO = {"MAX_SIZE": "16M"}
    django.install()
