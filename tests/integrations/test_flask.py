"""``flask.session`` over lembro: the promises of Flask's own session, and the differences."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from flask import Flask
from flask.sessions import SessionMixin
from flask.testing import FlaskClient
from markupsafe import Markup
from pyramid.config import Configurator
from pyramid.response import Response as PyramidResponse
from werkzeug.test import Client, TestResponse

from lembro import (
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    Session,
    SessionCommitted,
    SessionManager,
    SessionOptions,
    StoreError,
    wsgi,
)
from lembro.integrations import beaker
from lembro.integrations.flask import FlaskSession, Lembro, session
from lembro.integrations.pyramid import LembroSessionFactory
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter, BlockingAdapter

View = Callable[[], Any]


class Shop:
    """An application to which a test adds views, and a browser."""

    def __init__(self, **options: Any) -> None:
        self.store = Recorder()
        self.manager = SessionManager(self.store, **options)
        self.app = Flask(__name__)
        self.lembro = Lembro(self.app, self.manager)
        self.browser: FlaskClient = self.app.test_client()

    def get(self, view: View, **keywords: Any) -> TestResponse:
        """Add a view, and request it."""
        path = f"/{len(self.app.view_functions)}"
        self.app._got_first_request = False  # views are added while the application runs
        self.app.add_url_rule(path, path, view)
        return self.browser.get(path, **keywords)

    @property
    def cookie(self) -> str | None:
        cookie = self.browser.get_cookie("sid")
        return None if cookie is None else cookie.value

    @property
    def data(self) -> dict[str, Any]:
        """The data of the only session."""
        (info,) = self.manager.all()
        return info.data


@pytest.fixture
def shop() -> Shop:
    return Shop()


def no_view() -> str:
    return "ok"


def log_out() -> str:
    session.logout()
    return "bye"


def put(**values: Any) -> View:
    def view() -> str:
        flask.session.update(values)
        return "ok"

    return view


def age_of(response: TestResponse) -> str | None:
    (header,) = response.headers.getlist("Set-Cookie")
    for part in header.split("; "):
        if part.startswith("Max-Age="):
            return part.removeprefix("Max-Age=")
    return None


# -- usual use -------------------------------------------------------------------------------------


def test_the_session_is_a_mapping_like_flasks(shop: Shop) -> None:
    def view() -> dict[str, Any]:
        current = flask.session._get_current_object()  # type: ignore[attr-defined]
        assert isinstance(current, Session)
        assert isinstance(current, SessionMixin)
        assert not flask.session
        flask.session["a"] = 1
        flask.session.setdefault("b", []).append(2)
        assert "a" in flask.session
        assert flask.session.pop("a") == 1
        assert flask.session.get("a") is None
        return dict(flask.session)

    assert shop.get(view).json == {"b": [2]}
    assert shop.data == {"b": [2]}


def test_nested_changes_are_kept(shop: Shop) -> None:
    shop.get(put(cart=[]))
    shop.get(lambda: str(flask.session["cart"].append("bread")))
    assert shop.data == {"cart": ["bread"]}


def test_flashed_messages_are_shown_once(shop: Shop) -> None:
    def flash() -> str:
        flask.flash("a & b", "error")
        flask.flash(Markup("<b>c</b>"))
        return "ok"

    template = "{% for m in get_flashed_messages() %}{{ m }};{% endfor %}"
    shop.get(flash)
    assert shop.get(lambda: flask.render_template_string(template)).text == "a &amp; b;<b>c</b>;"
    assert shop.get(lambda: flask.render_template_string(template)).text == ""


def test_session_transaction_of_the_test_client_works(shop: Shop) -> None:
    with shop.browser.session_transaction() as opened:
        opened["a"] = 1
    assert shop.cookie is not None
    assert shop.get(lambda: dict(flask.session)).json == {"a": 1}
    with shop.browser.session_transaction() as opened:
        assert opened["a"] == 1
        opened.clear()
    assert shop.cookie is None


def test_an_async_view_uses_the_session(shop: Shop) -> None:
    async def view() -> str:
        session["a"] = 1
        await session.asave()
        return "ok"

    shop.get(view)
    assert shop.data == {"a": 1}


def test_the_typed_proxy_logs_in_and_out(shop: Shop) -> None:
    def log_in() -> str:
        session.login("heidi")
        assert isinstance(session, FlaskSession)
        return "ok"

    shop.get(put(cart=["bread"]))
    before = shop.cookie
    shop.get(log_in)
    assert shop.cookie != before
    assert shop.get(lambda: {"user": session.user_id, **session}).json == {
        "user": "heidi",
        "cart": ["bread"],
    }
    shop.get(log_out)
    assert shop.cookie is None
    assert shop.manager.length() == 0


def test_clear_ends_the_session(shop: Shop) -> None:
    """The login of Flask's own tutorial calls it."""

    def log_in() -> str:
        flask.session.clear()
        flask.session["user_id"] = 1
        return "ok"

    shop.get(put(a=1))
    before = shop.cookie
    shop.get(log_in)
    assert shop.cookie != before
    assert shop.data == {"user_id": 1}


