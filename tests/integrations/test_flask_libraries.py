"""Libraries for Flask work with lembro's sessions as with Flask's own.

The libraries are Flask-Login, Flask-WTF, Flask-DebugToolbar, Flask-SocketIO and Flask-Admin.
"""

from __future__ import annotations

import re
from typing import Any

import flask
import flask_login
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_admin import Admin, BaseView, expose
from flask_admin.form import SecureForm
from flask_debugtoolbar import DebugToolbarExtension
from flask_login import LoginManager, UserMixin
from flask_socketio import SocketIO, SocketIOTestClient
from flask_wtf import CSRFProtect, FlaskForm
from flask_wtf.csrf import generate_csrf
from wtforms import StringField

from lembro import MemoryStore, SessionManager
from lembro.integrations.flask import Lembro, follow_flask_login, session

SECRET = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"

remembers = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")  # as Flask-Login sets it


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.secret_key = SECRET
    app.testing = True
    Lembro(app, SessionManager(MemoryStore()))

    @app.get("/session")
    def everything() -> dict[str, Any]:
        return {"user": session.user_id, "data": dict(session)}

    return app


def sessions_of(app: Flask) -> SessionManager:
    manager: SessionManager = app.extensions["lembro"].manager
    return manager


def cookie_of(browser: FlaskClient) -> str | None:
    cookie = browser.get_cookie("sid")
    return None if cookie is None else cookie.value


# -- Flask-Login -----------------------------------------------------------------------------------


class User(UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str) -> None:
        self.id = name


def with_logins(app: Flask) -> FlaskClient:
    manager = LoginManager(app)
    manager.user_loader(User)

    @app.post("/login/<name>")
    def log_in(name: str) -> str:
        flask_login.login_user(User(name), remember="remember" in flask.request.args)
        return "hello"

    @app.post("/logout")
    def log_out() -> str:
        flask_login.logout_user()
        return "bye"

    @app.post("/cart")
    def cart() -> str:
        flask.session.setdefault("cart", []).append("bread")
        return "ok"

    @app.get("/me")
    @flask_login.login_required  # type: ignore[untyped-decorator]
    def me() -> dict[str, Any]:
        fresh = flask_login.login_fresh()
        return {"name": flask_login.current_user.id, "fresh": fresh}

    return app.test_client()


def test_flask_login_alone_works(app: Flask) -> None:
    app.config["LEMBRO_FOLLOW_FLASK_LOGIN"] = False
    browser = with_logins(app)
    assert browser.get("/me").status_code == 401
    browser.post("/cart")
    browser.post("/login/heidi")
    assert browser.get("/me").json == {"name": "heidi", "fresh": True}
    browser.post("/logout")
    assert browser.get("/me").status_code == 401
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["data"]["cart"] == ["bread"]
    assert "_user_id" not in seen["data"]


@remembers
def test_flask_logins_remember_cookie_restores_a_login(app: Flask) -> None:
    browser = with_logins(app)
    browser.post("/login/heidi?remember")
    browser.delete_cookie("sid")
    assert browser.get("/me").json == {"name": "heidi", "fresh": False}
    browser.post("/logout")
    assert browser.get_cookie("remember_token") is None
    assert browser.get("/me").status_code == 401


def test_strong_protection_ends_a_session_from_another_device(app: Flask) -> None:
    app.config["SESSION_PROTECTION"] = "strong"
    browser = with_logins(app)
    browser.post("/login/heidi")
    assert browser.get("/me", headers={"User-Agent": "another"}).status_code == 401
    assert browser.get("/me").status_code == 401


def test_a_login_of_flask_login_is_followed(app: Flask) -> None:
    follow_flask_login(app)
    browser, other = with_logins(app), app.test_client()
    browser.post("/cart")
    before = cookie_of(browser)
    browser.post("/login/heidi")
    assert cookie_of(browser) != before
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["user"] == "heidi"
    assert seen["data"]["cart"] == ["bread"]

    other.post("/login/heidi")
    assert len(sessions_of(app).user_sessions("heidi")) == 2
    browser.post("/logout")
    assert cookie_of(browser) is None
    assert browser.get("/session").json == {"user": None, "data": {}}
    sessions_of(app).revoke_user("heidi")
    assert other.get("/me").status_code == 401


