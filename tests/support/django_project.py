"""A Django project without files. Import it before any module that needs the settings."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import django
from django.conf import settings

FOLDER: Final = Path(tempfile.mkdtemp(prefix="lembro-django-"))

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "lembro.integrations.django",
        ],
        MIDDLEWARE=[
            "lembro.integrations.django.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # fast
        ROOT_URLCONF="tests.support.django_urls",
        SECRET_KEY="only-for-tests" * 4,
        SESSION_ENGINE="lembro.integrations.django",
        LEMBRO={"MAX_SIZE": "1M"},
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        USE_TZ=True,
    )
    django.setup()
