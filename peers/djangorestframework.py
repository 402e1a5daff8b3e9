"""Django REST framework, whose tests log in by sessions."""

from __future__ import annotations

from peers import django
from peers.peer import Peer


def install() -> None:
    from django.conf import settings

    django.install()
    settings.SESSION_ENGINE = "lembro.integrations.django"


PEER = Peer(
    project="djangorestframework",
    how="`SESSION_ENGINE` and the middleware are lembro's, in all tests",
    tests=("tests",),
    options=("-p", "pytest_django.plugin"),
    install=install,
)