def test_regenerate_works_as_in_flask_session(shop: Shop) -> None:
    shop.get(put(a=1))
    before = shop.cookie
    shop.get(lambda: str(shop.app.session_interface.regenerate(flask.session)))  # type: ignore[attr-defined]
    assert shop.cookie != before
    assert shop.data == {"a": 1}


# -- access ----------------------------------------------------------------------------------------


def test_a_page_that_does_not_use_the_session_has_no_vary(shop: Shop) -> None:
    shop.get(put(a=1))
    shop.store.verbs.clear()
    for view in (
        no_view,
        lambda: flask.render_template_string("{{ 1 }}"),
        lambda: str(flask.session._get_current_object() is None),  # type: ignore[attr-defined]
        lambda: str(flask.session.accessed),
    ):
        assert "Vary" not in shop.get(view).headers
    assert shop.store.verbs == []


def test_a_page_that_uses_the_session_has_vary(shop: Shop) -> None:
    for view in (
        lambda: str(flask.session.get("a")),
        lambda: flask.render_template_string("{{ session['a'] }}"),
        lambda: str(flask.session.permanent),
        lambda: str(flask.session.new),
        lambda: flask.jsonify(dict(flask.session)),
    ):
        assert shop.get(view).headers["Vary"] == "Cookie"


def test_vary_of_the_view_is_extended(shop: Shop) -> None:
    def view() -> flask.Response:
        response = flask.make_response(str(flask.session.get("a")))
        response.vary.update(("Accept", "Accept-Encoding"))
        return response

    assert shop.get(view).headers.getlist("Vary") == ["Accept, Accept-Encoding, Cookie"]


def test_accessed_tells_whether_the_session_was_used(shop: Shop) -> None:
    seen = []

    def view() -> str:
        seen.append(flask.session.accessed)
        flask.session.get("a")
        seen.append(flask.session.accessed)
        return "ok"

    shop.get(view)
    assert seen == [False, True]


# -- modified --------------------------------------------------------------------------------------


def test_modified_is_true_after_a_change(shop: Shop) -> None:
    shop.get(put(cart=[], a=1))

    def view() -> str:
        assert not flask.session.modified
        assert flask.session["cart"] == []
        assert not flask.session.modified
        flask.session["cart"].append(1)
        assert flask.session.modified
        flask.session["cart"].pop()
        assert not flask.session.modified
        flask.session["a"] = 2
        assert flask.session.modified
        flask.session["a"] = 1
        assert not flask.session.modified
        session.login("heidi")
        assert flask.session.modified
        return "ok"

    assert shop.get(view).status_code == 200


def test_modified_is_true_for_a_change_that_the_commit_refuses(shop: Shop) -> None:
    def view() -> str:
        flask.session["a"] = []
        flask.session["a"].append(object())
        return str(flask.session.modified)

    assert shop.get(view).status_code == 500
    assert shop.manager.length() == 0


