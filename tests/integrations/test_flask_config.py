"""The configuration of Flask applications and of Flask-Session becomes lembro's options."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import flask
import pytest
from flask import Flask
from quart import Quart

from lembro import ConfigError, CookieOptions, MemoryStore, SessionManager, SessionOptions
from lembro.integrations import flask as in_flask
from lembro.integrations import quart as in_quart
from lembro.integrations.flask import Lembro
from lembro.migrate import FlaskCookieReader

DAY = 24 * 60 * 60
SECRET = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"


def options_of(given: Any = None, **config: Any) -> SessionOptions:
    """Return the options of an application that is configured after the extension was set up."""
    app = Flask(__name__)
    keywords: dict[str, Any] = given or {}
    lembro = Lembro(app, **keywords)
    app.config.update(config)
    return lembro.manager.options


def test_flasks_defaults_are_used() -> None:
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
        ({"APPLICATION_ROOT": ""}, {}),
        ({"SESSION_COOKIE_PATH": "", "SESSION_COOKIE_DOMAIN": ""}, {}),
        ({"SESSION_COOKIE_PATH": "", "APPLICATION_ROOT": "/shop"}, {"path": "/shop"}),
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
def test_the_cookie_follows_flasks_settings(config: dict[str, Any], cookie: dict[str, Any]) -> None:
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
def test_the_lifetimes_follow_flasks_settings(
    given: Any, lifetime: Any, idle: Any, absolute: Any
) -> None:
    options = options_of(given, PERMANENT_SESSION_LIFETIME=lifetime)
    assert options.idle_timeout == idle
    assert options.absolute_timeout == absolute


def test_the_secret_key_signs_if_flask_sessions_signer_is_set() -> None:
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
        ({}, {"SESSION_USE_SIGNER": True}, "needs a SECRET_KEY, which signs the cookie"),
        ({}, {"SESSION_USE_SIGNER": True, "SECRET_KEY": "dev"}, "can be guessed"),
        (
            {},
            {"SESSION_USE_SIGNER": "false"},
            "SESSION_USE_SIGNER must be True or False, without quotes, got 'false'",
        ),
        (
            {},
            {"SESSION_PERMANENT": "no"},
            "SESSION_PERMANENT must be True or False, without quotes, got 'no'",
        ),
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
def test_an_invalid_setting_is_refused(given: Any, config: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        options_of(given, **config)
    assert SECRET not in str(raised.value)


def test_the_size_of_the_store_is_a_setting() -> None:
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
        ({}, {"LEMBRO_MAX_SISE": "64M"}, r"^app.config has no setting LEMBRO_MAX_SISE; did you m"),
        ({}, {"LEMBRO_MAX_SISE": "64M"}, r"; did you mean LEMBRO_MAX_SIZE\? The settings are LEM"),
        ({}, {"LEMBRO_SIZE": "64M"}, r"; did you mean LEMBRO_MAX_SIZE\? The settings are LEMBRO_S"),
        ({}, {"LEMBRO_IDLE_TIME": 60}, r"did you mean LEMBRO_IDLE_TIMEOUT\?"),
        ({}, {"LEMBRO_TIMEOUT": 60}, r"did you mean LEMBRO_IDLE_TIMEOUT\?"),
        ({}, {"LEMBRO_EXCLUDED": ["/a"]}, r"did you mean LEMBRO_EXCLUDE\?"),
        ({}, {"LEMBRO_COOKIE_NAME": "a"}, r"you mean LEMBRO_COOKIE=CookieOptions\(name=\.\.\.\)\?"),
        ({}, {"LEMBRO_INTERVAL": 60}, r"mean LEMBRO_STORE=MemoryStore\(interval=\.\.\.\)\?"),
        ({}, {"LEMBRO_TTL": 60}, r"did you mean LEMBRO_IDLE_TIMEOUT\?"),
        ({}, {"LEMBRO_CHECK_PERIOD": 60}, r"mean LEMBRO_STORE=MemoryStore\(interval=\.\.\.\)\?"),
        (
            {},
            {"LEMBRO_RESAVE": False},
            r"RESAVE; leave it out, .* again\. The settings are",
        ),
        (
            {},
            {"LEMBRO_XYZ": 1},
            r"no setting LEMBRO_XYZ; did you mean LEMBRO_\w+\? The settings are ",
        ),
        ({}, {"LEMBRO_MAX_SIZE": "4"}, r"at least 64 KiB.* \(app.config has LEMBRO_MAX_SIZE\)$"),
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
def test_an_unknown_lembro_setting_names_the_nearest_one(
    quart: bool, given: Any, config: Any, message: str
) -> None:
    app: Any = Quart(__name__) if quart else Flask(__name__)
    lembro: Any = (in_quart.Lembro if quart else Lembro)(app, **given)
    app.config.update(config)
    with pytest.raises(ConfigError, match=message):
        _ = lembro.manager


# -- LEMBRO_... ------------------------------------------------------------------------------------


OTHER_STORE = MemoryStore("64K")
OTHER_MANAGER = SessionManager(OTHER_STORE, idle_timeout=60, secret=SECRET)


@pytest.mark.parametrize("field", [each.name for each in fields(SessionOptions)])
def test_every_option_is_a_setting(field: str) -> None:
    values: dict[str, Any] = {
        "idle_timeout": 60,
        "absolute_timeout": timedelta(hours=1),
        "cookie": CookieOptions(name="shop", samesite="strict"),
        "secret": (SECRET,),
        "rotation_grace": 5,
        "max_sessions_per_user": None,
        "at_max_sessions": "refuse",
        "describe": None,
        "store_address": True,
        "load": "asked",
        "remember_timeout": DAY,
        "anonymous_idle_timeout": 60,
        "passive": ("/poll",),
        "migrate_from": (FlaskCookieReader(SECRET),),
    }
    options = options_of(**{f"LEMBRO_{field.upper()}": values[field]})
    assert getattr(options, field) == values[field]
    assert values[field] != getattr(SessionOptions(), field)


@pytest.mark.parametrize(
    ("given", "config", "idle", "absolute"),
    [
        ({}, {"LEMBRO_IDLE_TIMEOUT": 60}, 60, 30 * DAY),
        ({}, {"LEMBRO_ABSOLUTE_TIMEOUT": DAY}, DAY, DAY),
        ({}, {"LEMBRO_ABSOLUTE_TIMEOUT": None}, 31 * DAY, None),
        ({"idle_timeout": 60}, {"LEMBRO_ABSOLUTE_TIMEOUT": 120}, 60, 120),
        ({}, {"LEMBRO_OPTIONS": SessionOptions.aal2()}, 3600, DAY),
        ({}, {"LEMBRO_OPTIONS": SessionOptions(rotation_grace=5)}, DAY, 30 * DAY),
        ({"options": SessionOptions.aal2()}, {}, 3600, DAY),
        ({"options": SessionOptions.aal2()}, {"LEMBRO_IDLE_TIMEOUT": 60}, 60, DAY),
        ({"options": SessionOptions.aal2()}, {"LEMBRO_OPTIONS": SessionOptions.aal2()}, 3600, DAY),
        ({"idle_timeout": 60}, {"LEMBRO_OPTIONS": SessionOptions.aal2()}, 60, DAY),
        (
            {"options": SessionOptions(rotation_grace=5)},
            {"PERMANENT_SESSION_LIFETIME": 3600},
            3600,
            30 * DAY,
        ),
    ],
)
def test_options_from_several_places_are_combined(
    given: Any, config: Any, idle: Any, absolute: Any
) -> None:
    options = options_of(given, **config)
    assert options.idle_timeout == idle
    assert options.absolute_timeout == absolute


def test_a_setting_may_equal_an_argument() -> None:
    given: dict[str, Any] = {
        "idle_timeout": 60,
        "cookie": CookieOptions(name="shop", max_age=timedelta(minutes=1)),
        "secret": SECRET,
        "exclude": ["/a/", "/b/"],
        "store": OTHER_STORE,
    }
    config: dict[str, Any] = {
        "LEMBRO_IDLE_TIMEOUT": timedelta(minutes=1),
        "LEMBRO_COOKIE": CookieOptions(name="shop", max_age=60),
        "LEMBRO_SECRET": [SECRET],
        "LEMBRO_EXCLUDE": ["/b/", "/a/"],
        "LEMBRO_STORE": OTHER_STORE,
        "PERMANENT_SESSION_LIFETIME": 60,
    }
    assert options_of(given, **config).idle_timeout == 60
    config = {
        "LEMBRO_IDLE_TIMEOUT": 60,
        "LEMBRO_OPTIONS": SessionOptions(idle_timeout=timedelta(minutes=1), secret=SECRET),
        "LEMBRO_STORE": OTHER_STORE,
    }
    assert options_of({"manager": OTHER_MANAGER}, **config) is OTHER_MANAGER.options


@pytest.mark.parametrize(
    ("given", "config", "message"),
    [
        (
            {"idle_timeout": 60},
            {"LEMBRO_IDLE_TIMEOUT": 61},
            r"LEMBRO_IDLE_TIMEOUT=61, but Lembro\(...\) has idle_timeout=60: leave one of them out",
        ),
        (
            {"manager": OTHER_MANAGER},
            {"LEMBRO_IDLE_TIMEOUT": 61},
            "LEMBRO_IDLE_TIMEOUT=61, but the SessionManager has idle_timeout=60",
        ),
        (
            {"manager": OTHER_MANAGER},
            {"LEMBRO_SECRET": SECRET[::-1]},
            r"LEMBRO_SECRET=\.\.\., but the SessionManager has secret=\.\.\.",
        ),
        (
            {"manager": OTHER_MANAGER},
            {"LEMBRO_OPTIONS": SessionOptions.aal2()},
            "LEMBRO_OPTIONS=SessionOptions.*, but the SessionManager has options=",
        ),
        (
            {"options": SessionOptions.aal3()},
            {"LEMBRO_OPTIONS": SessionOptions.aal2()},
            r"LEMBRO_OPTIONS=SessionOptions.*, but Lembro\(...\) has options=",
        ),
        (
            {},
            {"LEMBRO_IDLE_TIMEOUT": 60, "PERMANENT_SESSION_LIFETIME": 61},
            "PERMANENT_SESSION_LIFETIME=61.0, but LEMBRO_IDLE_TIMEOUT has idle_timeout=60.0",
        ),
        (
            {},
            {"LEMBRO_COOKIE": CookieOptions(name="shop"), "SESSION_COOKIE_SECURE": True},
            "SESSION_COOKIE_SECURE=True, but LEMBRO_COOKIE has secure='auto'",
        ),
        (
            {"options": SessionOptions.aal2()},
            {"PERMANENT_SESSION_LIFETIME": 61},
            "PERMANENT_SESSION_LIFETIME=61.0, but the SessionOptions has idle_timeout=3600.0",
        ),
        (
            {"cookie": CookieOptions(name="shop")},
            {"LEMBRO_COOKIE": CookieOptions(name="shop", prefix=None)},
            r"LEMBRO_COOKIE=.*, but Lembro\(...\) has cookie=",
        ),
        (
            {"exclude": ["/a/"]},
            {"LEMBRO_EXCLUDE": ["/b/"]},
            r"LEMBRO_EXCLUDE=\['/b/'\], but Lembro\(...\) has exclude=\['/a/'\]",
        ),
        ({}, {"LEMBRO_EXCLUDE": ["b/"]}, r"exclude takes path .*\(app.config has LEMBRO_EXCLUDE\)"),
        (
            {},
            {"LEMBRO_OPTIONS": {"idle_timeout": 60}},
            "LEMBRO_OPTIONS must be SessionOptions, got",
        ),
        (
            {},
            {"LEMBRO_IDLE_TIMEOUT": -1},
            r"idle_timeout must be .*got -1.*\(app.config has LEMBRO_IDLE_TIMEOUT\)",
        ),
        (
            {"idle_timeout": 3600},
            {"LEMBRO_ABSOLUTE_TIMEOUT": 60},
            r"must be at least idle_timeout.*\(app.config has LEMBRO_ABSOLUTE_TIMEOUT\)",
        ),
        ({}, {"LEMBRO_STORE": {}}, "store must be a store, got {}"),
        (
            {"store": MemoryStore("64K")},
            {"LEMBRO_STORE": OTHER_STORE},
            r"LEMBRO_STORE=.*, but Lembro\(...\) was given a store: leave one",
        ),
        (
            {"manager": SessionManager(MemoryStore("64K"))},
            {"LEMBRO_STORE": OTHER_STORE},
            r"LEMBRO_STORE=.*, but Lembro\(...\) was given a store: leave one",
        ),
        (
            {},
            {"LEMBRO_STORE": OTHER_STORE, "LEMBRO_MAX_SIZE": "1M"},
            "LEMBRO_STORE and LEMBRO_MAX_SIZE='1M': leave one of them out",
        ),
    ],
)
def test_an_invalid_lembro_setting_is_refused(given: Any, config: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        options_of(given, **config)
    assert SECRET not in str(raised.value)


def test_a_store_in_the_configuration() -> None:
    app = Flask(__name__)
    lembro = Lembro(app)
    app.config["LEMBRO_STORE"] = OTHER_STORE
    assert lembro.manager.store is OTHER_STORE


@pytest.mark.parametrize("given", [{}, {"manager": OTHER_MANAGER}])
def test_excluded_paths_in_the_configuration(given: Any) -> None:
    app = Flask(__name__)
    Lembro(app, **given)
    app.config["LEMBRO_EXCLUDE"] = ["/assets/"]
    app.add_url_rule("/assets/a", view_func=lambda: str(in_flask.session.get("a")))
    app.testing = True
    with pytest.raises(ConfigError, match="no lembro session"):
        app.test_client().get("/assets/a")


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_LEMBRO_IDLE_TIMEOUT", "60")
    monkeypatch.setenv("FLASK_LEMBRO_MAX_SIZE", "1M")
    app = Flask(__name__)
    lembro = Lembro(app)
    app.config.from_prefixed_env()
    assert lembro.manager.options.idle_timeout == 60


# -- conflicts and unused settings -----------------------------------------------------------------


def test_two_settings_for_one_option_are_refused() -> None:
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


def test_an_unused_setting_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    options_of(
        SESSION_TYPE="redis",
        SESSION_REDIS=object(),
        SESSION_ID_LENGTH=32,
        SESSION_FILE_DIR=None,
        SESSION_PROTECTION="strong",  # Flask-Login's
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    unused = "SESSION_ID_LENGTH, SESSION_REDIS, SESSION_TYPE, which lembro does not use"
    assert unused in caplog.text
    assert "SESSION_REFRESH_EACH_REQUEST=False, which lembro does not use" in caplog.text
    assert "SESSION_FILE_DIR" not in caplog.text
    assert "PROTECTION" not in caplog.text


def test_the_configuration_is_read_once_at_the_first_use(caplog: pytest.LogCaptureFixture) -> None:
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


def test_an_invalid_setting_is_an_error_of_the_first_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Flask(__name__)
    Lembro(app)
    app.config.update(SESSION_COOKIE_SAMESITE="None")
    app.add_url_rule("/", view_func=lambda: "ok")
    assert app.test_client().get("/").status_code == 500
    assert 'samesite="none" needs secure=True' in caplog.text
    app.testing = True
    with pytest.raises(ConfigError):
        app.test_client().get("/")
