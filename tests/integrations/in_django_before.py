"""A Django application before lembro, its cookie, and lembro afterwards: run by test_migrate.py as
``python in_django_before.py ENGINE FOLDER``, because a process has Django's settings once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from lembro.migrate import DjangoSession
from tests.support.apps import PlainASGI, PlainWSGI
from tests.support.stores import Backend
from tests.support.visits import World

ENGINE, FOLDER = sys.argv[1:]
NAME = f"django.contrib.sessions.backends.{ENGINE}"


def page(request: Any) -> HttpResponse:
    from django.contrib.auth import login  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415

    login(request, User.objects.get())
    request.session["cart"] = [1]
    return HttpResponse(b"ok")


urlpatterns = [path("", page)]


async def switch(app: Any, cookie: str, user: str) -> None:
    world = World(app, Backend, migrate_from=DjangoSession(NAME))
    tab = world.tab()
    tab.jar["sessionid"] = cookie
    assert await tab.user() == user, world.events
    data = await tab.read()
    assert (data["_auth_user_id"], data["cart"]) == (user, [1])
    assert tab.jar.keys() == {"lembro"}
    await tab.logout()
    replay = world.tab()
    replay.jar["sessionid"] = cookie
    assert await replay.user() is None
    for forged in (cookie[:-1], cookie[:-1] + "~", "a" * 32, "../" + cookie):
        tab = world.tab()
        tab.jar["sessionid"] = forged
        answer = await tab.visit(lambda visit: visit.session.user)
        assert (answer.status, answer.result) == (200, None), forged
    world.backend.close()


def main() -> None:
    settings.configure(
        SECRET_KEY="not a secret of anybody's",
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/db.sqlite3"}
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        SESSION_ENGINE=NAME,
        SESSION_FILE_PATH=FOLDER,
        USE_TZ=True,
    )
    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.core.management import call_command  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("ada")
    for app in (PlainWSGI, PlainASGI):
        client = Client()
        client.get("/")
        cookie = client.cookies["sessionid"].value
        if app is PlainASGI:
            asyncio.run(switch(app, cookie, str(user.pk)))
        else:  # no event loop around it, as under a WSGI server
            from tests.support.visits import drive  # noqa: PLC0415

            drive(switch(app, cookie, str(user.pk)))


if __name__ == "__main__":
    main()