def test_a_login_as_another_user_is_followed(app: Flask) -> None:
    follow_flask_login(app)
    browser = with_logins(app)
    browser.post("/login/heidi")
    browser.post("/cart")
    browser.post("/login/peter")
    assert browser.get("/me").json == {"name": "peter", "fresh": True}
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["user"] == "peter"
    assert "cart" not in seen["data"]


def with_key_removed(app: Flask) -> FlaskClient:
    """An application that changes Flask-Login's key itself."""
    browser = with_logins(app)
    follow_flask_login(app)

    @app.post("/pop")
    def pop() -> str:
        del flask.session["_user_id"]
        if name := flask.request.args.get("login"):
            flask_login.login_user(User(name))
        if name := flask.request.args.get("lembro"):
            session.login(name)
        return "ok"

    @app.post("/fail")
    def fail() -> str:
        del flask.session["_user_id"]
        flask.abort(500)

    browser.post("/login/heidi")
    browser.post("/cart")
    return browser


@pytest.mark.parametrize("path", ["/pop", "/fail"])
def test_a_removed_key_is_followed(app: Flask, path: str) -> None:
    browser = with_key_removed(app)
    before = cookie_of(browser)
    assert before is not None
    browser.post(path)
    assert sessions_of(app).get(before) is None
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["user"] is None
    assert "_user_id" not in seen["data"]
    assert browser.get("/me").status_code == 401


def test_a_removed_key_keeps_the_other_keys(app: Flask) -> None:
    browser = with_key_removed(app)
    browser.post("/pop")
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["data"]["cart"] == ["bread"]


@pytest.mark.parametrize(
    ("query", "user"), [("login", "bob"), ("login", "heidi"), ("lembro", "bob")]
)
def test_a_login_after_a_removed_key_works(app: Flask, query: str, user: str) -> None:
    browser = with_key_removed(app)
    browser.post(f"/pop?{query}={user}")
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["user"] == user


def test_a_login_of_lembro_alone_needs_no_key_of_flask_login(app: Flask) -> None:
    browser = with_key_removed(app)
    browser.post("/pop?lembro=bob")
    browser.post("/cart")
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["user"] == "bob"


def test_flask_login_on_an_excluded_path_works() -> None:
    app = Flask(__name__)
    app.testing = True
    Lembro(app, SessionManager(MemoryStore()), exclude="/static/")
    follow_flask_login(app)
    assert app.test_client().get("/static/none.css").status_code == 404
    assert app.test_client().get("/none").status_code == 404


@remembers
def test_a_login_by_the_remember_cookie_is_followed(app: Flask) -> None:
    follow_flask_login(app)
    browser = with_logins(app)
    browser.post("/login/heidi?remember")
    browser.delete_cookie("sid")
    assert browser.get("/me").json == {"name": "heidi", "fresh": False}
    assert len(sessions_of(app).user_sessions("heidi")) == 2
    browser.post("/logout")
    assert browser.get_cookie("remember_token") is None
    assert browser.get("/me").status_code == 401


# -- Flask-WTF -------------------------------------------------------------------------------------


class OrderForm(FlaskForm):  # type: ignore[misc]  # it has no types
    what = StringField()


def test_the_forms_of_flask_wtf_work(app: Flask) -> None:
    @app.route("/order", methods=["GET", "POST"])
    def order() -> str:
        form = OrderForm()
        if form.validate_on_submit():
            return f"ordered {form.what.data}"
        return flask.render_template_string("{{ form.hidden_tag() }}{{ form.errors }}", form=form)

    browser = app.test_client()
    field = re.search(r'value="([^"]+)"', browser.get("/order").text)
    assert field is not None
    form = {"what": "bread", "csrf_token": field[1]}
    assert browser.post("/order", data=form).text == "ordered bread"
    assert "CSRF tokens do not match" in app.test_client().post("/order", data=form).text
    assert "CSRF token is missing" in browser.post("/order", data={"what": "bread"}).text


def test_flask_wtf_has_a_new_token_after_a_login(app: Flask) -> None:
    CSRFProtect(app)

    @app.get("/token")
    def token() -> str:
        return generate_csrf()  # type: ignore[no-any-return]  # it has no types

    @app.post("/login")
    def log_in() -> str:
        session.login("heidi")
        return "hello"

    browser = app.test_client()
    sent = {"X-CSRFToken": browser.get("/token").text}
    assert browser.post("/login").status_code == 400
    assert browser.post("/login", headers=sent).text == "hello"
    assert browser.post("/login", headers=sent).status_code == 400
    sent = {"X-CSRFToken": browser.get("/token").text}
    assert browser.post("/login", headers=sent).text == "hello"
    assert app.test_client().post("/login", headers=sent).status_code == 400


