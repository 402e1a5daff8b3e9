"""What Flask applications and those of Flask-Session configure, as lembro's options."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import flask
import pytest
from flask import Flask
from quart import Quart

from lembro import ConfigError, CookieOptions, MemoryStore, SessionManager, SessionOptions
from lembro.integrations import quart as in_quart
from lembro.integrations.flask import Lembro

DAY = 24 * 60 * 60
SECRET = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"


def options_of(given: Any = None, **config: Any) -> SessionOptions:
    """The options of an application that is configured after the extension was given to it."""
    app = Flask(__name__)
    keywords: dict[str, Any] = given or {}
    lembro = Lembro(app, **keywords)
    app.config.update(config)
    return lembro.manager.options


def test_flasks_defaults() -> None:
    options = options_of()
    assert options.cookie == CookieOptions()
    assert options.idle_timeout == 31 * DAY
    assert options.absolute_timeout == 31 * DAY
    assert not options.secret


@pytest.mark.parametrize(
    ("config", "cookie"),
    [
        ({"SESSION_COOKIE_NAME": "shop"}, {"name": "shop", "prefix": None}),
        (
            {"SESSION_COOKIE_NAME": "__Host-shop", "SESSION_COOKIE_SECURE": True},
            {"name": "shop", "prefix": "host", "secure": True},
        ),
        ({"SESSION_COOKIE_NAME": "session"}, {}),
        ({"SESSION_COOKIE_DOMAIN": "example.org"}, {"domain": "example.org"}),
        ({"SESSION_COOKIE_DOMAIN": False}, {}),
        ({"SESSION_COOKIE_PATH": "/shop"}, {"path": "/shop"}),
        ({"APPLICATION_ROOT": "/shop"}, {"path": "/shop"}),
        ({"APPLICATION_ROOT": "/shop", "SESSION_COOKIE_PATH": "/a"}, {"path": "/a"}),
        ({"SESSION_COOKIE_HTTPONLY": False}, {"httponly": False}),
        ({"SESSION_COOKIE_SECURE": True}, {"secure": True}),
        ({"SESSION_COOKIE_SECURE": False}, {"secure": "auto"}),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, {"samesite": "strict"}),
        ({"SESSION_COOKIE_SAMESITE": None}, {"samesite": "lax"}),
        (
            {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
            {"samesite": "none", "secure": True},
        ),
        (
            {"SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SECURE": True},
            {"partitioned": True, "secure": True},
        ),
        ({"SESSION_PERMANENT": True}, {"max_age": 31 * DAY}),
        ({"SESSION_PERMANENT": True, "PERMANENT_SESSION_LIFETIME": 60}, {"max_age": 60}),
        ({"SESSION_PERMANENT": False}, {}),
    ],
)
def test_the_cookie(config: dict[str, Any], cookie: dict[str, Any]) -> None:
    assert options_of(**config).cookie == CookieOptions(**cookie)


@pytest.mark.parametrize(
    ("given", "lifetime", "idle", "absolute"),
    [
        ({}, 3600, 3600, 30 * DAY),
        ({}, timedelta(hours=1), 3600, 30 * DAY),
        ({}, timedelta(days=90), 90 * DAY, 90 * DAY),
        ({"absolute_timeout": DAY}, timedelta(days=31), DAY, DAY),
        ({"absolute_timeout": DAY}, 3600, 3600, DAY),
        ({"absolute_timeout": None}, 3600, 3600, None),
        ({"idle_timeout": timedelta(hours=1)}, timedelta(days=31), timedelta(hours=1), 30 * DAY),
        ({"idle_timeout": timedelta(hours=1)}, 3600, timedelta(hours=1), 30 * DAY),
    ],
)
def test_lifetimes(given: Any, lifetime: Any, idle: Any, absolute: Any) -> None:
    options = options_of(given, PERMANENT_SESSION_LIFETIME=lifetime)
    assert options.idle_timeout == idle
    assert options.absolute_timeout == absolute


def test_the_secret_key_signs_where_flask_sessions_signer_is_asked_for() -> None:
    config: dict[str, Any] = {"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": [SECRET[::-1].encode()]}
    assert not options_of(**config).secret
    assert options_of(**config, SESSION_USE_SIGNER=True).secret == (SECRET, SECRET[::-1])


@pytest.mark.parametrize(
    ("given", "config", "message"),
    [
        (
            {},
            {"SESSION_COOKIE_SAMESITE": "None"},
            r'samesite="none" needs secure=True.* \(app.config has SESSION_COOKIE_SAMESITE\)',
        ),
        ({}, {"SESSION_COOKIE_SAMESITE": "lox"}, "samesite must be .*got 'lox'"),
        ({}, {"SESSION_COOKIE_PARTITIONED": True}, "partitioned=True needs secure=True"),
        ({}, {"SESSION_COOKIE_NAME": "a b"}, "cookie name .*got 'a b'.*SESSION_COOKIE_NAME"),
        ({}, {"SESSION_COOKIE_DOMAIN": "a;b"}, "cookie domain .*got 'a;b'"),
        (
            {},
            {"PERMANENT_SESSION_LIFETIME": 0},
            "PERMANENT_SESSION_LIFETIME must be more than 0 .*got 0",
        ),
        (
            {},
            {"PERMANENT_SESSION_LIFETIME": "1h"},
            "PERMANENT_SESSION_LIFETIME must be seconds .*got '1h'",
        ),
        ({}, {"SESSION_USE_SIGNER": True}, "signs the cookie with SECRET_KEY, and there is none"),
        ({}, {"SESSION_USE_SIGNER": True, "SECRET_KEY": "dev"}, "can be guessed"),
        ({}, {"SESSION_USE_SIGNER": "false"}, "SESSION_USE_SIGNER='false': write True or False"),
        ({}, {"SESSION_PERMANENT": "no"}, "SESSION_PERMANENT='no': write True or False"),
        (
            {"absolute_timeout": 60},
            {"PERMANENT_SESSION_LIFETIME": 3600},
            "at least idle_timeout.*PERMANENT_SESSION_LIFETIME",
        ),
        (
            {"idle_timeout": 60},
            {"PERMANENT_SESSION_LIFETIME": 3600},
            "PERMANENT_SESSION_LIFETIME=3600.0, but Lembro.* has idle_timeout=60.0: leave one",
        ),
        (
            {"cookie": CookieOptions(name="sid")},
            {"SESSION_COOKIE_SECURE": True},
            "SESSION_COOKIE_SECURE=True, but Lembro.* has secure='auto'",
        ),
        (
            {"cookie": CookieOptions(name="shop")},
            {"SESSION_COOKIE_NAME": "__Secure-shop", "SESSION_COOKIE_SECURE": True},
            "SESSION_COOKIE_NAME='__Secure-shop', but Lembro.* has name='shop'",
        ),
        (
            {"manager": SessionManager(MemoryStore())},
            {"SESSION_COOKIE_NAME": "shop"},
            "SESSION_COOKIE_NAME='shop', but the SessionManager has name='sid'",
        ),
        (
            {"manager": SessionManager(MemoryStore(), idle_timeout=60)},
            {"PERMANENT_SESSION_LIFETIME": 3600},
            "the SessionManager has idle_timeout=60.0",
        ),
        (
            {"manager": SessionManager(MemoryStore())},
            {"SESSION_USE_SIGNER": True, "SECRET_KEY": SECRET},
            r"SESSION_USE_SIGNER=\.\.\., but the SessionManager has secret=\.\.\.",
        ),
    ],
)
def test_what_cannot_be(given: Any, config: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        options_of(given, **config)
    assert SECRET not in str(raised.value)


def test_the_size_of_the_store() -> None:
    app = Flask(__name__)
    lembro = Lembro(app, idle_timeout=60)
    app.config["LEMBRO_MAX_SIZE"] = "1M"
    store: Any = lembro.manager.store
    assert store.max_size == 1 << 20
    assert lembro.manager.options.idle_timeout == 60


@pytest.mark.parametrize("quart", [False, True], ids=["flask", "quart"])
@pytest.mark.parametrize(
    ("given", "config", "message"),
    [
        ({}, {"LEMBRO_MAX_SISE": "64M"}, r"^no setting 'LEMBRO_MAX_SISE'; did you mean LEMBRO_MAX"),
        ({}, {"LEMBRO_SIZE": "64M"}, r"; did you mean LEMBRO_MAX_SIZE\? \(there is LEMBRO_MAX_SI"),
        ({}, {"LEMBRO_IDLE_TIMEOUT": 60}, r"; write idle_timeout=\.\.\. \(there is"),
        ({}, {"LEMBRO_COOKIE_NAME": "a"}, r"; write cookie=CookieOptions\(name=\.\.\.\) \("),
        ({}, {"LEMBRO_INTERVAL": 60}, r", which belongs to the store: MemoryStore\(interval=\.\."),
        (
            {},
            {"LEMBRO_XYZ": 1},
            r"'LEMBRO_XYZ' \(there is .*; the keywords of Lembro\(app, \.\.\.\) ",
        ),
        ({}, {"LEMBRO_MAX_SIZE": "4"}, r"at least 65536.* \(app.config has LEMBRO_MAX_SIZE\)$"),
        (
            {"store": MemoryStore("64K")},
            {"LEMBRO_MAX_SIZE": "1M"},
            "LEMBRO_MAX_SIZE='1M', but Lembro.* was given a store: leave one",
        ),
        (
            {"manager": SessionManager(MemoryStore("64K"))},
            {"LEMBRO_MAX_SIZE": "1M"},
            "LEMBRO_MAX_SIZE='1M', but Lembro.* was given a store: leave one",
        ),
    ],
)
def test_what_looks_like_a_setting_of_lembro(
    quart: bool, given: Any, config: Any, message: str
) -> None:
    app: Any = Quart(__name__) if quart else Flask(__name__)
    lembro: Any = (in_quart.Lembro if quart else Lembro)(app, **given)
    app.config.update(config)
    with pytest.raises(ConfigError, match=message):
        _ = lembro.manager


def test_what_says_the_same_twice() -> None:
    cookie = CookieOptions(name="sid", samesite="strict", secure=True)
    config: dict[str, Any] = {
        "SESSION_COOKIE_NAME": "sid",
        "SESSION_COOKIE_SAMESITE": "Strict",
        "SESSION_COOKIE_SECURE": True,
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=1),
        "SESSION_USE_SIGNER": True,
        "SECRET_KEY": SECRET,
    }
    manager = SessionManager(MemoryStore(), cookie=cookie, idle_timeout=3600, secret=SECRET)
    assert options_of({"manager": manager}, **config) is manager.options
    given = {"cookie": cookie, "idle_timeout": 3600, "secret": [SECRET]}
    assert options_of(given, **config).cookie == cookie


def test_what_is_not_used_is_said(caplog: pytest.LogCaptureFixture) -> None:
    options_of(
        SESSION_TYPE="redis",
        SESSION_REDIS=object(),
        SESSION_FILE_DIR=None,
        SESSION_PROTECTION="strong",  # Flask-Login's
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    assert "SESSION_REDIS, SESSION_TYPE, which lembro does not use" in caplog.text
    assert "SESSION_REFRESH_EACH_REQUEST=False, which lembro does not use" in caplog.text
    assert "SESSION_FILE_DIR" not in caplog.text
    assert "PROTECTION" not in caplog.text


def test_it_is_read_once_when_it_is_first_needed(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask(__name__)
    lembro = Lembro(app)
    app.config.update(SESSION_COOKIE_NAME="sid", SESSION_TYPE="redis")
    app.add_url_rule("/", view_func=lambda: str(flask.session.update(a=1)))
    browser = app.test_client()
    for _ in range(2):
        browser.get("/")
    assert browser.get_cookie("sid") is not None
    assert lembro.manager.length() == 1
    assert caplog.text.count("SESSION_TYPE") == 1


def test_what_is_wrong_is_an_error_of_the_first_request(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask(__name__)
    Lembro(app)
    app.config.update(SESSION_COOKIE_SAMESITE="None")
    app.add_url_rule("/", view_func=lambda: "ok")
    assert app.test_client().get("/").status_code == 500
    assert 'samesite="none" needs secure=True' in caplog.text
    app.testing = True
    with pytest.raises(ConfigError):
        app.test_client().get("/")
