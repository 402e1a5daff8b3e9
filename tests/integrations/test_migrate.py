"""Each reader with a cookie of the library that it reads.

The application runs with that library, then with lembro: the user is still logged in. After a
logout the legacy cookie is stale.
"""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import flask
import flask_session.redis
import itsdangerous
import pytest
import redis
import starsessions
from beaker.middleware import SessionMiddleware as BeakerMiddleware
from beaker.session import Session as BeakerSession
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from lembro import ConfigError, CookieOptions, MemoryStore, SessionManager
from lembro.migrate import (
    BeakerCookieReader,
    BeakerReader,
    DjangoSessionReader,
    ExpressSessionReader,
    FlaskCookieReader,
    FlaskSessionReader,
    Reader,
    StarletteCookieReader,
    StarsessionsReader,
    StoreReader,
)
from tests.support import ROOT
from tests.support.apps import PlainASGI, PlainWSGI
from tests.support.messages import parse_set_cookie
from tests.support.stores import Backend
from tests.support.visits import Tab, World

pytestmark = pytest.mark.anyio

SECRET: Final = "what the application before signed with"
DAY: Final = 24 * 3600
DATA: Final[dict[str, Any]] = {"uid": "ada", "cart": [{"sku": "é", "n": 1}]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def switch(
    reader: Reader,
    cookie: str,
    data: dict[str, Any],
    *,
    app: Any = PlainASGI,
    remember: bool = False,
) -> None:
    """Check that the owner of this cookie stays logged in, and that the cookie works once."""
    world = World(app, Backend, migrate_from=reader)
    name = reader.cookie.name
    tab = _browser(world, name, cookie)
    answer = await tab.visit(lambda visit: (visit.session.user_id, dict(visit.session)))
    assert answer.error is None
    assert answer.result == ("ada", data), [event.reason for event in world.events]
    assert tab.jar.keys() == {"sid"}
    assert ("max-age" in parse_set_cookie(answer.set_cookies[0])[2]) == remember
    assert (await tab.user(), await tab.read()) == ("ada", data)
    await tab.logout()
    for written in {cookie, f'"{cookie}"', *_rewritten(cookie)}:
        assert await _browser(world, name, written).user() is None
    world.backend.close()


def _rewritten(cookie: str) -> set[str]:
    """Return the same signature, with other unused bits in its last letter."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if cookie[-1] not in letters:
        return set()
    at = letters.index(cookie[-1])
    return {cookie[:-1] + letters[at ^ bits] for bits in (1, 2, 3)}


def _browser(world: World, name: str, cookie: str) -> Tab:
    tab = world.tab()
    tab.jar[name] = cookie
    return tab


async def refused(reader: Reader, cookie: str) -> str:
    """Return the reason why this cookie is not accepted."""
    world = World(PlainASGI, Backend, migrate_from=reader)
    answer = await _browser(world, reader.cookie.name, cookie).visit(
        lambda visit: (visit.session.user_id, dict(visit.session))
    )
    assert (answer.status, answer.result, answer.set_cookies) == (200, (None, {}), [])
    (event,) = world.heard("rejected")
    assert SECRET not in event.reason
    assert cookie not in event.reason
    world.backend.close()
    return event.reason


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


# -- Starlette, starsessions -----------------------------------------------------------------------


def starlette_cookie(middleware: Middleware) -> str:
    """Return a browser's cookie after a visit to an application with this middleware."""

    async def page(request: Request) -> PlainTextResponse:
        if "session_handler" in request.scope:
            await starsessions.load_session(request)
        request.session.update(DATA)
        return PlainTextResponse("ok")

    with TestClient(Starlette(routes=[Route("/", page)], middleware=[middleware])) as client:
        client.get("/")
        value = client.cookies["session"]
    assert value
    return value


async def test_a_starlette_session_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = starlette_cookie(Middleware(StarletteSessions, secret_key=SECRET))
    reader = StarletteCookieReader(SECRET, user="uid")
    await switch(reader, cookie, DATA, remember=True)
    assert "signature" in await refused(StarletteCookieReader("another", user="uid"), cookie)
    assert "signature" in await refused(reader, "a" + cookie)
    later(monkeypatch, 15 * DAY)
    assert "expired" in await refused(reader, cookie)
    await switch(StarletteCookieReader(SECRET, max_age=None, user="uid"), cookie, DATA)


async def test_a_starsessions_session_in_a_store_is_adopted() -> None:
    store = starsessions.InMemoryStore()
    cookie = starlette_cookie(Middleware(starsessions.SessionMiddleware, store=store))
    await switch(StarsessionsReader(store, user="uid"), cookie, DATA)
    assert "no such session" in await refused(StarsessionsReader(store), "a" * 32)
    assert "form" in await refused(StarsessionsReader(store), "../" + "a" * 29)


async def test_a_starsessions_session_in_a_cookie_is_adopted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = starsessions.CookieStore(SECRET)
    middleware = Middleware(starsessions.SessionMiddleware, store=store, lifetime=DAY)
    cookie = starlette_cookie(middleware)
    reader = StarsessionsReader(store, lifetime=DAY, user="uid")
    await switch(reader, cookie, DATA, remember=True)
    later(monkeypatch, 2 * DAY)
    assert "no such session" in await refused(reader, cookie)


async def test_an_async_reader_in_sync_code_raises() -> None:
    world = World(PlainWSGI, Backend, migrate_from=StarsessionsReader(starsessions.InMemoryStore()))
    answer = await _browser(world, "session", "a" * 32).visit(lambda visit: visit.session.user_id)
    assert "can only be read in async code" in str(answer.error)


# -- Flask, Flask-Session --------------------------------------------------------------------------

TYPED: Final[dict[str, Any]] = {
    "_user_id": "ada",
    "tuple": (1, "a"),
    "bytes": b"\0\xff",
    "uuid": UUID(int=7),
    "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "nested": {"list": [(1,), {"b": b"b"}]},
}


def flask_cookie(data: dict[str, Any], *, permanent: bool = False, interface: Any = None) -> str:
    app = flask.Flask("before")
    app.secret_key = SECRET
    if interface is not None:
        app.session_interface = interface(app)

    @app.get("/")
    def page() -> str:
        flask.session.update(data)
        flask.session.permanent = permanent
        return "ok"

    client = app.test_client()
    client.get("/")
    cookie = client.get_cookie("session")
    assert cookie is not None
    return cookie.value


@pytest.mark.parametrize("app", [PlainASGI, PlainWSGI])
async def test_a_flask_session_is_adopted(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = flask_cookie(TYPED, permanent=True)
    reader = FlaskCookieReader(SECRET)
    data = {**TYPED, "_permanent": True}
    await switch(reader, cookie, data, app=app, remember=True)
    await switch(FlaskCookieReader(["newer", SECRET]), cookie, data, app=app, remember=True)
    assert "signature" in await refused(FlaskCookieReader("another"), cookie)
    later(monkeypatch, 32 * DAY)
    assert "expired" in await refused(reader, cookie)


async def test_a_flashed_message_of_flask_is_still_markup() -> None:
    cookie = flask_cookie({"_flashes": [("info", Markup("<b>saved</b>"))]})
    world = World(PlainASGI, Backend, migrate_from=FlaskCookieReader(SECRET))
    tab = _browser(world, "session", cookie)
    for _ in ("as it is adopted", "as it is stored"):
        answer = await tab.visit(lambda visit: visit.session["_flashes"])
        (flash,) = answer.result
        assert (flash, type(flash[1])) == (("info", "<b>saved</b>"), Markup)
    world.backend.close()


async def test_other_data_signed_with_flasks_key_are_refused() -> None:
    """For example data of another serializer, or a link in a mail with the same salt."""
    signer = itsdangerous.URLSafeTimedSerializer(
        SECRET, salt="cookie-session", signer_kwargs={"key_derivation": "hmac"}
    )
    signed = signer.make_signer(signer.salt).sign(b"bm8gSlNPTg").decode()
    assert "its signed data cannot be read" in await refused(FlaskCookieReader(SECRET), signed)


async def test_a_large_compressed_cookie_of_flask_is_adopted() -> None:
    data = {"_user_id": "ada", "text": "long " * 500}
    cookie = flask_cookie(data)
    assert cookie.startswith(".")
    await switch(FlaskCookieReader(SECRET), cookie, {**data, "_permanent": False})


class Redis(redis.Redis):
    """A client that stores the data of Flask-Session in memory."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def get(self, name: Any) -> Any:
        return self.held.get(name)

    def set(self, name: Any, value: Any, *args: Any, **keywords: Any) -> Any:
        self.held[name] = value

    def __del__(self) -> None:
        """Do nothing, because there is no connection."""


@pytest.mark.parametrize("form", ["msgpack", "json"])
async def test_a_flask_session_in_a_store_is_adopted(form: str) -> None:
    client = Redis()
    cookie = flask_cookie(
        {**DATA, "_user_id": "ada"},
        permanent=True,
        interface=lambda app: flask_session.redis.RedisSessionInterface(
            app, client, serialization_format=form
        ),
    )
    data = {**DATA, "_user_id": "ada", "_permanent": True}
    await switch(FlaskSessionReader(client.get), cookie, data, remember=True)
    assert "no such session" in await refused(FlaskSessionReader(client.get), "a" * 43)


@pytest.mark.filterwarnings("ignore:The 'use_signer' option:DeprecationWarning")
async def test_a_signed_flask_session_is_adopted() -> None:
    client = Redis()
    cookie = flask_cookie(
        {"_user_id": "ada"},
        interface=lambda app: flask_session.redis.RedisSessionInterface(
            app, client, use_signer=True
        ),
    )
    data = {"_user_id": "ada", "_permanent": False}
    await switch(FlaskSessionReader(client.get, secret_key=SECRET), cookie, data)
    assert "signature" in await refused(FlaskSessionReader(client.get, secret_key="x"), cookie)
    assert "form" in await refused(FlaskSessionReader(client.get), cookie)


class Bomb:
    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _explode, ()


def _explode() -> None:
    raise AssertionError("it was unpickled")


@pytest.mark.parametrize(
    "make",
    [
        FlaskSessionReader,
        lambda load: ExpressSessionReader(load, SECRET),
        BeakerReader,
        lambda load: StoreReader(load, cookie="old", lifetime=DAY),
    ],
    ids=["flask-session", "express", "beaker", "from-store"],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
async def test_nothing_is_unpickled(make: Any, protocol: int) -> None:
    reader = make(lambda key: pickle.dumps({"uid": Bomb()}, protocol))
    value = signed_by_express("a" * 32) if isinstance(reader, ExpressSessionReader) else "a" * 32
    await refused(reader, value)


# -- Beaker ----------------------------------------------------------------------------------------


def beaker_cookie(options: dict[str, Any]) -> str:
    headers: list[tuple[str, str]] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["beaker.session"].update(DATA)
        environ["beaker.session"].save()
        start_response("200 OK", [])
        return [b""]

    middleware = BeakerMiddleware(app, {f"session.{key}": v for key, v in options.items()})
    middleware(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda status, sent, *_: headers.extend(sent)
    )
    (header,) = [value for name, value in headers if name.lower() == "set-cookie"]
    return parse_set_cookie(header)[1]


@pytest.mark.parametrize("encrypt_key", [None, "e" * 32])
async def test_a_beaker_session_in_a_cookie_is_adopted(
    encrypt_key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"validate_key": SECRET, "data_serializer": "json", "timeout": DAY}
    if encrypt_key is not None:
        pytest.importorskip("cryptography", reason="Beaker encrypts with it")
        options["encrypt_key"] = encrypt_key
    cookie = beaker_cookie({"type": "cookie", **options})
    reader = BeakerCookieReader(SECRET, encrypt_key=encrypt_key, timeout=DAY, user="uid")
    await switch(reader, cookie, DATA)
    assert "not accept" in await refused(BeakerCookieReader("x", encrypt_key=encrypt_key), cookie)
    later(monkeypatch, 2 * DAY)
    await refused(reader, cookie)


async def test_a_cookie_that_beaker_ignores_is_refused() -> None:
    """Beaker would begin a new session."""
    assert "not accept" in await refused(BeakerCookieReader(SECRET, user="uid"), "a\\b")


@pytest.mark.parametrize("secret", [None, SECRET])
async def test_an_exported_beaker_session_is_adopted(
    secret: str | None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beaker pickles its data, so the old application exports them as JSON, once."""
    options = {"type": "file", "data_dir": str(tmp_path), "timeout": DAY}
    signed = {} if secret is None else {"secret": secret}
    cookie = beaker_cookie({**options, **signed})
    session_id = cookie[40:] if secret else cookie
    session = BeakerSession({}, id=session_id, use_cookies=False, **options)
    exported = json.loads(json.dumps({session_id: dict(session)}))
    reader = BeakerReader(exported.get, secret=secret, timeout=DAY, user="uid", blocking=False)
    await switch(reader, cookie, DATA)
    if secret is not None:
        forged = "1" if cookie[0] == "0" else "0"
        assert "signature" in await refused(reader, forged + cookie[1:])
    later(monkeypatch, 2 * DAY)
    assert "expired" in await refused(reader, cookie)


# -- express-session -------------------------------------------------------------------------------


def signed_by_express(session_id: str, secret: str = SECRET) -> str:
    """Sign as the package cookie-signature does, which created the vector below."""
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    mac = hmac.digest(secret.encode(), session_id.encode(), hashlib.sha256)
    signature = base64.b64encode(mac).rstrip(b"=").decode()
    return f"s%3A{session_id}.{signature.replace('+', '%2B').replace('/', '%2F')}"


VECTOR: Final = "hello.xz6khi6+oL1pnNhBgjk3Nr1CX2sxTjJiO9pKXaHZ33E"  # signed with "keyboard cat"


async def test_an_express_session_is_adopted() -> None:
    made = signed_by_express("hello", "keyboard cat")
    assert made == "s%3A" + VECTOR.replace("+", "%2B")
    held = {
        "sess:qJ9Ea0aVBhTPXW5Hd0f1CzT3PZ5GkmQF": json.dumps(
            {
                "cookie": {"originalMaxAge": 60000, "expires": "2126-01-01T00:00:00.000Z"},
                **DATA,
            }
        ),
        "sess:untilTheBrowserIsClosed": json.dumps(
            {"cookie": {"originalMaxAge": None, "expires": None, "path": "/"}, **DATA}
        ),
    }
    reader = ExpressSessionReader(held.get, ["newer", SECRET], user="uid")
    lasting = signed_by_express("qJ9Ea0aVBhTPXW5Hd0f1CzT3PZ5GkmQF")
    await switch(reader, lasting, DATA, remember=True)
    await switch(reader, signed_by_express("untilTheBrowserIsClosed"), DATA)
    assert "signature" in await refused(ExpressSessionReader(held.get, "x"), lasting)
    assert "not signed" in await refused(reader, "qJ9Ea0aVBhTPXW5Hd0f1CzT3PZ5GkmQF")
    assert "no such session" in await refused(reader, signed_by_express("unknown-id"))


# -- Django ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["db", "cache", "file", "signed_cookies"])
def test_a_django_session_is_adopted(engine: str, tmp_path: Any) -> None:
    """It runs in a separate process, which has Django's settings."""
    script = ROOT / "tests" / "integrations" / "in_django_before.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), engine, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("expiry", "closing", "remember"),
    [(None, False, True), (None, True, False), (0, False, False), (300, True, True)],
)
def test_a_django_session_until_the_browser_is_closed_is_not_remembered(
    expiry: int | None, closing: bool, remember: bool
) -> None:
    from django.test.utils import override_settings  # noqa: PLC0415

    from tests.support import django_project  # noqa: PLC0415

    assert django_project
    data = {"_auth_user_id": "7"} if expiry is None else {"a": 1, "_session_expiry": expiry}
    with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=closing):
        session = DjangoSessionReader().made_of(data, "a" * 32)
    assert session.remember is remember
    assert session.identity == "a" * 32
    assert session.user == data.get("_auth_user_id")


