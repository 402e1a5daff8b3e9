"""django-allauth: accounts, social logins, MFA and the lists of a user's sessions."""

from __future__ import annotations

from peers.peer import Peer

PEER = Peer(
    project="django-allauth",
    how="`SESSION_ENGINE` and the middleware are lembro's, in all tests",
    tests=("tests",),
    options=(
        *("-p", "pytest_django.plugin", "-p", "pytest_asyncio.plugin"),
        "--ds=peers.django_allauth_settings",
    ),
)
