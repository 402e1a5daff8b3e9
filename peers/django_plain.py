"""Settings for Django's own tests, as in its ``tests/test_sqlite.py``."""

from __future__ import annotations

from typing import Any

DATABASES: dict[str, Any] = {
    "default": {"ENGINE": "django.db.backends.sqlite3"},
    "other": {"ENGINE": "django.db.backends.sqlite3"},
}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = False
TEST_RUNNER = "peers.django_child.Runner"