def test_nothing_is_unpickled_for_django() -> None:
    from django.test.utils import override_settings  # noqa: PLC0415

    from tests.support import django_project  # noqa: PLC0415

    assert django_project
    pickles = "django.contrib.sessions.serializers.PickleSerializer"
    with (
        override_settings(SESSION_SERIALIZER=pickles),
        pytest.raises(ConfigError, match="SESSION_SERIALIZER must not pickle"),
    ):
        DjangoSessionReader().read("a" * 32)


# -- any store, and errors -------------------------------------------------------------------------


async def test_a_session_in_an_async_store_is_adopted() -> None:
    async def load(session_id: str) -> bytes | None:
        return json.dumps(DATA).encode() if session_id == "a" * 32 else None

    reader = StoreReader(load, cookie="old", lifetime=DAY, user=lambda data: data["uid"])
    await switch(reader, "a" * 32, DATA)


async def test_a_numeric_user_id_becomes_a_str() -> None:
    reader = StoreReader(lambda _: {"uid": 7}, cookie="old", lifetime=DAY, user="uid")
    world = World(PlainWSGI, Backend, migrate_from=[reader])
    assert await _browser(world, "old", "a" * 32).user() == "7"


async def test_a_reader_that_returns_another_type_is_an_error() -> None:
    class Careless(Reader):
        def read(self, value: str) -> Any:
            return {"uid": value}

    reason = await refused(Careless(cookie="old", lifetime=DAY), "ada")
    assert "its reader returned a dict, not a LegacySession" in reason