def test_modified_is_true_after_the_commit_too(shop: Shop) -> None:
    seen = []
    shop.app.teardown_request(lambda error: seen.append(flask.session.modified))
    shop.get(put(a=1))
    shop.get(lambda: str(flask.session["a"]))
    shop.get(no_view)
    assert seen == [True, False, False]


def test_modified_set_to_true_extends_the_session() -> None:
    shop = Shop(idle_timeout=100)

    def touch() -> str:
        flask.session.modified = True
        return "ok"

    shop.get(put(a=1))
    shop.store.clock.advance(5)
    shop.get(touch)
    shop.store.clock.advance(99)
    assert shop.manager.length() == 1


def test_modified_set_to_true_does_not_extend_in_a_passive_request() -> None:
    """Many applications write it after each nested change, also where a page polls."""
    shop = Shop(idle_timeout=100, passive="/")

    def append() -> str:
        flask.session["a"].append(1)
        flask.session.modified = True
        return "ok"

    shop.get(put(a=[]))
    shop.store.clock.advance(5)
    shop.get(append)
    shop.store.clock.advance(96)
    assert shop.manager.length() == 0


def test_modified_set_to_false_drops_the_changes(shop: Shop) -> None:
    def drop() -> str:
        flask.session["a"] = 2
        flask.session.modified = False
        assert not flask.session.modified
        return str(flask.session["a"])

    assert not shop.get(drop).headers.getlist("Set-Cookie")
    shop.get(put(a=1))
    assert shop.get(drop).text == "2"
    assert shop.data == {"a": 1}


def test_a_change_after_modified_set_to_false_is_stored(shop: Shop) -> None:
    def view() -> str:
        flask.session["a"] = 1
        flask.session.modified = False
        flask.session["b"] = 2
        assert flask.session.modified
        return "ok"

    shop.get(view)
    assert shop.data == {"a": 1, "b": 2}


def test_modified_set_to_false_drops_values_that_cannot_be_stored(shop: Shop) -> None:
    def drop() -> str:
        flask.session["cart"].append(object())
        flask.session.modified = False
        assert not flask.session.modified
        return "ok"

    shop.get(put(cart=[1]))
    assert shop.get(drop).status_code == 200
    assert shop.data == {"cart": [1]}


def test_an_unstorable_value_after_modified_set_to_false_is_a_500(shop: Shop) -> None:
    def view() -> str:
        flask.session["cart"].append(2)
        flask.session.modified = False
        flask.session["cart"].append(object())
        assert flask.session.modified
        return "ok"

    shop.get(put(cart=[1]))
    assert shop.get(view).status_code == 500
    assert shop.data == {"cart": [1]}


def test_modified_set_to_false_keeps_a_logout(shop: Shop) -> None:
    shop.get(put(a=1))

    def view() -> str:
        session.logout()
        session["a"] = 2
        session.modified = False
        return "ok"

    shop.get(view)
    assert shop.cookie is None
    assert shop.manager.length() == 0


# -- permanent -------------------------------------------------------------------------------------


def make_permanent(permanent: bool = True) -> View:
    def view() -> str:
        flask.session.permanent = permanent
        return str(flask.session.permanent)

    return view


@pytest.fixture
def lasting() -> Shop:
    return Shop(idle_timeout=3600, absolute_timeout=7200)


def test_the_cookie_of_a_permanent_session_is_persistent(lasting: Shop) -> None:
    def view() -> str:
        flask.session.permanent = True
        flask.session["a"] = 1
        return "ok"

    assert age_of(lasting.get(view)) == "7200"
    assert lasting.get(lambda: str(flask.session.permanent)).text == "True"
    assert lasting.data == {"a": 1}  # not a key of the session


