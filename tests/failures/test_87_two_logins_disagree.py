"""87. Flask-Login and lembro disagree on who is logged in.

If Flask-Login drops its login, lembro's ends too, and the reverse. A login is followed without any
call, because lembro promises a new session ID at each login.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import flask_login
import pytest
from flask.testing import FlaskClient

from lembro import LoginRequired, MemoryStore, Session, SessionManager
from lembro.integrations.flask import Lembro, follow_flask_login, session

remembers = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")  # as Flask-Login sets it


class User(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str) -> None:
        self.id = name


class Shop:
    """An application with Flask-Login, whose users can be suspended."""

    def __init__(self, **config: Any) -> None:
        self.app = flask.Flask(__name__)
        self.app.secret_key = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"
        self.app.testing = True
        self.app.config.update(config)
        self.manager = SessionManager(MemoryStore())
        Lembro(self.app, self.manager)
        self.suspended: set[str] = set()
        self.loads = 0
        self.acts: dict[str, Callable[[], object]] = {}
        self.logins = flask_login.LoginManager(self.app)
        self.logins.user_loader(self.load)
        self.app.add_url_rule("/<act>", view_func=self.act, methods=["POST"])
        self.browser = self.app.test_client()
        self.acts["login"] = lambda: flask_login.login_user(User("ada"))
        self.acts["logout"] = flask_login.logout_user

    def load(self, name: str) -> User | None:
        self.loads += 1
        return None if name in self.suspended else User(name)

    def act(self, act: str) -> dict[str, Any]:
        result = self.acts[act]()
        return {"result": result}

    def do(
        self, act: Callable[[], object] | str, browser: FlaskClient | None = None, **sent: Any
    ) -> Any:
        """Run a function in a request, and return its result."""
        if callable(act):
            self.acts["act"], act = act, "act"
        answer = (browser or self.browser).post(f"/{act}", **sent)
        assert answer.status_code == 200
        assert answer.json is not None
        return answer.json["result"]

    def sessions(self, user: str = "ada") -> int:
        return len(self.manager.user_sessions(user))


def name() -> str | None:
    current: str | None = flask_login.current_user.get_id()
    return current


def is_recent() -> bool:
    try:
        session.require_recent(300)
    except LoginRequired:
        return False
    return True


def both() -> list[Any]:
    """Return the user and the recency, as lembro and as Flask-Login know them."""
    return [session.user_id, name(), is_recent(), flask_login.login_fresh()]


def both_later() -> list[Any]:
    """Like ``both``, but ask Flask-Login first."""
    current = name()
    return [session.user_id, current, is_recent(), flask_login.login_fresh()]


OUT = [None, None, False, False]
NOT_FRESH = ["ada", "ada", False, False]
FRESH = ["ada", "ada", True, True]


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.do("login")
    return shop


def id_of(shop: Shop) -> str | None:
    cookie = shop.browser.get_cookie("sid")
    return None if cookie is None else cookie.value


# -- without a call --------------------------------------------------------------------------------


def test_a_login_is_followed_without_a_call() -> None:
    shop = Shop()
    shop.do(lambda: flask.session.setdefault("cart", 1))
    before = id_of(shop)
    shop.do("login")
    assert id_of(shop) != before
    assert shop.do(both) == FRESH
    assert shop.sessions() == 1
    shop.do("logout")
    assert shop.sessions() == 0


def test_following_can_be_turned_off() -> None:
    shop = Shop(LEMBRO_FOLLOW_FLASK_LOGIN=False)
    shop.do("login")
    assert shop.do(lambda: [session.user_id, name()]) == [None, "ada"]


def test_a_login_manager_that_comes_later_is_followed() -> None:
    app = flask.Flask(__name__)
    app.secret_key = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"
    lembro = Lembro(app, SessionManager(MemoryStore()))
    assert len(lembro.manager.all()) == 0  # makes the manager, before the application is complete
    follow_flask_login(app)  # twice changes nothing
    follow_flask_login(app)
    flask_login.LoginManager(app).user_loader(User)

    @app.post("/login")
    def log_in() -> str:
        flask_login.login_user(User("ada"))
        return str(session.user_id)

    assert app.test_client().post("/login").text == "ada"
    assert len(lembro.manager.user_sessions("ada")) == 1


def test_a_login_by_the_key_alone_gets_a_new_id() -> None:
    shop = Shop()
    shop.do(lambda: flask.session.setdefault("cart", 1))
    before = id_of(shop)

    def log_in() -> None:
        flask.session["_user_id"] = "ada"
        flask.session["_fresh"] = True

    shop.do(log_in)
    assert id_of(shop) != before
    assert shop.do(both)[:3] == ["ada", "ada", False]  # when that was is not known
    assert shop.sessions() == 1
    assert shop.do(lambda: flask.session["cart"]) == 1


def test_a_key_of_another_user_logs_that_user_in(shop: Shop) -> None:
    shop.do(lambda: flask.session.update(_user_id="bob", cart=1))
    assert shop.do(both)[:2] == ["bob", "bob"]
    assert shop.do(lambda: "cart" in flask.session) is False
    assert shop.sessions("ada") == 0


# -- what drops a login ----------------------------------------------------------------------------


@pytest.mark.parametrize("look", [both, both_later, lambda: (name() and OUT) or OUT])
def test_a_user_who_is_not_loaded_any_more_is_logged_out(
    shop: Shop, look: Callable[[], list[Any]]
) -> None:
    shop.suspended.add("ada")
    before = id_of(shop)
    assert shop.do(look) == OUT
    assert shop.sessions() == 0
    assert before is not None
    assert shop.manager.get(before) is None
    shop.suspended.clear()
    assert shop.do(both) == OUT


def test_a_request_that_does_not_read_the_user_loads_nobody(shop: Shop) -> None:
    shop.suspended.add("ada")
    shop.loads = 0
    shop.do(lambda: flask.session.setdefault("cart", 1))
    assert shop.loads == 0
    assert shop.sessions() == 1


@pytest.mark.parametrize("look", [both, both_later])
def test_strong_protection_ends_the_session(look: Callable[[], list[Any]]) -> None:
    shop = Shop(SESSION_PROTECTION="strong")
    shop.do("login")
    assert shop.do(look, headers={"User-Agent": "another"}) == OUT
    assert shop.sessions() == 0
    assert shop.do(both) == OUT


@pytest.mark.parametrize("look", [both, both_later])
def test_basic_protection_makes_the_login_stale(shop: Shop, look: Callable[[], list[Any]]) -> None:
    assert shop.do(look, headers={"User-Agent": "another"}) == NOT_FRESH
    assert shop.do(both) == NOT_FRESH
    shop.do(flask_login.confirm_login)
    assert shop.do(both) == FRESH


def test_a_login_that_the_application_marks_as_stale_is_not_recent(shop: Shop) -> None:
    shop.do(lambda: flask.session.update(_fresh=False))
    assert shop.do(both) == NOT_FRESH


def test_the_user_of_a_token_does_not_end_the_login_of_the_session(shop: Shop) -> None:
    shop.logins.request_loader(lambda request: User("robot"))
    assert shop.do(both)[:2] == ["ada", "ada"]
    shop.suspended.add("ada")
    assert shop.do(lambda: [session.user_id, name()]) == [None, "robot"]


def test_a_user_whose_id_has_changed_stays_logged_in(shop: Shop) -> None:
    """Flask-Login's alternative tokens: ``get_id`` returns another one than the session holds."""
    shop.logins.user_loader(lambda token: User("token-2"))
    assert shop.do(lambda: [session.user_id, name()]) == ["ada", "token-2"]