async def test_a_reader_without_an_identity_is_an_error() -> None:
    class Careless(Reader):
        def read(self, value: str) -> Any:
            return self.session({"uid": value})

    world = World(PlainASGI, Backend, migrate_from=Careless(cookie="old", lifetime=DAY))
    answer = await _browser(world, "old", "ada").visit(lambda visit: visit.session.user_id)
    assert "must give the identity of each session" in str(answer.error)
    world.backend.close()


async def test_the_first_of_several_readers_that_accepts_is_used() -> None:
    first = StarletteCookieReader("another", cookie="session")
    held = {"a" * 32: DATA}
    second = StoreReader(held.get, cookie="old", lifetime=DAY, user="uid")
    third = StoreReader(lambda _: {"uid": "eve"}, cookie="other", lifetime=DAY, user="uid")
    world = World(PlainASGI, Backend, migrate_from=[first, second, third])
    tab = world.tab()
    tab.jar |= {"session": "forged", "old": "a" * 32, "other": "b" * 32}
    assert await tab.user() == "ada"
    assert tab.jar.keys() == {"sid"}


@pytest.mark.parametrize(
    ("cookie", "name"),
    [
        ("old", "old"),
        (CookieOptions(name="old", path="/shop"), "old"),
        ("__Host-old", "__Host-old"),
        (CookieOptions(name="old", prefix="secure", secure=True), "__Secure-old"),
    ],
    ids=str,
)
async def test_a_legacy_cookie_keeps_its_name_over_https(
    cookie: str | CookieOptions, name: str
) -> None:
    reader = StoreReader({"a" * 32: DATA}.get, cookie=cookie, lifetime=DAY, user="uid")
    world = World(PlainASGI, Backend, migrate_from=reader)
    tab = world.tab(https=True)
    tab.jar[name] = "a" * 32
    assert await tab.user() == "ada"
    assert tab.jar.keys() == {"__Host-sid"}


