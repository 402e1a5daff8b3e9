"""The libraries for Python, each as an application that is called in this process."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

from peers.scorecard.trials import LIFETIME, PREFIXED, Answer, Send

KEY: Final = "value"
SECONDS: Final = int(LIFETIME)


def over_wsgi(app: Callable[..., Any]) -> Send:
    def send(path: str, cookie: str) -> Answer:
        headers: list[tuple[str, str]] = []

        def start_response(status: str, given: list[tuple[str, str]], *_: Any) -> Any:
            assert status.startswith("200"), f"{path}: {status}"
            headers.extend(given)

        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "example.org",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "example.org",
            "HTTP_COOKIE": cookie,
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "https",
        }
        body = b"".join(app(environ, start_response)).decode()
        return Answer(body, [value for name, value in headers if name.lower() == "set-cookie"])

    return send


class FlaskSession:
    rolling = True

    def default(self) -> Send:
        return self._made()

    def hardened(self) -> Send:
        return self._made(
            SESSION_COOKIE_NAME=PREFIXED,
            SESSION_COOKIE_SECURE=True,
            SESSION_COOKIE_SAMESITE="Lax",
        )

    def short(self) -> Send:
        return self._made(PERMANENT_SESSION_LIFETIME=SECONDS)

    def limited(self) -> None:
        return None

    def _made(self, **config: Any) -> Send:
        import flask
        from cachelib import SimpleCache
        from flask_session import Session

        app = flask.Flask("scorecard")
        app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache(), **config)
        Session(app)

        def write() -> str:
            flask.session[KEY] = "written"
            return "written"

        def read() -> str:
            return str(flask.session.get(KEY, ""))

        def rotate() -> str:
            interface: Any = app.session_interface
            interface.regenerate(flask.session)
            return ""

        def end() -> str:
            flask.session.clear()
            return ""

        for view in (write, read, rotate, end):
            app.add_url_rule(f"/{view.__name__}", view.__name__, view)
        return over_wsgi(app)


class Starsessions:
    rolling = False

    def default(self) -> Send:
        return self._made()

    def hardened(self) -> Send:
        return self._made(cookie_name=PREFIXED)

    def short(self) -> Send:
        return self._made(lifetime=SECONDS, rolling=True)

    def limited(self) -> Send:
        return self._made(lifetime=SECONDS)

    def _made(self, **options: Any) -> Send:
        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route
        from starlette.testclient import TestClient
        from starsessions import InMemoryStore, SessionMiddleware, load_session
        from starsessions.session import regenerate_session_id

        async def page(request: Request) -> PlainTextResponse:
            await load_session(request)
            path = request.url.path
            if path == "/write":
                request.session[KEY] = "written"
            elif path == "/rotate":
                regenerate_session_id(request)
            elif path == "/end":
                request.session.clear()
            return PlainTextResponse(str(request.session.get(KEY, "")))

        app = SessionMiddleware(
            Starlette(routes=[Route("/{path}", page)]), store=InMemoryStore(), **options
        )

        def send(path: str, cookie: str) -> Answer:
            client = TestClient(app, base_url="https://example.org")  # no cookies at first
            answer = client.get(path, headers={"Cookie": cookie} if cookie else {})
            assert answer.status_code == 200
            return Answer(answer.text, answer.headers.get_list("set-cookie"))

        return send


class Django:
    """Its settings are those of the process, so it is tried once in a process."""

    rolling = False

    def default(self) -> Send:
        return self._made()

    def hardened(self) -> Send:
        return self._made(SESSION_COOKIE_NAME=PREFIXED, SESSION_COOKIE_SECURE=True)

    def short(self) -> Send:
        return self._made(SESSION_COOKIE_AGE=SECONDS, SESSION_SAVE_EVERY_REQUEST=True)

    def limited(self) -> None:
        return None

    def _made(self, **options: Any) -> Send:
        _set_up_django()
        from django.core.wsgi import get_wsgi_application
        from django.test.utils import override_settings

        with override_settings(**options):
            inner = over_wsgi(get_wsgi_application())

        def send(path: str, cookie: str) -> Answer:
            with override_settings(**options):
                return inner(path, cookie)

        return send


class DjangoUsers:
    """More trials, of Django's user model and its login."""

    def tried(self) -> dict[str, str]:
        """Return the outcome of each requirement."""
        return {
            "7.2.4": self._renewed(),
            "7.4.2": "default" if self._ends_by({"is_active": False}) else "own code",
            "7.4.3": "default" if self._ends_by({"password": "!another"}) else "own code",
        }

    def _renewed(self) -> str:
        """Return what the second login of the same user does."""
        send = Django().default()
        before = send("/write", "").cookie
        first = send("/rotate", before).cookie
        if first in ("", before) or send("/read", before).body:
            return "own code"
        second = send("/rotate", first).cookie
        keeps = second in ("", first) and send("/user", first).body == "heidi"
        return "call, `login()`; a renewed login keeps its token" if keeps else "call, `login()`"

    def _ends_by(self, change: dict[str, Any]) -> bool:
        """Return whether the login of a user ends when the account changes."""
        send = Django().default()
        from django.contrib.auth.models import User

        cookie = send("/rotate", "").cookie
        before = send("/user", cookie).body
        User.objects.update(**change)
        after = send("/user", cookie).body
        User.objects.update(is_active=True, password="!")
        return before == "heidi" and not after


def _set_up_django() -> None:
    import sys
    from types import ModuleType

    import django
    from django.conf import settings

    if settings.configured:
        return
    name = "peers.scorecard.django_urls"
    urls: Any = ModuleType(name)
    urls.urlpatterns = []
    sys.modules[name] = urls
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        ROOT_URLCONF=name,
        SECRET_KEY="k" * 50,
        USE_TZ=True,
    )
    django.setup()
    from django.contrib.auth import login, logout
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.http import HttpResponse
    from django.urls import path

    call_command("migrate", verbosity=0)
    User.objects.create_user("heidi")

    def page(request: Any, action: str) -> Any:
        if action == "write":
            request.session[KEY] = "written"
        elif action == "rotate":
            login(request, User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
        elif action == "end":
            logout(request)
        elif action == "user":
            return HttpResponse(request.user.get_username())
        return HttpResponse(str(request.session.get(KEY, "")).encode())

    urls.urlpatterns.append(path("<action>", page))