def test_a_request_loader_without_a_user_loader_ends_no_login() -> None:
    shop = Shop()
    shop.logins._user_callback = None
    shop.logins.request_loader(lambda request: None)
    shop.do("login")
    assert shop.do(lambda: session.user_id) == "ada"


# -- the reverse -----------------------------------------------------------------------------------


@remembers
@pytest.mark.parametrize("end", ["logout", "clear"])
def test_lembros_logout_logs_flask_login_out(end: str) -> None:
    shop = Shop()
    shop.do(lambda: flask_login.login_user(User("ada"), remember=True))

    def log_out() -> list[Any]:
        before = name()
        getattr(session, end)()
        return [before, name()]

    assert shop.do(log_out) == ["ada", None]
    assert shop.browser.get_cookie("remember_token") is None
    assert shop.do(both) == OUT
    assert shop.manager.all() == []


def test_a_logout_outside_of_a_request_needs_no_flask_login(shop: Shop) -> None:
    kept: list[Session] = []
    shop.do(lambda: kept.append(session._get_current_object()))  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="response has begun"):
        kept[0].logout()


@remembers
def test_a_remember_cookie_of_an_unknown_user_keeps_the_cart() -> None:
    shop = Shop()
    shop.do(lambda: flask_login.login_user(User("ada"), remember=True))
    shop.browser.delete_cookie("sid")
    shop.suspended.add("ada")
    shop.do(lambda: flask.session.update(cart=1))
    assert shop.do(both)[:2] == [None, None]
    assert shop.do(lambda: flask.session["cart"]) == 1


def test_a_message_survives_the_logout(shop: Shop) -> None:
    def log_out() -> None:
        flask.flash("Goodbye")
        flask_login.logout_user()

    shop.do(log_out)
    assert shop.do(flask.get_flashed_messages) == ["Goodbye"]


def test_confirming_without_a_login_changes_nothing() -> None:
    shop = Shop()
    shop.do(flask_login.confirm_login)
    assert shop.do(lambda: session.user_id) is None


def test_a_text_with_the_name_of_the_key_is_no_key() -> None:
    shop = Shop()

    def log_in() -> None:
        session.login("ada")
        session["note"] = "_user_id"

    shop.do(log_in)
    shop.do(lambda: flask.session.update(a=1))
    assert shop.do(lambda: session.user_id) == "ada"