def nothing(session_id: str) -> None: ...


WRONG: Final[dict[str, Callable[[], Any]]] = {
    "a name in place of a reader": lambda: SessionManager(MemoryStore("1M"), migrate_from="flask"),  # type: ignore[arg-type]
    "the same cookie": lambda: SessionManager(
        MemoryStore("1M"), migrate_from=StarletteCookieReader(SECRET, cookie="sid")
    ),
    "no secret": lambda: StarletteCookieReader(""),
    "no secret of flask": lambda: FlaskCookieReader(None),
    "no secret of express": lambda: ExpressSessionReader(nothing, []),
    "no validate_key": lambda: BeakerCookieReader(""),
    "no function": lambda: StoreReader({}, cookie="old", lifetime=DAY),  # type: ignore[arg-type]
    "no cookie": lambda: StoreReader(nothing, cookie=None, lifetime=DAY),  # type: ignore[arg-type]
    "a cookie's name": lambda: StoreReader(nothing, cookie="a b", lifetime=DAY),
    "no lifetime": lambda: StoreReader(nothing, cookie="sid", lifetime=0),
    "a user": lambda: StoreReader(nothing, cookie="sid", lifetime=DAY, user=7),  # type: ignore[arg-type]
    "lembro's own engine": lambda: DjangoSessionReader("lembro.integrations.django"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_configuration_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(ConfigError):
        WRONG[wrong]()


NEEDS: Final[dict[str, tuple[str, Callable[[], Any]]]] = {
    "flask": ("flask.sessions", lambda: FlaskCookieReader(SECRET)),
    "itsdangerous": ("itsdangerous", lambda: FlaskSessionReader(nothing, secret_key=SECRET)),
    "itsdangerous, Starlette": ("itsdangerous", lambda: StarletteCookieReader(SECRET)),
    "starsessions": ("starsessions", lambda: StarsessionsReader(None)),
    "beaker": ("beaker.session", lambda: BeakerCookieReader(SECRET)),
    "django": ("django.conf", lambda: DjangoSessionReader().read("a" * 32)),
}


@pytest.mark.parametrize("package", NEEDS)
def test_without_the_library_the_error_says_what_to_install(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, make = NEEDS[package]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package.partition(',')[0]}$"):
        make()


def test_a_reader_does_not_show_its_secret() -> None:
    reader = FlaskCookieReader(SECRET)
    manager = SessionManager(MemoryStore("1M"), migrate_from=reader)
    assert repr(reader) == "<FlaskCookieReader of the cookie 'session'>"
    assert SECRET not in repr(manager.options) + repr(manager.options.migrate_from)