# -- Flask-DebugToolbar ----------------------------------------------------------------------------


def test_the_debug_toolbar_shows_the_session(app: Flask) -> None:
    app.debug = True
    app.config["DEBUG_TB_INTERCEPT_REDIRECTS"] = True
    DebugToolbarExtension(app)

    @app.get("/page")
    def page() -> str:
        flask.session["cart"] = ["bread and butter"]
        return "<html><body>page</body></html>"

    @app.get("/away")
    def away() -> Any:
        flask.session["away"] = True
        return flask.redirect("/page")

    browser = app.test_client()
    shown = browser.get("/page").text
    assert "flDebug" in shown
    assert "bread and butter" in shown
    assert "/page" in browser.get("/away").text  # intercepted
    seen = browser.get("/session").json
    assert seen is not None
    assert seen["data"] == {"cart": ["bread and butter"], "away": True}


# -- Flask-SocketIO --------------------------------------------------------------------------------


def with_sockets(app: Flask, **options: Any) -> tuple[FlaskClient, SocketIOTestClient]:
    sockets = SocketIO(app, async_mode="threading", **options)

    @sockets.on("add")  # type: ignore[untyped-decorator]
    def add(item: str) -> None:
        flask.session.setdefault("cart", []).append(item)

    @sockets.on("look")  # type: ignore[untyped-decorator]
    def look() -> dict[str, Any]:
        return dict(flask.session)

    @app.post("/login")
    def log_in() -> str:
        session.login("heidi")
        return "hello"

    browser = app.test_client()
    browser.post("/login")
    return browser, sockets.test_client(app, flask_test_client=browser)


def seen_by(socket: SocketIOTestClient) -> Any:
    return socket.emit("look", callback=True)


def test_the_session_is_shared_with_flask_socketio(app: Flask) -> None:
    browser, socket = with_sockets(app, manage_session=False)
    socket.emit("add", "bread")
    socket.emit("add", "butter")
    assert seen_by(socket) == {"cart": ["bread", "butter"]}
    expected = {"user": "heidi", "data": {"cart": ["bread", "butter"]}}
    assert browser.get("/session").json == expected

    sessions_of(app).revoke_user("heidi")
    assert seen_by(socket) == {}


def test_flask_socketio_may_manage_a_copy(app: Flask) -> None:
    browser, socket = with_sockets(app)
    socket.emit("add", "bread")
    assert seen_by(socket) == {"cart": ["bread"]}
    assert browser.get("/session").json == {"user": "heidi", "data": {}}


# -- Flask-Admin -----------------------------------------------------------------------------------


class Notes(BaseView):  # type: ignore[misc]  # it has no types
    class Form(SecureForm):  # type: ignore[misc]
        note = StringField()

    @expose("/", methods=("GET", "POST"))  # type: ignore[untyped-decorator]
    def index(self) -> Any:
        form = self.Form(flask.request.form)
        if flask.request.method == "POST" and form.validate():
            flask.flash(f"noted {form.note.data}")
            return flask.redirect(self.get_url(".index"))
        template = "{{ get_flashed_messages() }}{{ form.csrf_token }}"
        return flask.render_template_string(template, form=form)

    def is_accessible(self) -> bool:
        return session.user_id is not None


def test_flask_admin_works(app: Flask) -> None:
    Admin(app).add_view(Notes(name="Notes", endpoint="notes"))

    @app.post("/login")
    def log_in() -> str:
        session.login("heidi")
        return "hello"

    browser = app.test_client()
    assert browser.get("/admin/").status_code == 200
    assert browser.get("/admin/notes/").status_code == 403
    browser.post("/login")
    field = re.search(r'value="([^"]+)"', browser.get("/admin/notes/").text)
    assert field is not None
    form = {"note": "bread", "csrf_token": field[1]}
    assert "noted bread" in browser.post("/admin/notes/", data=form, follow_redirects=True).text
    assert browser.post("/admin/notes/", data={"note": "x"}).status_code == 200


def test_a_session_outside_of_its_request_follows_no_flask_login(app: Flask) -> None:
    LoginManager(app)
    follow_flask_login(app)
    with app.test_request_context():
        kept = session._get_current_object()  # type: ignore[attr-defined]
        kept["n"] = 1
    assert kept.user_id is None
    kept.destroy()
    assert kept.user_id is None
