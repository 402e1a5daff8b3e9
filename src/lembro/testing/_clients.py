"""Log a test client in: create a session, and give its cookie to the client."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from email.message import Message
from http.cookiejar import CookieJar
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import urljoin, urlsplit
from urllib.request import Request

from ..errors import UsageError
from ..ids import UserID
from ..manager import SessionManager, runner_of


def log_in(
    client: Any,
    manager: SessionManager,
    user_id: UserID | None,
    /,
    *,
    https: bool | None = None,
    **data: Any,
) -> None:
    """Log a test client in, without a login form.

    The client gets the cookie of a new session, under the right name and signed if there is a
    ``secret``. It replaces the session cookie that the client has.

    If the application uses django.contrib.auth or Flask-Login, and the client is the framework's,
    the user is logged in there too.

    Args:
        client: A test client of Starlette, FastAPI, Litestar, Flask, Quart, Django or aiohttp, a
            client of httpx or WebTest, or a dict that gets the cookie's name and value.
        manager: The manager of the application's sessions.
        user_id: The user's ID. None: a session without a login.
        https: Whether the client's requests come over https. None: as its base URL says.
        data: The keys of the session.

    Raises:
        UsageError: the client is of another kind, or would not send the cookie; or there is
            neither a user nor data.
    """
    django_users = _django_users(client, manager, user_id)
    if django_users is not None:
        client.force_login(django_users.get(pk=user_id))
        session = client.session
        session.update(data)
        session.save()
        return
    put = _kind_of(client)
    session_id = manager.create({**_login_keys(client, user_id), **data}, user_id)
    put(client, _Cookie(manager, session_id, https))


async def alog_in(
    client: Any,
    manager: SessionManager,
    user_id: UserID | None,
    /,
    *,
    https: bool | None = None,
    **data: Any,
) -> None:
    """Log a test client in, in an event loop; see :func:`log_in`."""
    django_users = _django_users(client, manager, user_id)
    if django_users is not None:
        await client.aforce_login(await django_users.aget(pk=user_id))
        session = await client.asession()
        await session.aupdate(data)
        await session.asave()
        return
    put = _kind_of(client)
    session_id = await manager.acreate({**_login_keys(client, user_id), **data}, user_id)
    put(client, _Cookie(manager, session_id, https))


class _Cookie:
    """The cookie of a new session."""

    def __init__(self, manager: SessionManager, session_id: str, https: bool | None) -> None:
        self._cookie = runner_of(manager).cookie
        self._session_id = session_id
        self.https = https
        self.path = self._cookie.options.path
        self.domain = (self._cookie.options.domain or "").removeprefix(".")

    def is_secure(self, *, https: bool) -> bool:
        """Return whether the cookie has Secure over this scheme."""
        return self._cookie.options.is_secure(https=https)

    def header(self, *, https: bool) -> str:
        """Render the Set-Cookie header over this scheme."""
        header = self._cookie.render(self._session_id, None, https=https, max_age=None)
        return header.decode("ascii")

    def pair(self, *, https: bool) -> tuple[str, str]:
        """Return the name and the value over this scheme."""
        name, _, value = self.header(https=https).partition(";")[0].partition("=")
        return name, value


# -- the kinds of clients --------------------------------------------------------------------------


def _into_dict(client: Any, cookie: _Cookie) -> None:
    name, value = cookie.pair(https=bool(cookie.https))
    client[name] = value


def _into_django(client: Any, cookie: _Cookie) -> None:
    https = cookie.https
    if https is None:
        https = client.defaults.get("wsgi.url_scheme") == "https"
    name, value = cookie.pair(https=https)
    client.cookies[name] = value


def _into_aiohttp(client: Any, cookie: _Cookie) -> None:
    url = client.make_url(cookie.path)
    https = url.scheme == "https" if cookie.https is None else cookie.https
    name, value = cookie.pair(https=https)
    cookies = SimpleCookie({name: value})
    cookies[name]["path"] = cookie.path
    cookies[name]["domain"] = cookie.domain
    cookies[name]["secure"] = cookie.is_secure(https=https)
    jar = client.session.cookie_jar
    jar.clear(lambda morsel: morsel.key == name)
    jar.update_cookies(cookies, url)
    if name not in jar.filter_cookies(url):
        raise _not_sent(name, cookie, str(url))


def _into_werkzeug(client: Any, cookie: _Cookie) -> None:
    config = getattr(client.application, "config", {})
    https = cookie.https
    if https is None:
        https = config.get("PREFERRED_URL_SCHEME") == "https"
    name, value = cookie.pair(https=https)
    host = urlsplit(f"//{config.get('SERVER_NAME') or 'localhost'}").hostname
    client.set_cookie(
        name, value, domain=cookie.domain or host, origin_only=not cookie.domain, path=cookie.path
    )


def _into_quart(client: Any, cookie: _Cookie) -> None:
    host = client.app.config["SERVER_NAME"] or "localhost"
    header = cookie.header(https=bool(cookie.https))
    # This client sends each cookie of its jar over each scheme.
    _into_jar(client.cookie_jar, header, f"https://{host}", cookie)


def _into_webtest(client: Any, cookie: _Cookie) -> None:
    environ = client.extra_environ
    scheme = environ.get("wsgi.url_scheme", "http")
    url = _url(f"{scheme}://{environ.get('HTTP_HOST', 'localhost')}", cookie)
    _into_jar(client.cookiejar, cookie.header(https=url.startswith("https:")), url, cookie)


def _into_httpx(client: Any, cookie: _Cookie) -> None:
    base = str(client.base_url)
    if not base:
        raise UsageError(
            "the client needs a base URL, which decides the name of the cookie. Example: "
            'httpx.Client(base_url="http://test")'
        )
    url = _url(base, cookie)
    _into_jar(client.cookies.jar, cookie.header(https=url.startswith("https:")), url, cookie)


def _url(base: str, cookie: _Cookie) -> str:
    if cookie.https is None:
        return base
    return ("https:" if cookie.https else "http:") + base.partition(":")[2]


def _into_jar(jar: CookieJar, header: str, base: str, cookie: _Cookie) -> None:
    """Put a cookie into a jar as a response would, so that a later response replaces it."""
    name = header.partition("=")[0]
    url = urljoin(base, cookie.path)
    for old in [each for each in jar if each.name == name]:
        jar.clear(old.domain, old.path, name)
    answer: Any = _Answer(header)
    jar.extract_cookies(answer, Request(url))  # noqa: S310 - it is not opened
    request = Request(url)  # noqa: S310
    jar.add_cookie_header(request)
    if f"{name}=" not in (request.get_header("Cookie") or ""):
        raise _not_sent(name, cookie, url)


class _Answer:
    """A response with one Set-Cookie header, as http.cookiejar reads it."""

    def __init__(self, header: str) -> None:
        self._headers = Message()
        self._headers["Set-Cookie"] = header

    def info(self) -> Message:
        """Return the headers."""
        return self._headers


def _not_sent(name: str, cookie: _Cookie, url: str) -> UsageError:
    domain = f" for the domain {cookie.domain}" if cookie.domain else ""
    return UsageError(
        f"the client would not send the cookie {name}{domain} to {url}. Give the client a base URL "
        f"that fits CookieOptions(domain=..., secure=...), such as https://test for secure=True"
    )


_KINDS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any, _Cookie], None]], ...]] = (
    (lambda client: isinstance(client, MutableMapping), _into_dict),
    (lambda client: hasattr(client, "force_login"), _into_django),
    (lambda client: hasattr(client, "make_url"), _into_aiohttp),
    (lambda client: hasattr(client, "cookiejar"), _into_webtest),
    (lambda client: isinstance(getattr(client, "cookie_jar", None), CookieJar), _into_quart),
    (lambda client: hasattr(client, "application"), _into_werkzeug),
    (lambda client: hasattr(getattr(client, "cookies", None), "jar"), _into_httpx),
)
"""How to recognize each kind of client without its framework, and how to give it a cookie."""


def _kind_of(client: Any) -> Callable[[Any, _Cookie], None]:
    for is_of_kind, put in _KINDS:
        if is_of_kind(client):
            return put
    raise UsageError(
        f"log_in() needs a test client that keeps cookies, got {client!r}. For another client, "
        f"write cookies = {{}}, log_in(cookies, manager, user_id), and send these cookies"
    )


# -- the logins of frameworks ----------------------------------------------------------------------


def _django_users(client: Any, manager: SessionManager, user_id: UserID | None) -> Any:
    """Return the manager of Django's users if django.contrib.auth knows this user; else None."""
    if user_id is None or not hasattr(client, "force_login"):
        return None
    # A project may use lembro without Django.
    from django.apps import apps  # noqa: PLC0415

    from ..integrations.django import get_manager  # noqa: PLC0415

    if not apps.is_installed("django.contrib.auth"):
        return None
    if manager is not get_manager():
        raise UsageError(
            "Django's test client needs the manager of the settings. Write "
            "log_in(client, get_manager(), user.pk)"
        )
    from django.contrib.auth import get_user_model  # noqa: PLC0415

    return get_user_model()._default_manager


def _login_keys(client: Any, user_id: UserID | None) -> dict[str, Any]:
    """Return the keys of a login by Flask-Login, if the application uses it."""
    app = getattr(client, "application", None)
    flask_login = getattr(app, "login_manager", None)
    if app is None or flask_login is None or user_id is None:
        return {}
    # Flask-Login compares "_id" with the browser. With another value, the login is not fresh.
    with app.test_request_context(environ_base=client.environ_base):
        browser = flask_login._session_identifier_generator()
    return {"_user_id": str(user_id), "_fresh": True, "_id": browser}