def test_a_session_is_made_permanent_and_temporary_again(lasting: Shop) -> None:
    assert age_of(lasting.get(put(a=1))) is None
    before = lasting.cookie
    lasting.store.clock.advance(200)
    assert age_of(lasting.get(make_permanent())) == "7000"
    assert lasting.cookie == before
    assert not lasting.get(make_permanent()).headers.getlist("Set-Cookie")
    assert age_of(lasting.get(make_permanent(False))) is None
    assert lasting.cookie == before


def test_permanent_at_every_request_stores_nothing_by_itself(lasting: Shop) -> None:
    lasting.app.before_request(lambda: setattr(flask.session, "permanent", True))
    assert not lasting.get(no_view).headers.getlist("Set-Cookie")
    assert lasting.manager.length() == 0
    assert age_of(lasting.get(put(a=1))) == "7200"
    assert not lasting.get(no_view).headers.getlist("Set-Cookie")
    assert lasting.store.verbs.count("set") == 0


def test_a_login_in_a_permanent_session_is_remembered(lasting: Shop) -> None:
    def log_in() -> str:
        session.permanent = True
        session.login("heidi")
        return "ok"

    assert age_of(lasting.get(log_in)) == "7200"


def test_permanent_is_kept_if_another_request_commits_first(lasting: Shop) -> None:
    lasting.app.add_url_rule("/other", "other", put(b=2))
    lasting.get(put(a=1))
    other = lasting.app.test_client()
    assert lasting.cookie is not None
    other.set_cookie("sid", lasting.cookie)

    def view() -> str:
        flask.session.permanent = True
        lasting.store.before["set"] = lambda: other.get("/other")
        return "ok"

    assert age_of(lasting.get(view)) is not None
    assert lasting.data == {"a": 1, "b": 2}
    assert lasting.get(lambda: str(flask.session.permanent)).text == "True"


def test_new_is_true_for_a_new_session(shop: Shop) -> None:
    assert shop.get(lambda: str(flask.session.new)).text == "True"
    shop.get(put(a=1))
    assert shop.get(lambda: str(flask.session.new)).text == "False"


# -- failures --------------------------------------------------------------------------------------


def fails() -> str:
    flask.session["a"] = 2
    session.logout()
    flask.session["b"] = 2
    raise LookupError("no such page")


@pytest.mark.parametrize("propagate", [True, False])
def test_a_failed_view_changes_nothing_and_a_logout_holds(shop: Shop, propagate: bool) -> None:
    shop.app.config["PROPAGATE_EXCEPTIONS"] = propagate
    shop.get(put(a=1))
    if propagate:
        with pytest.raises(LookupError):
            shop.get(fails)
    else:
        response = shop.get(fails)
        assert response.status_code == 500
        assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert shop.manager.length() == 0


def test_a_logout_holds_if_an_after_request_function_fails(shop: Shop) -> None:
    """Flask responds with 500 and does not save the session."""

    @shop.app.after_request
    def failing(response: flask.Response) -> flask.Response:
        if flask.request.args:
            raise LookupError
        return response

    def view() -> str:
        session.logout()
        session["b"] = 2
        return "bye"

    shop.get(put(a=1))
    assert shop.get(view, query_string="fail=1").status_code == 500
    assert shop.manager.length() == 0


def test_a_failure_of_the_server_saves_nothing(shop: Shop) -> None:
    def view() -> str:
        session.logout()
        raise SystemExit

    shop.get(put(a=1))
    with pytest.raises(SystemExit):
        shop.get(view)
    assert shop.manager.length() == 0


def test_an_error_page_that_redirects_can_flash(shop: Shop) -> None:
    @shop.app.errorhandler(LookupError)
    def elsewhere(error: LookupError) -> Any:
        flask.flash("no such page")
        return flask.redirect("/")

    def view() -> str:
        raise LookupError

    assert shop.get(view).status_code == 302
    assert shop.data == {"_flashes": [("message", "no such page")]}


