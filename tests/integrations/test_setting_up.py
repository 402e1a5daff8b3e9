"""The setup errors that all integrations share, which get the application as an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon
import falcon.asgi
import flask
import pytest
import quart
import sanic
from aiohttp import web
from bottle import Bottle
from litestar import Litestar
from starlette.applications import Starlette
from tornado.web import Application

from lembro import ConfigError, MemoryStore, SessionManager, SessionOptions, asgi, wsgi
from lembro.integrations import aiohttp, bottle, litestar, starlette, tornado
from lembro.integrations import falcon as in_falcon
from lembro.integrations import flask as in_flask
from lembro.integrations import quart as in_quart
from lembro.integrations import sanic as in_sanic

SET_UP: list[Any] = [
    pytest.param(in_falcon.Lembro, "Falcon", id="falcon"),
    pytest.param(in_flask.Lembro, "Flask", id="flask"),
    pytest.param(in_quart.Lembro, "Quart", id="quart"),
    pytest.param(in_sanic.Lembro, "Sanic", id="sanic"),
    pytest.param(tornado.Lembro, "Tornado", id="tornado"),
    pytest.param(aiohttp.setup, "aiohttp", id="aiohttp"),
]
MIDDLEWARES = [
    pytest.param(asgi.SessionMiddleware, id="asgi"),
    pytest.param(wsgi.SessionMiddleware, id="wsgi"),
    pytest.param(starlette.SessionMiddleware, id="starlette"),
]


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore("64K"))


@pytest.mark.parametrize(("set_up", "framework"), SET_UP)
def test_a_missing_application_is_an_error(
    set_up: Callable[..., object], framework: str, manager: SessionManager
) -> None:
    call = set_up.__name__
    with pytest.raises(ConfigError) as raised:
        set_up(manager)
    assert str(raised.value) == (
        f"the first argument must be the {framework} application, got "
        f"<SessionManager over MemoryStore>. Example: {call}(app)"
    )


@pytest.mark.parametrize(("set_up", "framework"), SET_UP)
def test_an_object_that_is_no_application_is_an_error(
    set_up: Callable[..., object], framework: str, manager: SessionManager
) -> None:
    for wrong in ("shop", object(), sanic.Blueprint("shop"), flask.Blueprint("shop", __name__)):
        with pytest.raises(ConfigError, match=rf"must be the {framework} application, got"):
            set_up(wrong, manager)


@pytest.mark.parametrize("middleware", MIDDLEWARES)
def test_a_missing_application_of_a_middleware_is_an_error(
    middleware: Callable[..., object], manager: SessionManager
) -> None:
    with pytest.raises(
        ConfigError, match=r"must be a .* application, got .* SessionMiddleware\(app\)"
    ):
        middleware(manager)


@pytest.mark.parametrize("middleware", MIDDLEWARES)
def test_swapped_arguments_of_a_middleware_are_an_error(
    middleware: Callable[..., object], manager: SessionManager
) -> None:
    for first, second in ((manager, Starlette()), (manager, flask.Flask("a")), (None, manager)):
        with pytest.raises(ConfigError) as raised:
            middleware(first, second)
        assert str(raised.value) == (
            f"the first argument must be a WSGI or ASGI application, got {first!r}. "
            f"Example: SessionMiddleware(app)"
        )


@pytest.mark.parametrize(("set_up", "framework"), SET_UP)
def test_swapped_arguments_of_a_setup_are_an_error(
    set_up: Callable[..., object], framework: str, manager: SessionManager
) -> None:
    message = f"^the first argument must be the {framework} application, got <SessionManager .*>. "
    with pytest.raises(ConfigError, match=message):
        set_up(manager, web.Application())


def test_an_object_that_is_no_application_in_init_app_is_an_error(manager: SessionManager) -> None:
    for lembro in (in_flask.Lembro(None, manager), in_quart.Lembro(None, manager)):
        with pytest.raises(ConfigError, match=r"must be the \w+ application"):
            lembro.init_app(manager)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("set_up", "app"),
    [
        pytest.param(in_flask.Lembro, lambda: flask.Flask("shop"), id="flask"),
        pytest.param(in_quart.Lembro, lambda: quart.Quart("shop"), id="quart"),
        pytest.param(
            in_sanic.Lembro,
            lambda: sanic.Sanic("shop_set_up_twice", configure_logging=False),
            id="sanic",
        ),
        pytest.param(tornado.Lembro, Application, id="tornado"),
        pytest.param(aiohttp.setup, web.Application, id="aiohttp"),
        pytest.param(in_falcon.Lembro, falcon.App, id="falcon"),
        pytest.param(in_falcon.Lembro, falcon.asgi.App, id="falcon-asgi"),
    ],
)
def test_a_second_setup_is_refused(
    set_up: Callable[..., object], app: Callable[[], Any], manager: SessionManager
) -> None:
    """With two managers, the session would belong to one of them.

    The cookie of the other one would be set as well, or not at all.
    """
    served = app()
    set_up(served, manager)
    for again in (manager, SessionManager(MemoryStore("64K"))):
        with pytest.raises(ConfigError, match="already installed in this application"):
            set_up(served, again)


@pytest.mark.parametrize(
    ("set_up", "app"),
    [
        pytest.param(bottle.Lembro, Bottle, id="bottle"),
        pytest.param(in_falcon.Lembro, falcon.App, id="falcon"),
        pytest.param(in_falcon.Lembro, falcon.asgi.App, id="falcon-asgi"),
        pytest.param(
            in_sanic.Lembro,
            lambda: sanic.Sanic("shop_without_arguments", configure_logging=False),
            id="sanic",
        ),
        pytest.param(tornado.Lembro, Application, id="tornado"),
    ],
)
def test_the_application_alone_is_enough(
    set_up: Callable[..., Any], app: Callable[[], Any]
) -> None:
    assert set_up(app()).manager.options == SessionOptions()


@pytest.mark.parametrize(
    ("set_up", "app"),
    [
        pytest.param(bottle.Lembro, Bottle, id="bottle"),
        pytest.param(in_falcon.Lembro, falcon.App, id="falcon"),
        pytest.param(
            in_sanic.Lembro,
            lambda: sanic.Sanic("shop_with_options", configure_logging=False),
            id="sanic",
        ),
        pytest.param(tornado.Lembro, Application, id="tornado"),
    ],
)
def test_an_options_object_and_single_options_are_combined(
    set_up: Callable[..., Any], app: Callable[[], Any], manager: SessionManager
) -> None:
    served = app()
    with pytest.raises(ConfigError, match="options cannot be given together with"):
        set_up(served, manager, options=SessionOptions())
    options = set_up(served, options=SessionOptions.aal2(), idle_timeout=60).manager.options
    assert (options.idle_timeout, options.absolute_timeout) == (60, 86400)


def test_an_options_object_as_the_config_of_the_plugin_is_refused() -> None:
    config: Any = SessionOptions()
    with pytest.raises(ConfigError, match=r"must be a LembroSessionConfig, got SessionOptions\("):
        litestar.LembroPlugin(config=config)


def test_two_plugins_are_refused(manager: SessionManager) -> None:
    plugins = [litestar.LembroPlugin(manager), litestar.LembroPlugin(manager)]
    with pytest.raises(ConfigError, match="LembroPlugin is already installed"):
        Litestar(plugins=plugins)
    assert Litestar(plugins=plugins[:1])


def test_a_refused_setup_leaves_the_application_unchanged(manager: SessionManager) -> None:
    app = web.Application()
    with pytest.raises(ConfigError, match="path prefixes that begin with"):
        aiohttp.setup(app, manager, exclude=["static/"])
    aiohttp.setup(app, manager)
    assert len(app.middlewares) == 1


@pytest.mark.parametrize("app", [falcon.App, falcon.asgi.App])
def test_both_kinds_of_falcon_are_applications(app: Any, manager: SessionManager) -> None:
    assert in_falcon.Lembro(app(), manager).manager is manager
