"""The places of ``framework_methods.py``: a small application in each framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import aiohttp_session
import flask
import flask_login
import quart
from aiohttp import web
from django.contrib.auth import SESSION_KEY as USER
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from pyramid.config import Configurator

from lembro import Session, SessionManager
from lembro.integrations import aiohttp as in_aiohttp
from lembro.integrations import beaker as in_beaker
from lembro.integrations import flask as in_flask
from lembro.integrations import quart as in_quart
from lembro.integrations.aiohttp.aiohttp_security import LembroIdentityPolicy
from lembro.integrations.aiohttp.aiohttp_session import LembroStorage
from lembro.integrations.django import get_session
from lembro.integrations.litestar import LembroPlugin, WebSessionDep
from lembro.integrations.pyramid import LembroAuthenticationHelper
from tests.support.apps_aiohttp import fetch_aiohttp
from tests.support.apps_django import use
from tests.support.django_site import acting
from tests.support.framework_methods import (
    Method,
    Place,
    State,
    acall,
    begin_new,
    call,
    drop,
    end,
    log_in,
    nothing,
    replace,
    write,
)
from tests.support.gateways import fetch_asgi, fetch_wsgi
from tests.support.messages import Answer, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Build = Callable[[SessionManager], Place]


def set_key(session: Any) -> None:
    session["new"] = 1


def pop_key(session: Any) -> None:
    session.pop("old", None)


# -- Flask and Quart -------------------------------------------------------------------------------


def in_flask_itself(manager: SessionManager) -> Place:
    app = flask.Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    in_flask.Lembro(app, manager)

    @app.get("/")
    def page() -> str:
        call(flask.session)
        return "ok"

    async def fetch(request: Request) -> Answer:
        return await fetch_wsgi(app, request)

    regenerate = app.session_interface.regenerate  # type: ignore[attr-defined]
    return Place(fetch, _flask_methods(lambda session: regenerate(flask.session)))


def in_quart_itself(manager: SessionManager) -> Place:
    app: Any = quart.Quart(__name__)
    in_quart.Lembro(app, manager)

    @app.get("/")  # type: ignore[untyped-decorator]
    async def page() -> str:
        await acall(quart.session)
        return "ok"

    async def fetch(request: Request) -> Answer:
        return await fetch_asgi(app, request)

    return Place(fetch, _flask_methods(app.session_interface.regenerate))


def _flask_methods(regenerate: Callable[[Any], Any]) -> dict[str, Method]:
    return {
        "clear": Method(lambda session: session.clear(), end),
        "logout": Method(lambda session: session.logout(), end),
        "login": Method(lambda session: session.login("bob"), log_in),
        "regenerate": Method(regenerate, nothing),
        "pop": Method(pop_key, drop),
        "write": Method(set_key, write),
    }


class _User(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str) -> None:
        self.id = name


def in_flask_login(manager: SessionManager) -> Place:
    app = flask.Flask(__name__)
    app.secret_key = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.config["SESSION_PROTECTION"] = None
    in_flask.Lembro(app, manager)
    in_flask.follow_flask_login(app)
    flask_login.LoginManager(app).user_loader(_User)

    @app.get("/")
    def page() -> str:
        call(flask.session)
        return "ok"

    async def fetch(request: Request) -> Answer:
        return await fetch_wsgi(app, request)

    methods = {
        "login_user": Method(lambda session: flask_login.login_user(_User("bob")), log_in),
        "logout_user": Method(lambda session: flask_login.logout_user(), end),
        "clear": Method(lambda session: session.clear(), end),
        "write": Method(set_key, write),
    }
    return Place(fetch, methods, {"_user_id": "ada", "_fresh": True})


# -- Django ----------------------------------------------------------------------------------------


class _DjangoRequest(WSGIRequest):  # type: ignore[misc]  # Django is not typed
    urlconf = "tests.support.django_site"


class _DjangoHandler(WSGIHandler):  # type: ignore[misc]
    request_class = _DjangoRequest


def in_django(manager: SessionManager) -> Place:
    use(manager)
    app: Any = _DjangoHandler()

    async def fetch(request: Request) -> Answer:
        request.path = "/do"
        with acting(call):
            return await fetch_wsgi(app, request)

    def log_in_by_key(state: State) -> None:
        log_in(state)
        state.keyed = True

    def log_in_by_lembro(state: State) -> None:
        state.keyed = state.keyed and state.user == "bob"  # otherwise the data are dropped
        log_in(state)

    def pop_user(state: State) -> None:
        if state.keyed:
            state.user, state.ended, state.keyed = None, True, False

    def clear(state: State) -> None:
        if state.user is None:
            state.data = {}
        else:
            end(state)

    methods = {
        "flush": Method(lambda request: request.session.flush(), end),
        "cycle_key": Method(lambda request: request.session.cycle_key(), nothing),
        "clear": Method(lambda request: request.session.clear(), clear),
        "login": Method(lambda request: request.session.update({USER: "bob"}), log_in_by_key),
        "lembro": Method(lambda request: get_session(request).login("bob"), log_in_by_lembro),
        "logout": Method(lambda request: request.session.pop(USER, None), pop_user),
        "pop": Method(lambda request: pop_key(request.session), drop),
        "write": Method(lambda request: set_key(request.session), write),
    }
    return Place(fetch, methods, {USER: "ada"})


# -- Litestar --------------------------------------------------------------------------------------


@litestar_get("/")
async def _litestar_page(request: LitestarRequest[Any, Any, Any], session: WebSessionDep) -> str:
    await acall((request, session))
    return "ok"


def in_litestar(manager: SessionManager) -> Place:
    app: Any = Litestar(
        [_litestar_page],
        plugins=[LembroPlugin(manager)],
        openapi_config=None,
        logging_config=None,
    )

    async def fetch(request: Request) -> Answer:
        return await fetch_asgi(app, request)

    def connection(act: Callable[[Any], object]) -> Callable[[Any], None]:
        return lambda context: _none(act(context[0]))

    def session(act: Callable[[Session], object]) -> Callable[[Any], None]:
        return lambda context: _none(act(context[1]))

    methods = {
        "clear_session": Method(connection(lambda request: request.clear_session()), end),
        "set_session": Method(connection(lambda request: request.set_session({"set": 1})), replace),
        "clear": Method(session(lambda session: session.clear()), end),
        "login": Method(session(lambda session: session.login("bob")), log_in),
        "write": Method(session(set_key), write),
    }
    return Place(fetch, methods)


def _none(result: object) -> None: ...


# -- aiohttp with aiohttp-session and aiohttp-security ---------------------------------------------


def in_aiohttp_session(manager: SessionManager) -> Place:
    app = web.Application()
    in_aiohttp.setup(app, manager)
    aiohttp_session.setup(app, LembroStorage(manager))
    policy = LembroIdentityPolicy()
    response: Any = None  # the policy does not use it

    async def page(request: web.Request) -> web.Response:
        await acall(request)
        return web.Response()

    app.router.add_get("/", page)

    async def fetch(request: Request) -> Answer:
        return await fetch_aiohttp(app, request)

    async def invalidate(request: web.Request) -> None:
        (await aiohttp_session.get_session(request)).invalidate()

    async def changed(request: web.Request) -> None:
        (await aiohttp_session.get_session(request)).changed()

    async def put(request: web.Request) -> None:
        (await aiohttp_session.get_session(request))["new"] = 1

    async def new_session(request: web.Request) -> None:
        (await aiohttp_session.new_session(request))["set"] = 1

    methods = {
        "invalidate": Method(invalidate, end),
        "new_session": Method(new_session, begin_new),
        "changed": Method(changed, nothing),
        "write": Method(put, write),
        "remember": Method(lambda request: policy.remember(request, response, "bob"), log_in),
        "forget": Method(lambda request: policy.forget(request, response), end),
    }
    return Place(fetch, methods)


# -- Pyramid ---------------------------------------------------------------------------------------


def in_pyramid(manager: SessionManager) -> Place:
    def page(request: Any) -> str:
        call(request)
        return "ok"

    with Configurator(settings={"lembro.manager": manager}) as config:
        config.include("lembro.integrations.pyramid")
        config.add_route("page", "/")
        config.add_view(page, route_name="page", renderer="string")
        app = config.make_wsgi_app()
    helper = LembroAuthenticationHelper()

    async def fetch(request: Request) -> Answer:
        return await fetch_wsgi(app, request)

    methods = {
        "invalidate": Method(lambda request: request.session.invalidate(), end),
        "clear": Method(lambda request: request.session.clear(), end),
        "forget": Method(helper.forget, end),
        "remember": Method(lambda request: helper.remember(request, "bob"), log_in),
        "changed": Method(lambda request: request.session.changed(), nothing),
        "write": Method(lambda request: set_key(request.session), write),
    }
    return Place(fetch, methods)


# -- Beaker ----------------------------------------------------------------------------------------


def in_beaker_style(manager: SessionManager) -> Place:
    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        call(environ[in_beaker.KEY])
        start_response("200 OK", [])
        return [b"ok"]

    app = in_beaker.SessionMiddleware(served, manager)

    async def fetch(request: Request) -> Answer:
        return await fetch_wsgi(app, request)

    def revert(state: State) -> None:
        if state.ended:
            end(state)
        else:
            state.__init__()  # type: ignore[misc]

    methods = {
        "delete": Method(lambda session: session.delete(), end),
        "invalidate": Method(lambda session: session.invalidate(), end),
        "revert": Method(lambda session: session.revert(), revert),
        "login": Method(lambda session: session.login("bob"), log_in),
        "write": Method(set_key, write),
    }
    return Place(fetch, methods)


PLACES: Final[dict[str, Build]] = {
    "flask": in_flask_itself,
    "flask-login": in_flask_login,
    "quart": in_quart_itself,
    "django": in_django,
    "litestar": in_litestar,
    "aiohttp-session": in_aiohttp_session,
    "pyramid": in_pyramid,
    "beaker": in_beaker_style,
}