def test_an_error_page_that_replaces_the_response_keeps_the_cookie(shop: Shop) -> None:
    def disturb(*_: Any, **__: Any) -> None:
        if not disturbed:
            disturbed.append(1)
            raise LookupError

    disturbed: list[int] = []
    flask.request_finished.connect(disturb, shop.app)
    response = shop.get(put(a=1))
    assert response.status_code == 500
    assert shop.cookie is not None
    assert shop.get(lambda: dict(flask.session)).json == {"a": 1}


def test_a_replaced_response_is_closed(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"never"

        def close(self) -> None:
            closed.append(1)

    def view() -> flask.Response:
        flask.session["a"] = []
        flask.session["a"].append(object())
        return flask.Response(Body(), headers={"X-One": "1", "ETag": '"1"'})

    shop.get(put(a=1))
    response = shop.get(view)
    assert response.status == "500 Internal Server Error"
    assert response.text == "The session could not be stored.\n"
    assert set(response.headers.keys()) == {
        *("Content-Type", "Content-Length", "Cache-Control", "Vary"),
    }
    assert closed
    response.close()
    assert "a[0]: a session cannot store an object" in caplog.text
    assert "too late" not in caplog.text
    assert "is lost" not in caplog.text


def test_a_store_failure_at_the_first_access_is_a_503() -> None:
    store = Recorder()
    app = Flask(__name__)
    Lembro(app, SessionManager(BlockingAdapter(store)))
    app.add_url_rule("/", view_func=lambda: str(flask.session.get("a")))
    store.fail.add("get")
    browser = app.test_client()
    browser.set_cookie("sid", "a" * 43)
    response = browser.get("/")
    assert response.status == "503 Service Unavailable"
    assert response.text == "The session store is not available. Try again in a moment.\n"
    assert not response.headers.getlist("Set-Cookie")


def test_a_store_failure_at_a_first_access_after_the_view_is_a_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Flask-Login accesses every session there."""
    store = Recorder()
    app = Flask(__name__)
    Lembro(app, SessionManager(BlockingAdapter(store)))

    @app.after_request
    def looking(response: flask.Response) -> flask.Response:
        flask.session.get("a")
        return response

    app.add_url_rule("/", view_func=no_view)
    store.fail.add("get")
    browser = app.test_client()
    assert browser.get("/").status_code == 200
    browser.set_cookie("sid", "a" * 43)
    response = browser.get("/")
    assert response.status == "503 Service Unavailable"
    assert response.text == "The session store is not available. Try again in a moment.\n"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Traceback" not in caplog.text


def test_the_application_may_respond_to_a_store_failure() -> None:
    app = Flask(__name__)
    app.register_error_handler(StoreError, lambda error: ("patience", 503))
    Lembro(app)

    def view() -> str:
        raise StoreError("down")

    app.add_url_rule("/", view_func=view)
    assert app.test_client().get("/").text == "patience"


def needs_a_login() -> str:
    flask.session["a"] = 2
    session.require_recent(60)
    return "never"


def test_a_required_login_is_a_401(shop: Shop) -> None:
    """As in every error response of lembro, the changes are dropped."""
    shop.get(put(a=1))
    response = shop.get(needs_a_login)
    assert response.status == "401 Unauthorized"
    assert response.text == "Log in first.\n"
    assert response.headers["WWW-Authenticate"] == "Cookie"
    assert response.headers["Vary"] == "Cookie"
    assert shop.data == {"a": 1}


def test_a_logout_before_a_required_login_holds(shop: Shop) -> None:
    def view() -> str:
        session.logout()
        session.require_recent(60)
        return "never"

    shop.get(put(a=1))
    assert shop.get(view).status_code == 401
    assert shop.cookie is None
    assert shop.manager.length() == 0


def test_the_application_may_respond_to_a_required_login(shop: Shop) -> None:
    @shop.app.errorhandler(LoginRequired)
    def ask(error: LoginRequired) -> Any:
        flask.flash("log in first")
        return flask.redirect("/login")

    assert shop.get(needs_a_login).status_code == 302
    assert shop.data == {"a": 2, "_flashes": [("message", "log in first")]}


def test_a_login_required_after_the_view_is_a_401(shop: Shop) -> None:
    @shop.app.after_request
    def strict(response: flask.Response) -> flask.Response:
        session.require_recent(60)
        return response

    response = shop.get(put(a=1))
    assert (response.status_code, response.text) == (401, "Log in first.\n")
    assert shop.manager.length() == 0


def test_a_login_stores_the_device_and_the_address() -> None:
    shop = Shop(describe=lambda visitor: visitor.user_agent, store_address=True)

    def log_in() -> str:
        session.login("heidi")
        return "ok"

    shop.get(log_in, headers={"User-Agent": "Firefox"})
    (info,) = shop.manager.user_sessions("heidi")
    assert (info.device, info.address) == ("Firefox", "127.0.0.1")


# -- excluded paths --------------------------------------------------------------------------------


def fails_without_a_session() -> str:
    raise StoreError("down")


def test_an_excluded_path_has_no_session(shop: Shop) -> None:
    app = Flask(__name__)
    Lembro(app, shop.manager, exclude=["/assets/"])

    def look() -> dict[str, Any]:
        return {"seen": dict(flask.session), "flashed": flask.get_flashed_messages()}

    def write() -> str:
        with pytest.raises(ConfigError, match=r"no lembro session.*exclude="):
            flask.session["a"] = 2
        with pytest.raises(ConfigError, match=r"no lembro session.*exclude="):
            session.get("a")
        return "ok"

    app.add_url_rule("/", "put", put(a=1))
    for path in ("/look", "/assets/look"):
        app.add_url_rule(path, path, look)
    app.add_url_rule("/assets/write", view_func=write)
    app.add_url_rule("/assets/fails", view_func=fails_without_a_session)
    browser = app.test_client()
    browser.get("/")
    assert browser.get("/look").json == {"seen": {"a": 1}, "flashed": []}
    response = browser.get("/assets/look")
    assert response.json == {"seen": {}, "flashed": []}
    assert "Set-Cookie" not in response.headers
    assert browser.get("/assets/write").text == "ok"
    assert browser.get("/assets/fails").status_code == 503
    assert shop.data == {"a": 1}


# -- after the response has begun ------------------------------------------------------------------


def test_a_change_in_a_teardown_function_raises(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    raised = []

    @shop.app.teardown_request
    def late(error: BaseException | None) -> None:
        try:
            flask.session["b"] = 1
        except SessionCommitted as committed:
            raised.append(committed)
        flask.session["cart"].append(1)

    shop.get(put(cart=[]))
    assert raised
    assert "changed after the response had begun; the change is lost" in caplog.text
    assert shop.data == {"cart": []}


def test_a_stream_edits_the_session(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def view() -> flask.Response:
        flask.session["cart"] = []

        def lines() -> Iterator[str]:
            yield "1"
            with session.edit():
                flask.session["b"] = 1
            yield "2"
            if flask.request.args:
                flask.session["cart"].append(1)

        return flask.Response(flask.stream_with_context(lines()))

    assert shop.get(view).text == "12"
    assert shop.data == {"cart": [], "b": 1}
    assert caplog.text == ""
    response = shop.get(view, query_string={"late": "1"})
    assert response.text == "12"
    response.close()
    assert caplog.text.count("the change is lost") == 1


def test_a_copied_context_does_not_end_the_request(shop: Shop) -> None:
    def view() -> str:
        @flask.copy_current_request_context
        def elsewhere() -> None:
            flask.session["a"] = 1

        elsewhere()
        flask.session["b"] = 2
        return "ok"

    shop.get(view)
    assert shop.data == {"a": 1, "b": 2}


def test_a_request_leaves_nothing_to_the_garbage_collector(shop: Shop) -> None:
    seen: list[weakref.ref[Any]] = []

    def view() -> str:
        current = flask.session._get_current_object()  # type: ignore[attr-defined]
        current["a"] = [1]
        seen.append(weakref.ref(current))
        return "ok"

    gc.disable()
    try:
        shop.get(view)
        # Flask-SocketIO opens such a session, which is never saved
        with shop.app.test_request_context("/1"):
            view()
        assert [reference() for reference in seen] == [None, None]
    finally:
        gc.enable()


def test_a_session_that_is_kept_does_not_keep_its_request(shop: Shop) -> None:
    kept: list[Any] = []
    seen: list[weakref.ref[Any]] = []

    def view() -> str:
        class Body:
            pass

        body = flask.request.environ["body"] = Body()
        seen.append(weakref.ref(body))
        kept.append(flask.session._get_current_object())  # type: ignore[attr-defined]
        return str(flask.session["a"])

    shop.get(put(a=1))
    shop.get(view)
    gc.collect()
    assert [reference() for reference in seen] == [None]
    assert [dict(each) for each in kept] == [{"a": 1}]


# -- nested applications ---------------------------------------------------------------------------


def test_a_middleware_of_the_same_manager_shares_the_session(shop: Shop) -> None:
    """The session is the same, and the middleware commits it."""

    def application(environ: Any, start_response: Any) -> Any:
        environ[wsgi.KEY]["outside"] = 1
        return shop.app(environ, start_response)

    shop.app.add_url_rule("/", "index", lambda: str(session.update(inside=2)))
    client = Client(wsgi.SessionMiddleware(application, shop.manager))
    response = client.get("/")
    assert len(response.headers.getlist("Set-Cookie")) == 1
    assert response.headers.getlist("Vary") == ["Cookie"]
    assert shop.data == {"outside": 1, "inside": 2}


def test_the_session_of_a_middleware_has_flasks_attributes(shop: Shop) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        body = shop.app(environ, start_response)
        assert environ["beaker.session"].id is None
        return body

    def view() -> str:
        session["inside"] = flask.request.environ["beaker.session"].has_key("outside")
        session.permanent = True
        return "ok"

    shop.app.add_url_rule("/", "index", view)
    Client(beaker.SessionMiddleware(application, shop.manager)).get("/")
    assert shop.data == {"inside": False}


def within(inner: Any) -> View:
    """Return a view that passes its request to another application."""

    def view() -> Any:
        session["outside"] = 1
        response = flask.Response.from_app(inner, flask.request.environ)
        session["afterwards"] = 1
        return response

    return view


@pytest.mark.parametrize("framework", ["flask", "pyramid"])
def test_an_inner_application_of_the_same_manager_shares_the_session(
    shop: Shop, framework: str
) -> None:
    """The session is the same, and the outer application commits it."""
    inner: Any
    if framework == "flask":
        inner = Flask("inner")
        Lembro(inner, shop.manager)
        inner.add_url_rule("/<path>", view_func=lambda path: str(session.update(inside=2)))
    else:
        config = Configurator(session_factory=LembroSessionFactory(shop.manager))
        config.add_route("page", "/{path}")
        config.add_view(
            lambda request: request.session.flash("inside") or PyramidResponse(),
            route_name="page",
        )
        inner = config.make_wsgi_app()
    response = shop.get(within(inner))
    assert len(response.headers.getlist("Set-Cookie")) == 1
    inside = {"inside": 2} if framework == "flask" else {"_f_": ["inside"]}
    assert shop.data == {"outside": 1, **inside, "afterwards": 1}


def test_an_inner_application_of_another_manager_has_its_own_session(shop: Shop) -> None:
    inner = Flask("inner")
    others = SessionManager(MemoryStore(), cookie=CookieOptions(name="inner"))
    Lembro(inner, others)
    inner.add_url_rule("/<path>", view_func=lambda path: str(session.update(inside=2)))
    response = shop.get(within(inner))
    assert len(response.headers.getlist("Set-Cookie")) == 2
    assert shop.data == {"outside": 1, "afterwards": 1}
    assert [info.data for info in others.all()] == [{"inside": 2}]


def test_a_logout_holds_if_an_inner_application_fails(shop: Shop) -> None:
    inner = Flask("inner")
    inner.config["PROPAGATE_EXCEPTIONS"] = True
    Lembro(inner, shop.manager)
    inner.add_url_rule("/<path>", view_func=lambda path: fails())
    shop.get(put(a=1))
    shop.app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(LookupError):
        shop.get(within(inner))
    assert shop.manager.length() == 0


def test_two_managers_with_one_cookie_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    cookie = CookieOptions(name="flask-in-wsgi")
    app = Flask(__name__)
    Lembro(app, SessionManager(MemoryStore(), cookie=cookie))
    app.wsgi_app = wsgi.SessionMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, SessionManager(MemoryStore(), cookie=cookie)
    )
    app.test_client().get("/")
    assert "both set the cookie 'flask-in-wsgi'" in caplog.text


# -- setup -----------------------------------------------------------------------------------------


def test_one_extension_serves_several_applications() -> None:
    lembro = Lembro(store=None, idle_timeout=60)
    one, two = Flask("one"), Flask("two")
    lembro.init_app(one)
    lembro.init_app(two)
    with one.app_context():
        first = lembro.manager
        assert lembro.manager is first
    with two.app_context():
        assert lembro.manager is not first
    assert lembro.manager is not first  # the last one
    assert one.extensions["lembro"] is lembro


def test_a_second_setup_of_an_application_is_refused() -> None:
    app = Flask("shop")
    Lembro(app, SessionManager(MemoryStore()))
    with pytest.raises(ConfigError, match="Lembro is already installed in this application"):
        Lembro(app)


def test_without_an_application_the_error_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match="call init_app"):
        _ = Lembro().manager
    with pytest.raises(
        ConfigError, match=r"first argument must be the Flask application.*Lembro\(app\)"
    ):
        Lembro(SessionManager(MemoryStore()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"manager": MemoryStore()}, "must be a SessionManager"),
        (
            {"manager": SessionManager(MemoryStore()), "idle_timeout": 5},
            "together with a SessionManager",
        ),
        ({"manager": SessionManager(MemoryStore()), "options": SessionOptions()}, "options cannot"),
        ({"options": {"idle_timeout": 5}}, r"options must be SessionOptions, got \{'idle_timeout"),
        ({"exclude": ["static/"]}, "exclude takes path prefixes that begin with '/'"),
        ({"idle_time": 5}, "did you mean idle_timeout"),
        ({"idle_timeout": -1}, "idle_timeout must be more than 0 .*got -1"),
    ],
)
def test_an_invalid_argument_is_refused_at_the_setup(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Lembro(Flask(__name__), **arguments)


def test_an_async_store_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask(__name__)
    lembro = Lembro(app, SessionManager(AsyncAdapter(MemoryStore())))
    with pytest.raises(
        ConfigError, match="AsyncAdapter is asynchronous, and Flask has no event loop"
    ):
        _ = lembro.manager
    assert app.test_client().get("/").status_code == 500
    assert "AsyncAdapter is asynchronous" in caplog.text


def test_the_proxy_without_a_session_of_lembro_raises() -> None:
    app = Flask(__name__)
    with app.test_request_context(), pytest.raises(ConfigError, match=r"no lembro session.*Lembro"):
        session.login("heidi")
    with pytest.raises(RuntimeError, match="outside of request context"):
        session.login("heidi")
    assert not session


def test_the_name_of_the_cookie_follows_the_configuration(shop: Shop) -> None:
    interface = shop.app.session_interface
    assert interface.get_cookie_name(shop.app) == "sid"
    with shop.app.test_request_context(base_url="https://shop"):
        assert interface.get_cookie_name(shop.app) == "__Host-sid"


def test_a_test_request_context_stores_nothing(shop: Shop) -> None:
    with shop.app.test_request_context():
        flask.session["a"] = 1
    assert shop.manager.length() == 0


def test_no_id_is_in_the_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop.get(put(a=1))
    assert shop.cookie is not None
    assert shop.cookie[:43] not in caplog.text
