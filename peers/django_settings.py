"""The same settings, with lembro's sessions."""

from __future__ import annotations

from peers.django_plain import (
    DATABASES,
    PASSWORD_HASHERS,
    SECRET_KEY,
    TEST_RUNNER,
    USE_TZ,
)

__all__ = ["DATABASES", "PASSWORD_HASHERS", "SECRET_KEY", "TEST_RUNNER", "USE_TZ"]

SESSION_ENGINE = "lembro.integrations.django"
