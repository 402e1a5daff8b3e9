"""A Django application before lembro, its cookie, and the same application with lembro.

test_migrate.py runs it as ``python in_django_before.py ENGINE FOLDER``, because a process can
configure Django only once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from lembro import MemoryStore, Session, SessionManager
from lembro.integrations._adapter import Exchange, preload, runner_of
from lembro.migrate import DjangoSessionReader
from tests.support.messages import parse_set_cookie

ENGINE, FOLDER = sys.argv[1:]
NAME = f"django.contrib.sessions.backends.{ENGINE}"


def page(request: Any) -> HttpResponse:
    from django.contrib.auth import login  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415

    login(request, User.objects.get())
    request.session["cart"] = [1]
    return HttpResponse(b"ok")


urlpatterns = [path("", page)]


class BrowserExchange(Exchange):
    """A request that has only cookies."""

    __slots__ = ("_cookies",)

    def __init__(self, manager: SessionManager, cookies: str) -> None:
        self.runner = runner_of(manager)
        self._cookies = cookies
        self.session: Session = Session(self)

    def cookie_headers(self) -> list[bytes]:
        return [self._cookies.encode()]

    def https(self) -> bool:
        return False


class Browser:
    """Visit an application in which lembro has replaced Django's sessions."""

    def __init__(self, manager: SessionManager, jar: dict[str, str], *, sync: bool) -> None:
        self.manager = manager
        self.jar = jar
        self.sync = sync

    def visit(self, act: Callable[[Session], Any]) -> Any:
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        exchange = BrowserExchange(self.manager, cookies)
        if not self.sync:
            asyncio.run(preload(exchange))
        result = act(exchange.session)
        assert exchange.commit(200) is None
        for line in exchange.set_cookies():
            name, value, _ = parse_set_cookie(line.decode())
            self.jar[name] = value
            if not value:
                del self.jar[name]
        return result


def switch(cookie: str, user: str, *, sync: bool) -> None:
    manager = SessionManager(MemoryStore("1M"), migrate_from=DjangoSessionReader(NAME))
    browser = Browser(manager, {"sessionid": cookie}, sync=sync)
    assert browser.visit(lambda session: session.user_id) == user
    data = browser.visit(dict)
    assert (data["_auth_user_id"], data["cart"]) == (user, [1])
    assert browser.jar.keys() == {"sid"}
    browser.visit(lambda session: session.logout())
    for dead in (cookie, cookie[:-1], cookie[:-1] + "~", "a" * 32, "../" + cookie):
        browser = Browser(manager, {"sessionid": dead}, sync=sync)
        assert browser.visit(lambda session: session.user_id) is None, dead


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
    for sync in (True, False):
        client = Client()
        client.get("/")
        switch(client.cookies["sessionid"].value, str(user.pk), sync=sync)


if __name__ == "__main__":
    main()
