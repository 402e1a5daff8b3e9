"""An application for Beaker, run on Beaker and on lembro."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lembro import MemoryStore, Session, SessionCommitted, SessionManager, wsgi
from lembro.integrations.beaker import BeakerSession, SessionMiddleware
from lembro.testing import FakeClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Handler = Callable[[Any], object]


def application(handlers: dict[str, Handler]) -> WSGIApplication:
    """Calls the handler of the path with ``environ["beaker.session"]``."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        result = handlers[environ["PATH_INFO"].strip("/")](environ["beaker.session"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(result).encode()]

    return app


def browser(app: WSGIApplication) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://testserver.local")


def on_lembro(app: WSGIApplication) -> WSGIApplication:
    return SessionMiddleware(app, store=MemoryStore())


def on_beaker(app: WSGIApplication) -> WSGIApplication:
    middleware = import_module("beaker.middleware").SessionMiddleware  # it has no types
    wrapped: WSGIApplication = middleware(app, {"session.type": "memory"})
    return wrapped


# -- the same on both ------------------------------------------------------------------------------


def login(session: Any) -> None:
    session["user"] = "heidi"
    session["cart"] = ["bread"]
    session.save()


def add(session: Any) -> list[str]:
    cart: list[str] = session.setdefault("cart", [])
    cart.append("butter")
    session.save()
    return cart


def forget(session: Any) -> None:
    del session["user"]
    session.save()


def again(session: Any) -> None:
    session.invalidate()
    session["fresh"] = True
    session.save()


def look(session: Any) -> dict[str, Any]:
    return {key: session[key] for key in session if not key.startswith("_")}


HANDLERS: dict[str, Handler] = {
    "login": login,
    "add": add,
    "forget": forget,
    "again": again,
    "look": look,
    "logout": lambda session: session.delete(),
    "new": lambda session: session.is_new,
    "times": lambda session: [
        "_accessed_time" in session,
        time.time() - session["_creation_time"] < 60,
        time.time() - session.get("_accessed_time") < 60,
        time.time() - session.created < 60,
    ],
    "last": lambda session: session.last_accessed is None,
    "regenerate": lambda session: [session.regenerate_id(), session.save()],
    "revert": lambda session: [session.update(x=1), session.revert(), look(session)][-1],
}


