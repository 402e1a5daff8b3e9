"""aiohttp-session over lembro, and aiohttp-security on both: the promises of their documentation.

``LembroStorage`` is tested without ("alone") and with ``setup(app, sessions)``.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from importlib import import_module
from typing import Any

import aiohttp_security
import aiohttp_session
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler
from aiohttp_session import get_session, new_session

from lembro import ConfigError, CookieOptions, MemoryStore, SessionManager
from lembro.integrations import aiohttp as integration
from lembro.integrations.aiohttp.aiohttp_security import LembroIdentityPolicy
from lembro.integrations.aiohttp.aiohttp_session import LembroStorage
from lembro.testing import FakeClock
from tests.support.messages import parse_set_cookie
from tests.support.stores import AsyncBackend

pytestmark = [
    pytest.mark.anyio,
    # aiohttp warns because aiohttp-session uses no typed keys.
    pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning"),
]

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> SessionManager:
    return SessionManager(MemoryStore("1M", max_session_size="4K", clock=clock))


@pytest.fixture(params=["alone", "with setup"])
def app(request: pytest.FixtureRequest, manager: SessionManager) -> web.Application:
    return application(manager, LembroStorage(manager), both=request.param != "alone")


def application(manager: SessionManager, storage: LembroStorage, *, both: bool) -> web.Application:
    app = web.Application()
    if both:
        integration.setup(app, manager)
    aiohttp_session.setup(app, storage)
    return app


@asynccontextmanager
async def serving(app: web.Application, **handlers: Handler) -> AsyncIterator[Client]:
    for name, handler in handlers.items():
        app.router.add_get(f"/{name}", handler)
    async with TestClient(TestServer(app)) as client:
        yield client


async def json_of(client: Client, path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200
        return await response.json()


def cookie_of(response: ClientResponse) -> tuple[str, str, dict[str, str]]:
    return parse_set_cookie(response.headers["Set-Cookie"])


async def read(request: web.Request) -> web.Response:
    return web.json_response(dict(await get_session(request)))


async def write(request: web.Request) -> web.Response:
    session = await get_session(request)
    session["cart"] = [1]
    return web.Response()


async def invalidate(request: web.Request) -> web.Response:
    (await get_session(request)).invalidate()
    return web.Response()


async def untouched(request: web.Request) -> web.Response:
    return web.Response()


# -- the promises ----------------------------------------------------------------------------------


async def test_a_session_from_the_first_request_to_the_logout(
    app: web.Application, manager: SessionManager
) -> None:
    states: list[tuple[bool, bool, bool]] = []

    async def state(request: web.Request) -> web.Response:
        session = await get_session(request)
        assert session is await get_session(request)
        states.append((session.new, session.empty, session.identity is None))
        assert abs(session.created - time.time()) < 60
        return web.Response()

    async with serving(app, state=state, write=write, read=read, untouched=untouched) as client:
        async with client.get("/untouched") as response:
            assert "Vary" not in response.headers
        async with client.get("/state") as response:
            assert response.headers["Vary"] == "Cookie"
            assert "Set-Cookie" not in response.headers
        assert manager.length() == 0
        async with client.get("/write") as response:
            assert cookie_of(response)[0] == "sid"
            assert response.headers["Cache-Control"] == "private, no-store"
        await client.get("/state")
        assert await json_of(client, "/read") == {"cart": [1]}
    assert states == [(True, True, True), (False, False, False)]
    assert manager.length() == 1


async def test_the_session_is_a_dict(app: web.Application) -> None:
    async def page(request: web.Request) -> web.Response:
        session = await get_session(request)
        assert session == {}
        session["a"], session["b"] = 1, 2
        del session["a"]
        assert "a" not in session
        assert session.pop("b") == 2
        session.update(c=3)
        assert (len(session), list(session), session == {"c": 3}) == (1, ["c"], True)
        with pytest.raises(KeyError):
            session["a"]
        return web.Response()

    async with serving(app, page=page, read=read) as client:
        await client.get("/page")
        assert await json_of(client, "/read") == {"c": 3}


async def test_created_is_the_beginning_of_the_session(
    app: web.Application, clock: FakeClock
) -> None:
    ages: list[float] = []

    async def page(request: web.Request) -> web.Response:
        session = await get_session(request)
        ages.append(time.time() - session.created)
        return web.Response()

    async with serving(app, write=write, page=page) as client:
        await client.get("/write")
        clock.advance(3600)
        await client.get("/page")
    assert ages[0] == pytest.approx(3600, abs=60)


async def test_a_nested_change_is_kept(app: web.Application) -> None:
    async def append(request: web.Request) -> web.Response:
        session = await get_session(request)
        session["cart"].append(2)
        return web.Response()

    async with serving(app, write=write, append=append, read=read) as client:
        await client.get("/write")
        await client.get("/append")
        assert await json_of(client, "/read") == {"cart": [1, 2]}


async def test_a_raised_redirect_keeps_the_changes(app: web.Application) -> None:
    async def save(request: web.Request) -> web.Response:
        (await get_session(request))["message"] = "works"
        raise web.HTTPFound("/read")

    async with serving(app, save=save, read=read) as client:
        assert await json_of(client, "/save") == {"message": "works"}


async def test_a_failed_response_changes_nothing(
    app: web.Application, manager: SessionManager
) -> None:
    async def fails(request: web.Request) -> web.Response:
        (await get_session(request))["a"] = 1
        return web.Response(status=500)

    async with serving(app, fails=fails) as client, client.get("/fails") as response:
        assert "Set-Cookie" not in response.headers
    assert manager.length() == 0


async def test_invalidate_ends_the_session(app: web.Application, manager: SessionManager) -> None:
    async def out_and_in(request: web.Request) -> web.Response:
        session = await get_session(request)
        session.invalidate()
        assert session.empty
        session["a"] = 1
        return web.Response()

    handlers = {"write": write, "invalidate": invalidate, "out_and_in": out_and_in, "read": read}
    async with serving(app, **handlers) as client:
        async with client.get("/write") as response:
            first = cookie_of(response)[1]
        async with client.get("/invalidate") as response:
            name, value, attributes = cookie_of(response)
        assert (name, value, attributes["max-age"]) == ("sid", "", "0")
        assert manager.length() == 0
        assert manager.get(first[:43]) is None

        async with client.get("/write") as response:
            first = cookie_of(response)[1]
        async with client.get("/out_and_in") as response:
            assert cookie_of(response)[1] != first
        assert await json_of(client, "/read") == {"a": 1}
    assert manager.length() == 1


async def test_new_session_ends_the_old_one(app: web.Application, manager: SessionManager) -> None:
    async def login(request: web.Request) -> web.Response:
        (await get_session(request))["lost"] = True
        session = await new_session(request)
        assert (session.new, session.empty, session.identity) == (True, True, None)
        session["user"] = "ada"
        assert await get_session(request) is session
        return web.Response()

    async def idle(request: web.Request) -> web.Response:
        await new_session(request)
        return web.Response()

    async with serving(app, write=write, login=login, idle=idle, read=read) as client:
        async with client.get("/write") as response:
            first = cookie_of(response)[1]
        await client.get("/idle")  # no data were written, so it was not stored
        assert await json_of(client, "/read") == {"cart": [1]}
        async with client.get("/login") as response:
            assert cookie_of(response)[1] not in ("", first)
        assert await json_of(client, "/read") == {"user": "ada"}
        assert manager.get(first[:43]) is None
    assert manager.length() == 1


@pytest.mark.parametrize("act", ["changed", "invalidate"])
async def test_an_empty_new_session_is_not_stored(
    app: web.Application, manager: SessionManager, act: str
) -> None:
    """The session before it has ended, as requested."""

    async def anew(request: web.Request) -> web.Response:
        session = await new_session(request)
        if act == "changed":
            session.changed()
        else:
            session["a"] = 1
            session.invalidate()
        assert session.empty
        return web.Response()

    async with serving(app, write=write, anew=anew) as client:
        await client.get("/write")
        async with client.get("/anew") as response:
            assert cookie_of(response)[2]["max-age"] == "0"
    assert manager.length() == 0


async def test_changed_extends_the_session(
    app: web.Application, manager: SessionManager, clock: FakeClock
) -> None:
    async def page(request: web.Request) -> web.Response:
        (await get_session(request)).changed()
        return web.Response()

    async with serving(app, write=write, page=page) as client:
        await client.get("/write")
        clock.advance(60)
        await client.get("/page")
    assert [info.idle_for for info in manager.all()] == [0]


# -- max_age ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("both", [False, True], ids=["alone", "with setup"])
async def test_the_max_age_of_the_storage_holds(clock: FakeClock, both: bool) -> None:
    storage = LembroStorage(store=MemoryStore("1M", clock=clock), max_age=10)
    assert storage.max_age == 10
    app = application(storage.manager, storage, both=both)
    async with serving(app, write=write, read=read) as client:
        async with client.get("/write") as response:
            assert cookie_of(response)[2]["max-age"] == "10"
        clock.advance(9)
        assert await json_of(client, "/read") == {"cart": [1]}
        clock.advance(11)
        assert await json_of(client, "/read") == {}


@pytest.mark.parametrize("age", [10, 3 * 86400], ids=["shorter", "longer"])
async def test_the_max_age_of_one_session_holds(
    app: web.Application, clock: FakeClock, age: int
) -> None:
    """It holds in the store too, and for later changes of the session."""

    async def remember(request: web.Request) -> web.Response:
        session = await get_session(request)
        session.max_age = age
        session["a"] = 1
        return web.Response()

    async def more(request: web.Request) -> web.Response:
        session = await get_session(request)
        assert session.max_age == age
        session["b"] = 2
        return web.Response()

    async with serving(app, remember=remember, more=more, read=read) as client:
        async with client.get("/remember") as response:
            assert cookie_of(response)[2]["max-age"] == str(age)
        clock.advance(age * 0.9)
        assert await json_of(client, "/read") == {"a": 1}
        clock.advance(age * 0.9)
        async with client.get("/more") as response:
            assert cookie_of(response)[2]["max-age"] == str(age)
        clock.advance(age * 0.9)
        assert await json_of(client, "/read") == {"a": 1, "b": 2}
        clock.advance(age * 1.1)
        assert await json_of(client, "/read") == {}


async def test_a_session_can_return_to_the_usual_max_age(
    app: web.Application, manager: SessionManager
) -> None:
    async def limit(request: web.Request) -> web.Response:
        session = await get_session(request)
        session["a"] = 1
        session.max_age = 10
        return web.Response()

    async def unlimit(request: web.Request) -> web.Response:
        session = await get_session(request)
        session.max_age = None
        session["a"] = 2
        return web.Response()

    async def invalid(request: web.Request) -> web.Response:
        (await get_session(request)).max_age = 0
        return web.Response()

    async with serving(app, limit=limit, unlimit=unlimit, invalid=invalid) as client:
        await client.get("/limit")
        await client.get("/unlimit")
        async with client.get("/invalid") as response:
            assert response.status == 500
    store: Any = manager.store
    assert [found.idle_left > 80_000 for _, found in store.all()] == [True]


# -- what cannot be stored -------------------------------------------------------------------------


@pytest.mark.parametrize("max_age", [None, 60])
@pytest.mark.parametrize("how", [get_session, new_session])
async def test_a_session_that_is_too_large_is_a_500(
    app: web.Application, manager: SessionManager, how: Any, max_age: int | None
) -> None:
    async def huge(request: web.Request) -> web.Response:
        session = await how(request)
        session["a"] = "x" * 5000
        if max_age is not None:
            session.max_age = max_age
        return web.Response()

    async with serving(app, huge=huge) as client, client.get("/huge") as response:
        assert response.status == 500
        assert await response.text() == "The session could not be stored.\n"
        assert "Set-Cookie" not in response.headers
    assert manager.length() == 0


async def test_a_value_that_cannot_be_stored_is_a_500(app: web.Application) -> None:
    async def page(request: web.Request) -> web.Response:
        (await new_session(request))["a"] = object()
        return web.Response()

    async with serving(app, page=page) as client, client.get("/page") as response:
        assert response.status == 500


@pytest.mark.parametrize("both", [False, True], ids=["alone", "with setup"])
async def test_a_store_failure_is_a_503(both: bool) -> None:
    backend = AsyncBackend()
    storage = LembroStorage(store=backend.store)
    session_id = await storage.manager.acreate({"a": 1})
    app = application(storage.manager, storage, both=both)
    async with serving(app, read=read, write=write, untouched=untouched) as client:
        backend.breaks()
        for path, status in (("/read", 200), ("/write", 503), ("/untouched", 200)):
            async with client.get(path) as response:
                assert response.status == status
        client.session.cookie_jar.update_cookies({"sid": session_id})
        for path, status in (("/read", 503), ("/untouched", 200)):
            async with client.get(path) as response:
                assert response.status == status
        backend.breaks("")
        assert await json_of(client, "/read") == {"a": 1}
    backend.close()


# -- with setup ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [get_session, new_session])
async def test_a_stream_is_saved_with_setup(manager: SessionManager, how: Any) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        session = await how(request)
        session["a"] = 1
        response = web.StreamResponse()
        await response.prepare(request)
        assert manager.length() == 1
        return response

    app = application(manager, LembroStorage(manager), both=True)
    async with serving(app, stream=stream, read=read) as client:
        await client.get("/stream")
        assert await json_of(client, "/read") == {"a": 1}


async def test_a_new_session_without_data_keeps_the_old_one_in_a_stream(
    manager: SessionManager,
) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        await new_session(request)
        response = web.StreamResponse()
        await response.prepare(request)
        return response

    app = application(manager, LembroStorage(manager), both=True)
    async with serving(app, write=write, stream=stream, read=read) as client:
        await client.get("/write")
        await client.get("/stream")
        assert await json_of(client, "/read") == {"cart": [1]}


async def test_a_path_that_setup_excludes_has_no_session(manager: SessionManager) -> None:
    async def page(request: web.Request) -> web.Response:
        with pytest.raises(ConfigError, match="exclude= does not name this path"):
            await get_session(request)
        return web.Response()

    app = web.Application()
    integration.setup(app, manager, exclude=["/page"])
    aiohttp_session.setup(app, LembroStorage(manager))
    async with serving(app, page=page) as client, client.get("/page") as response:
        assert response.status == 200


async def test_the_storage_uses_the_session_of_setup(manager: SessionManager) -> None:
    async def page(request: web.Request) -> web.Response:
        (await get_session(request))["a"] = 1
        session = integration.get_session(request)
        assert session["a"] == 1
        session.login("ada")
        return web.Response()

    app = application(manager, LembroStorage(manager), both=True)
    async with serving(app, page=page, read=read) as client:
        async with client.get("/page") as response:
            assert len(response.headers.getall("Set-Cookie")) == 1
        assert await json_of(client, "/read") == {"a": 1}
    assert [info.user_id for info in manager.all()] == ["ada"]


async def test_a_storage_of_another_manager_has_its_own_session(
    manager: SessionManager,
) -> None:
    storage = LembroStorage(store=MemoryStore("1M"), cookie_name="theirs")

    async def page(request: web.Request) -> web.Response:
        (await get_session(request))["theirs"] = 1
        integration.get_session(request)["ours"] = 1
        return web.Response()

    app = application(manager, storage, both=True)
    async with serving(app, page=page) as client, client.get("/page") as response:
        assert len(response.headers.getall("Set-Cookie")) == 2
    assert [info.data for info in manager.all()] == [{"ours": 1}]
    assert [info.data for info in storage.manager.all()] == [{"theirs": 1}]


async def test_a_storage_of_another_manager_with_the_same_cookie_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cookie = CookieOptions(name="contended")
    ours, theirs = (SessionManager(MemoryStore("1M"), cookie=cookie) for _ in range(2))
    app = application(ours, LembroStorage(theirs), both=True)
    async with serving(app, write=write) as client, client.get("/write"):
        assert "both set the cookie 'contended'" in caplog.text


# -- import ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["aiohttp_session", "aiohttp_security"])
def test_without_the_library_the_error_names_it(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    module = f"lembro.integrations.aiohttp.{library}"
    monkeypatch.delitem(sys.modules, module)
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    install = f"pip install 'lembro[aiohttp]' {library.replace('_', '-')}"
    with pytest.raises(ImportError, match=re.escape(install)):
        import_module(module)


# -- configuration ---------------------------------------------------------------------------------


def test_the_keywords_of_aiohttp_session_are_accepted() -> None:
    storage = LembroStorage(
        cookie_name="sid",
        domain="example.com",
        max_age=60,
        path="/app",
        secure=True,
        httponly=False,
        samesite="Strict",
    )
    assert storage.manager.options.cookie == CookieOptions(
        name="sid",
        prefix=None,
        domain="example.com",
        max_age=60,
        path="/app",
        secure=True,
        httponly=False,
        samesite="strict",
    )
    assert storage.manager.options.idle_timeout == 60
    assert (storage.cookie_name, storage.max_age) == ("sid", 60)
    assert storage.cookie_params.get("path") == "/app"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"encoder": repr}, "no option 'encoder'"),
        (
            {"cookie_name": "sid", "cookie": CookieOptions()},
            r"together with cookie=, got name\. Write cookie=",
        ),
        ({"max_age": 0}, "max_age must be more than 0 .*got 0"),
        ({"samesite": "Loose"}, "samesite must be .*got 'loose'"),
        (
            {"manager": SessionManager(MemoryStore("1M")), "max_age": 60},
            "^max_age cannot be given together",
        ),
        (
            {"manager": SessionManager(MemoryStore("1M")), "cookie_name": "a"},
            "^cookie_name cannot be given together",
        ),
    ],
)
def test_an_invalid_configuration_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        LembroStorage(**given)


async def test_a_session_of_another_storage_is_refused(manager: SessionManager) -> None:
    async def page(request: web.Request) -> web.Response:
        session = aiohttp_session.Session(None, data=None, new=True)
        session["a"] = 1
        request["aiohttp_session"] = session
        return web.Response()

    app = application(manager, LembroStorage(manager), both=False)
    async with serving(app, page=page) as client, client.get("/page") as response:
        assert response.status == 500


# -- aiohttp-security ------------------------------------------------------------------------------


class Everything(aiohttp_security.AbstractAuthorizationPolicy):
    async def permits(
        self, identity: str | None, permission: str | Enum, context: Any = None
    ) -> bool:
        return identity == "ada"

    async def authorized_userid(self, identity: str) -> str | None:
        return identity


async def who(request: web.Request) -> web.Response:
    return web.json_response(await aiohttp_security.authorized_userid(request))


async def remember(request: web.Request) -> web.Response:
    raised = web.HTTPFound("/who")
    keywords = {"remember": True} if "remember" in request.query else {}
    await aiohttp_security.remember(request, raised, "ada", **keywords)
    raise raised


async def forget(request: web.Request) -> web.Response:
    response = web.Response()
    await aiohttp_security.forget(request, response)
    return response


SECURITY: Any = {"who": who, "remember": remember, "forget": forget, "write": write, "read": read}


async def test_the_identity_policy_of_aiohttp_security_works(app: web.Application) -> None:
    policy = aiohttp_security.SessionIdentityPolicy()
    aiohttp_security.setup(app, policy, Everything())
    async with serving(app, **SECURITY) as client:
        assert await json_of(client, "/who") is None
        assert await json_of(client, "/remember") == "ada"
        await client.get("/forget")
        assert await json_of(client, "/who") is None


@pytest.mark.parametrize("both", [False, True], ids=["alone", "with aiohttp-session"])
async def test_the_identity_policy_of_lembro_works(manager: SessionManager, both: bool) -> None:
    app = web.Application()
    integration.setup(app, manager)
    aiohttp_security.setup(app, LembroIdentityPolicy(), Everything())
    if both:
        aiohttp_session.setup(app, LembroStorage(manager))

    async def permitted(request: web.Request) -> web.Response:
        await aiohttp_security.check_permission(request, "read")
        return web.Response()

    async def put(request: web.Request) -> web.Response:
        integration.get_session(request)["cart"] = [1]
        return web.Response()

    async def show(request: web.Request) -> web.Response:
        return web.json_response(dict(integration.get_session(request)))

    handlers = {**SECURITY, "permitted": permitted, "write": put, "read": show}
    async with serving(app, **handlers) as client:
        async with client.get("/permitted") as response:
            assert response.status == 401
        async with client.get("/write") as response:
            before = cookie_of(response)[1]
        async with client.get("/remember", allow_redirects=False) as response:
            assert cookie_of(response)[1] not in ("", before)  # a new ID prevents session fixation
            assert "max-age" not in cookie_of(response)[2]
        assert await json_of(client, "/who") == "ada"
        assert await json_of(client, "/read") == {"cart": [1]}
        assert [info.user_id for info in manager.user_sessions("ada")] == ["ada"]
        async with client.get("/permitted") as response:
            assert response.status == 200
        async with client.get("/remember?remember", allow_redirects=False) as response:
            assert cookie_of(response)[2]["max-age"] == str(30 * 86400)
        await client.get("/forget")
        assert await json_of(client, "/who") is None
    assert manager.length() == 0
