"""A Django application with django-allauth's usersessions: sign up, change the password, log out.

test_django_allauth.py runs it as ``python in_allauth.py DATABASE``, because a process can configure
Django only once. DATABASE is ``DATABASES["default"]`` as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    ACCOUNT_EMAIL_VERIFICATION="mandatory",
    ACCOUNT_LOGIN_METHODS={"email"},
    ACCOUNT_SIGNUP_FIELDS=["email*", "password1*"],
    ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED=True,
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    AUTH_PASSWORD_VALIDATORS=[],
    DATABASES={"default": json.loads(sys.argv[1])},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.humanize",
        "django.contrib.messages",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.usersessions",
    ],
    LEMBRO={"MAX_SIZE": "1M"},
    LOGIN_REDIRECT_URL="/accounts/email/",
    MIDDLEWARE=[
        "lembro.integrations.django.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
        "allauth.usersessions.middleware.UserSessionsMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only-for-tests" * 4,
    SESSION_ENGINE="lembro.integrations.django",
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
    USERSESSIONS_TRACK_ACTIVITY=True,
    USE_TZ=True,
)
django.setup()

urlpatterns = [path("accounts/", include("allauth.urls"))]


def main() -> None:
    import re  # noqa: PLC0415

    from allauth.usersessions.models import UserSession  # noqa: PLC0415
    from django.core import mail  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415
    from django.test.utils import setup_test_environment  # noqa: PLC0415

    from lembro.integrations.django import get_manager  # noqa: PLC0415

    setup_test_environment()
    call_command("migrate", verbosity=0)
    client: Any = Client()
    signup = {"email": "ada@example.com", "password1": "correct horse"}
    assert client.post("/accounts/signup/", signup).status_code == 302
    code = re.search(r"^[A-Z0-9-]{6,9}$", mail.outbox[-1].body, re.MULTILINE)
    assert code is not None, mail.outbox[-1].body
    client.post("/accounts/confirm-email/", {"code": code[0]})
    login = {"login": "ada@example.com", "password": "correct horse"}
    other: Any = Client()
    for each in (client, other):
        if not each.session.get("_auth_user_id"):
            assert each.post("/accounts/login/", login).status_code == 302
    assert sorted(UserSession.objects.values_list("session_key", flat=True)) == sorted(
        [client.session.session_key, other.session.session_key]
    )
    change = {"oldpassword": "correct horse", "password1": "battery s", "password2": "battery s"}
    assert client.post("/accounts/password/change/", change).status_code == 302
    assert client.get("/accounts/sessions/").status_code == 200, "the session has a new key"
    rows = UserSession.objects.purge_and_list(UserSession.objects.first().user)
    assert [row.session_key for row in rows] == [client.session.session_key]
    assert client.post("/accounts/logout/").status_code == 302
    assert get_manager().user_sessions(rows[0].user_id) == []


main()