@pytest.fixture(params=[on_lembro, on_beaker])
def tab(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with browser(request.param(application(HANDLERS))) as client:
        yield client


def test_a_cart_is_kept_at_a_login(tab: httpx.Client) -> None:
    assert tab.get("/look").text == "{}"
    tab.get("/login")
    assert tab.get("/add").text == "['bread', 'butter']"
    assert tab.get("/look").text == "{'user': 'heidi', 'cart': ['bread', 'butter']}"
    tab.get("/forget")
    assert tab.get("/look").text == "{'cart': ['bread', 'butter']}"


def test_delete_ends_the_session(tab: httpx.Client) -> None:
    tab.get("/login")
    tab.get("/logout")
    assert tab.get("/look").text == "{}"


def test_invalidate_begins_a_new_session(tab: httpx.Client) -> None:
    tab.get("/login")
    before = dict(tab.cookies)
    tab.get("/again")
    assert tab.get("/look").text == "{'fresh': True}"
    assert dict(tab.cookies) != before


def test_regenerate_id_keeps_the_data(tab: httpx.Client) -> None:
    tab.get("/login")
    before = dict(tab.cookies)
    tab.get("/regenerate")
    assert dict(tab.cookies) != before
    assert tab.get("/look").text == "{'user': 'heidi', 'cart': ['bread']}"


def test_is_new_and_the_times_are_right(tab: httpx.Client) -> None:
    assert tab.get("/new").text == "True"
    assert tab.get("/last").text == "True"
    tab.get("/login")
    assert tab.get("/new").text == "False"
    assert tab.get("/times").text == "[True, True, True, True]"
    assert tab.get("/last").text == "False"


def test_revert_drops_the_changes(tab: httpx.Client) -> None:
    tab.get("/login")
    assert tab.get("/revert").text == "{'user': 'heidi', 'cart': ['bread']}"


# -- improvements ----------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> SessionManager:
    return SessionManager(MemoryStore(clock=clock), idle_timeout=1000)


def call(manager: SessionManager, tab: httpx.Client | None, handler: Handler) -> Any:
    """Make one request. The handler may return any value."""
    results: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        results.append(handler(environ["beaker.session"]))
        start_response("200 OK", [])
        return [b""]

    middleware = SessionMiddleware(app, manager)
    cookies = None if tab is None else tab.cookies
    with httpx.Client(
        transport=httpx.WSGITransport(middleware), base_url="http://testserver.local"
    ) as client:
        response = client.get("/", headers=_cookie_header(cookies))
    if tab is not None:
        tab.cookies.update(response.cookies)
    return results[0]


def _cookie_header(cookies: httpx.Cookies | None) -> dict[str, str]:
    pairs = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
    return {"Cookie": pairs} if pairs else {}


@pytest.fixture
def jar() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


def test_the_session_has_all_methods_of_lembros(manager: SessionManager, jar: httpx.Client) -> None:
    def handler(session: Any) -> None:
        assert isinstance(session, BeakerSession)
        assert isinstance(session, Session)
        session.login("heidi")

    call(manager, jar, handler)
    assert call(manager, jar, lambda session: session.user_id) == "heidi"


def test_a_change_without_save_is_saved_too(manager: SessionManager, jar: httpx.Client) -> None:
    call(manager, jar, lambda session: session.update(cart=[]))
    call(manager, jar, lambda session: session["cart"].append("bread"))
    assert call(manager, jar, dict) == {"cart": ["bread"]}


def test_a_visitor_who_only_reads_stores_nothing(manager: SessionManager) -> None:
    call(manager, None, lambda session: (session.get("user"), session["_accessed_time"]))
    assert manager.length() == 0


def test_the_id_is_a_public_handle(manager: SessionManager, jar: httpx.Client) -> None:
    assert call(manager, jar, lambda session: session.id) is None
    call(manager, jar, login)
    name = call(manager, jar, lambda session: session.id)
    assert name == manager.all()[0].handle
    assert name not in jar.cookies["sid"]


def test_the_times_are_those_of_the_store(
    manager: SessionManager, jar: httpx.Client, clock: FakeClock
) -> None:
    def ago(session: Any) -> tuple[int, int]:
        now = time.time()
        return round(now - session["_creation_time"]), round(now - session["_accessed_time"])

    call(manager, jar, login)
    clock.advance(99)  # less than a tenth of the idle timeout
    assert call(manager, jar, ago) == (99, 99)
    clock.advance(2)
    assert call(manager, jar, ago) == (101, 101)
    assert call(manager, jar, ago) == (101, 0)


def test_the_times_are_not_keys(manager: SessionManager, jar: httpx.Client) -> None:
    call(manager, jar, lambda session: session.update(n=1))
    assert call(manager, jar, lambda s: (list(s), len(s), bool(s))) == (["n"], 1, True)
    assert call(manager, jar, lambda s: (s.has_key("n"), s.has_key("x"))) == (True, False)
    with pytest.raises(KeyError):
        call(manager, jar, lambda session: session["x"])


def test_an_application_key_with_the_name_of_a_time_is_plain_data(
    manager: SessionManager, jar: httpx.Client
) -> None:
    call(manager, jar, lambda session: session.update(_accessed_time=5))
    assert call(manager, jar, lambda session: session["_accessed_time"]) == 5


def test_a_late_save_is_reported(manager: SessionManager) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        session = environ["beaker.session"]
        session["n"] = 1
        start_response("200 OK", [])
        yield b"first"
        with pytest.raises(SessionCommitted):
            session.save()
        with session.edit():
            session["n"] = 2

    with browser(SessionMiddleware(app, manager)) as tab:
        assert tab.get("/").text == "first"
    assert manager.all()[0].data == {"n": 2}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("get_by_id", "the store does not know session IDs"),
        ("lock", "atomic"),
        ("load", "reload"),
        ("persist", "save"),
        ("domain", r"CookieOptions\(domain="),
        ("path", r"CookieOptions\(path="),
        ("anything", "has no 'anything'$"),
    ],
)
def test_a_missing_feature_names_its_replacement(
    manager: SessionManager, name: str, hint: str
) -> None:
    with pytest.raises(AttributeError, match=hint):
        call(manager, None, lambda session: getattr(session, name))


@pytest.mark.parametrize("name", ["domain", "path"])
def test_the_cookie_of_one_session_cannot_be_changed(manager: SessionManager, name: str) -> None:
    """With Beaker, an assignment changes the cookie of this response."""
    with pytest.raises(AttributeError, match=rf"no '{name}': .*CookieOptions\({name}="):
        call(manager, None, lambda session: setattr(session, name, "/x"))


def test_under_another_middleware_there_is_no_alias() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert type(environ["lembro.session"]) is Session
        start_response("200 OK", [])
        return [str("beaker.session" in environ).encode()]

    with browser(wsgi.SessionMiddleware(app, store=MemoryStore())) as tab:
        assert tab.get("/").text == "False"


def test_a_middleware_within_another_shares_the_session(manager: SessionManager) -> None:
    inner = SessionMiddleware(application(HANDLERS), manager)
    with browser(SessionMiddleware(inner, manager)) as tab:
        tab.get("/login")
        assert tab.get("/look").text == "{'user': 'heidi', 'cart': ['bread']}"
    assert manager.length() == 1
