"""Pyramid, with WebTest: its session interface, the features that use it, and its configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask
from pyramid import authentication, csrf, httpexceptions
from pyramid.authorization import ACLAuthorizationPolicy
from pyramid.config import Configurator
from pyramid.interfaces import ISession
from pyramid.paster import get_app
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory
from pyramid.testing import DummyRequest
from pyramid.wsgi import wsgiapp2
from webtest import TestApp
from zope.interface.verify import verifyObject

from lembro import (
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    SessionCommitted,
    SessionManager,
    SessionOptions,
    StoreError,
    wsgi,
)
from lembro.events import Event
from lembro.integrations.flask import Lembro
from lembro.integrations.pyramid import (
    LembroAuthenticationHelper,
    LembroSessionFactory,
    PyramidSession,
    get_session,
)
from lembro.testing import FakeClock
from tests.support.messages import parse_set_cookie
from tests.support.stores import NETWORKED, AsyncAdapter, BlockingBackend

View = Callable[[Any], Any]
Configure = Callable[[Any], None]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> SessionManager:
    return SessionManager(MemoryStore("1M", max_session_size="4K", clock=clock))


def application(manager: SessionManager, configure: Configure | None = None, **views: View) -> Any:
    with Configurator(settings={"lembro.manager": manager}) as config:
        config.include("lembro.integrations.pyramid")
        add_views(config, views)
        if configure is not None:
            configure(config)
        return config.make_wsgi_app()


def add_views(config: Any, views: dict[str, View]) -> None:
    for name, view in views.items():
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, renderer="json")


def serve(manager: SessionManager, configure: Configure | None = None, **views: View) -> Any:
    return TestApp(application(manager, configure, **views))


def cookies(answer: Any) -> list[tuple[str, str, dict[str, str]]]:
    return [parse_set_cookie(header) for header in answer.headers.getall("Set-Cookie")]


def read(request: Any) -> dict[str, Any]:
    return dict(request.session)


def write(request: Any) -> None:
    request.session["cart"] = [1]


def untouched(request: Any) -> None:
    assert request.session is not None


def huge(request: Any) -> Any:
    request.session["a"] = "x" * 5000


# -- the session -----------------------------------------------------------------------------------


def test_a_session_from_the_first_request_to_the_logout(manager: SessionManager) -> None:
    app = serve(manager, read=read, write=write, untouched=untouched)
    assert "Vary" not in app.get("/untouched").headers
    answer = app.get("/write")
    assert cookies(answer)[0][0] == "sid"
    assert answer.headers["Vary"] == "Cookie"
    assert answer.headers["Cache-Control"] == "private, no-store"
    answer = app.get("/read")
    assert answer.json == {"cart": [1]}
    assert not cookies(answer)
    assert manager.length() == 1


def test_the_session_implements_pyramids_interface(
    manager: SessionManager, clock: FakeClock
) -> None:
    states: list[tuple[bool, float]] = []

    def state(request: Any) -> None:
        verifyObject(ISession, request.session)
        assert isinstance(get_session(request), PyramidSession)
        states.append((request.session.new, time.time() - request.session.created))

    app = serve(manager, state=state, write=write)
    app.get("/state")
    app.get("/write")
    clock.advance(3600)
    app.get("/state")
    assert [new for new, _ in states] == [True, False]
    assert [age for _, age in states] == [pytest.approx(0, abs=60), pytest.approx(3600, abs=60)]


def test_a_nested_change_is_kept_and_changed_extends_the_session(
    manager: SessionManager, clock: FakeClock
) -> None:
    def nested(request: Any) -> None:
        request.session["cart"].append(2)

    def changed(request: Any) -> None:
        request.session.changed()

    app = serve(manager, write=write, nested=nested, changed=changed, read=read)
    app.get("/write")
    app.get("/nested")
    assert app.get("/read").json == {"cart": [1, 2]}
    clock.advance(60)
    app.get("/changed")
    assert [info.idle_for for info in manager.all()] == [0]


def test_the_request_of_pyramids_own_unit_tests_gets_a_session(manager: SessionManager) -> None:
    request: Any = DummyRequest()  # its environ is empty
    LembroSessionFactory(manager)(request)["a"] = 1
    response = Response()
    request._process_response_callbacks(response)
    assert response.headers["Set-Cookie"].startswith("sid=")


def test_changed_does_not_extend_the_session_in_a_passive_request(clock: FakeClock) -> None:
    def changed(request: Any) -> None:
        request.session.changed()

    manager = SessionManager(MemoryStore("1M", clock=clock), passive="/changed")
    app = serve(manager, write=write, changed=changed)
    app.get("/write")
    clock.advance(60)
    app.get("/changed")
    assert [info.idle_for for info in manager.all()] == [60]


def test_invalidate_begins_a_new_session(manager: SessionManager) -> None:
    def invalidate(request: Any) -> None:
        request.session.invalidate()
        assert dict(request.session) == {}

    def anew(request: Any) -> None:
        request.session.invalidate()
        request.session["a"] = 1

    app = serve(manager, write=write, invalidate=invalidate, anew=anew, read=read)
    ((_, first, _),) = cookies(app.get("/write"))
    ((_, second, _),) = cookies(app.get("/anew"))
    assert second not in ("", first)
    assert app.get("/read").json == {"a": 1}
    ((_, value, attributes),) = cookies(app.get("/invalidate"))
    assert (value, attributes["max-age"]) == ("", "0")
    assert manager.length() == 0


def test_flash_messages_are_shown_once(manager: SessionManager) -> None:
    def flash(request: Any) -> None:
        request.session.flash("one")
        request.session.flash("one", allow_duplicate=False)
        request.session.flash("two", "errors")

    def peek(request: Any) -> Any:
        return request.session.peek_flash(), request.session.peek_flash("errors")

    def pop(request: Any) -> Any:
        return request.session.pop_flash(), request.session.pop_flash("errors")

    app = serve(manager, flash=flash, peek=peek, pop=pop)
    assert app.get("/peek").json == [[], []]
    app.get("/flash")
    assert app.get("/peek").json == [["one"], ["two"]]
    assert app.get("/pop").json == [["one"], ["two"]]
    assert app.get("/pop").json == [[], []]


def test_two_parallel_messages_are_both_kept(manager: SessionManager) -> None:
    def flash(request: Any) -> None:
        request.session.flash("outer")
        app.get("/inner")

    def inner(request: Any) -> None:
        request.session.flash("inner")

    def pop(request: Any) -> Any:
        return request.session.pop_flash()

    app = serve(manager, write=write, flash=flash, inner=inner, pop=pop)
    app.get("/write")
    app.get("/flash")
    assert app.get("/pop").json == ["inner", "outer"]


# -- tokens and logins -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [csrf.LegacySessionCSRFStoragePolicy, csrf.SessionCSRFStoragePolicy]
)
def test_csrf_tokens_are_checked(manager: SessionManager, policy: Any) -> None:
    def configure(config: Any) -> None:
        config.set_csrf_storage_policy(policy())
        config.set_default_csrf_options(require_csrf=True)

    app = serve(
        manager,
        configure,
        form=csrf.get_csrf_token,
        new=csrf.new_csrf_token,
        buy=lambda request: "bought",
    )
    token = app.get("/form").json
    assert app.get("/form").json == token
    assert app.post("/buy", {"csrf_token": token}).json == "bought"
    assert app.post("/buy", {"csrf_token": "x" * 40}, status=400)
    assert app.get("/new").json != token
    assert app.post("/buy", {"csrf_token": token}, status=400)


def who(request: Any) -> Any:
    return request.authenticated_userid


def login(request: Any) -> Any:
    request.response.headerlist.extend(request.registry.helper.remember(request, "ada"))


def logout(request: Any) -> Any:
    request.response.headerlist.extend(request.registry.helper.forget(request))


class Policy:
    """A security policy as in Pyramid's documentation."""

    def __init__(self, helper: Any) -> None:
        self.helper = helper

    def identity(self, request: Any) -> Any:
        return self.helper.authenticated_userid(request)

    def authenticated_userid(self, request: Any) -> Any:
        return self.helper.authenticated_userid(request)

    def permits(self, request: Any, context: Any, permission: str) -> bool:
        return bool(self.identity(request) == "ada")


@pytest.mark.parametrize(
    "helper", [authentication.SessionAuthenticationHelper, LembroAuthenticationHelper]
)
def test_the_authentication_helper_logs_in(manager: SessionManager, helper: Any) -> None:
    def configure(config: Any) -> None:
        config.registry.helper = helper()
        config.set_security_policy(Policy(config.registry.helper))
        config.add_route("secret", "/secret")
        config.add_view(lambda request: Response("told"), route_name="secret", permission="read")

    views = {"who": who, "login": login, "logout": logout, "write": write, "read": read}
    app = serve(manager, configure, **views)
    ((_, before, _),) = cookies(app.get("/write"))
    app.get("/secret", status=403)
    rotated = cookies(app.get("/login"))
    assert app.get("/who").json == "ada"
    assert app.get("/secret").text == "told"
    assert app.get("/read").json["cart"] == [1]
    if helper is LembroAuthenticationHelper:
        assert rotated[0][1] not in ("", before)  # a new ID prevents session fixation
        assert [info.user_id for info in manager.user_sessions("ada")] == ["ada"]
    app.get("/logout")
    assert app.get("/who").json is None


def test_the_authentication_helper_remembers_a_login(manager: SessionManager) -> None:
    def remembered(request: Any) -> None:
        LembroAuthenticationHelper().remember(request, "ada", remember=True)

    ((_, _, attributes),) = cookies(serve(manager, remembered=remembered).get("/remembered"))
    assert attributes["max-age"] == str(30 * 86400)


@pytest.mark.filterwarnings("ignore:Authentication and authorization policies:DeprecationWarning")
def test_the_policy_of_pyramid_1_logs_in(manager: SessionManager) -> None:
    def configure(config: Any) -> None:
        policy = authentication.SessionAuthenticationPolicy()
        config.registry.helper = policy
        config.set_authentication_policy(policy)
        config.set_authorization_policy(ACLAuthorizationPolicy())

    app = serve(manager, configure, who=who, login=login, logout=logout)
    app.get("/login")
    assert app.get("/who").json == "ada"
    app.get("/logout")
    assert app.get("/who").json is None


@pytest.mark.parametrize(
    "own", [False, True], ids=["lembro's response", "the application's response"]
)
def test_a_required_login_has_its_response(manager: SessionManager, own: bool) -> None:
    def account(request: Any) -> str:
        request.session.require_recent(60)
        return "yours"

    def enter(request: Any) -> None:
        request.session.login("ada")

    def configure(config: Any) -> None:
        if own:
            view = lambda error, request: httpexceptions.HTTPFound("/enter")  # noqa: E731
            config.add_exception_view(view, context=LoginRequired)

    app = serve(manager, configure, account=account, enter=enter)
    if own:
        assert app.get("/account", status=302).headers["Location"].endswith("/enter")
    else:
        answer = app.get("/account", status=401)
        assert answer.text == "Log in first.\n"
        assert answer.headers["WWW-Authenticate"] == "Cookie"
    app.get("/enter")
    assert app.get("/account").json == "yours"


# -- failures --------------------------------------------------------------------------------------


def raises(request: Any) -> Any:
    request.session["a"] = 1
    raise ZeroDivisionError


def logs_out_and_raises(request: Any) -> Any:
    request.session.invalidate()
    raise ZeroDivisionError


@pytest.mark.parametrize("status", [None, 500, 200], ids=["no view", "500", "200"])
def test_a_view_that_raises_is_judged_by_its_exception_view(
    manager: SessionManager, status: int | None
) -> None:
    """The status of the exception view counts. Without one, the request has failed."""

    def configure(config: Any) -> None:
        if status is not None:
            config.add_exception_view(
                lambda error, request: Response(status=status), context=ZeroDivisionError
            )

    app = serve(manager, configure, write=write, raises=raises, out=logs_out_and_raises, read=read)
    app.get("/write")
    for path in ("/raises", "/out"):
        if status is None:
            with pytest.raises(ZeroDivisionError):
                app.get(path)
        else:
            clears = cookies(app.get(path, status=status))
            assert len(clears) == (path == "/out")
        if path == "/raises":
            expected = {"cart": [1], "a": 1} if status == 200 else {"cart": [1]}
            assert app.get("/read").json == expected
    assert manager.length() == 0


def test_a_raised_redirect_keeps_the_session(manager: SessionManager) -> None:
    def redirect(request: Any) -> Any:
        request.session["a"] = 1
        raise httpexceptions.HTTPFound("/read")

    assert serve(manager, redirect=redirect, read=read).get("/redirect").follow().json == {"a": 1}


def _huge_redirect(request: Any) -> Any:
    huge(request)
    raise httpexceptions.HTTPFound("/read")


@pytest.mark.parametrize("view", [huge, _huge_redirect], ids=["page", "redirect"])
def test_a_session_that_is_too_large_is_a_500(manager: SessionManager, view: View) -> None:
    answer = serve(manager, page=view).get("/page", status=500)
    assert answer.text == "The session could not be stored.\n"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == "Cookie"
    assert "Location" not in answer.headers
    assert not cookies(answer)
    assert manager.length() == 0


def test_a_stream_that_is_replaced_is_closed(
    manager: SessionManager,
) -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"never"

        def close(self) -> None:
            closed.append(True)

    def stream(request: Any) -> Any:
        huge(request)
        return Response(app_iter=Body())

    assert serve(manager, stream=stream).get("/stream", status=500).text.startswith("The session")
    assert closed == [True]


@pytest.mark.parametrize(
    "own", [False, True], ids=["lembro's response", "the application's response"]
)
def test_a_store_failure_has_its_response(own: bool) -> None:
    backend = BlockingBackend()
    manager = SessionManager(backend.store)
    session_id = manager.create({"a": 1})

    def configure(config: Any) -> None:
        if own:
            view = lambda error, request: Response("later", status=503)  # noqa: E731
            config.add_exception_view(view, context=StoreError)

    app = serve(manager, configure, read=read, untouched=untouched, write=write)
    backend.breaks()
    assert app.get("/write", status=503).headers["Cache-Control"] == "no-store"
    cookie = {"Cookie": f"sid={session_id}"}  # WebTest would quote it
    text = app.get("/read", headers=cookie, status=503).text
    lembros = "The session store is not available. Try again in a moment.\n"
    assert text == ("later" if own else lembros)
    app.get("/untouched", headers=cookie, status=200)
    backend.breaks("")
    assert app.get("/read", headers=cookie).json == {"a": 1}
    backend.close()


# -- bodies ----------------------------------------------------------------------------------------


def test_a_late_change_in_a_body_is_reported(manager: SessionManager) -> None:
    dropped: list[Event] = []
    manager.on("dropped", dropped.append)

    def late(request: Any) -> Any:
        cart = request.session.setdefault("cart", [])

        def body() -> Iterator[bytes]:
            yield b"first "
            cart.append("late")
            with request.session.edit() as session:
                session["edited"] = True
            yield b"last"
            session["cart"].append("later")

        return Response(app_iter=body())

    app = serve(manager, late=late, read=read)
    assert app.get("/late").text == "first last"
    assert app.get("/read").json == {"cart": [], "edited": True}
    assert [event.reason for event in dropped] == ["changed too late"]


@pytest.mark.parametrize("stream", [False, True], ids=["page", "stream"])
def test_a_late_change_in_a_subscriber_is_reported(manager: SessionManager, stream: bool) -> None:
    dropped: list[Event] = []
    manager.on("dropped", dropped.append)

    def configure(config: Any) -> None:
        config.add_subscriber(
            lambda event: event.request.session["cart"].append("late"), "pyramid.events.NewResponse"
        )

    def page(request: Any) -> Any:
        write(request)
        return Response(app_iter=iter([b"page"])) if stream else Response(b"page")

    assert serve(manager, configure, page=page).get("/page").text == "page"
    assert [event.reason for event in dropped] == ["changed too late"]  # reported once


def test_a_file_is_passed_to_the_server(manager: SessionManager, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content", encoding="utf-8")

    def file(request: Any) -> Any:
        assert request.session["cart"]
        return FileResponse(tmp_path / "a.txt", request)

    app = serve(manager, write=write, file=file)
    app.get("/write")
    assert app.get("/file").text == "content"


def test_a_file_with_a_session_keeps_its_length_and_its_ranges(
    manager: SessionManager, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("content", encoding="utf-8")

    def file(request: Any) -> Any:
        assert not request.session
        return FileResponse(tmp_path / "a.txt", request)

    app = serve(manager, file=file)
    assert app.get("/file").headers["Content-Length"] == "7"
    part = app.get("/file", headers={"Range": "bytes=3-5"}, status=206)
    assert (part.text, part.headers["Content-Length"]) == ("ten", "3")


@pytest.mark.parametrize("change", ["assign", "nested", "login", "huge"])
@pytest.mark.parametrize("where", ["subscriber", "callback"])
def test_a_first_access_after_the_response_is_an_error(
    manager: SessionManager, where: str, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    def act(request: Any) -> None:
        if change == "assign":
            request.session["late"] = 1
        elif change == "nested":
            request.session["cart"].append("late")
        elif change == "login":
            request.session.login("ada")
        else:
            request.session["cart"].append(object())

    def subscriber(event: Any) -> None:
        if "late" in event.request.params:
            act(event.request)

    def configure(config: Any) -> None:
        if where == "subscriber":
            config.add_subscriber(subscriber, "pyramid.events.NewResponse")

    def page(request: Any) -> Any:
        if where == "callback" and "late" in request.params:
            request.add_finished_callback(act)
        return "page"

    app = serve(manager, configure, page=page, write=write, read=read)
    app.get("/write")
    with pytest.raises(SessionCommitted, match="before the response begins"):
        app.get("/page?late=1")
    assert "changed after the response had begun; the change is lost" in caplog.text
    assert app.get("/read").json == {"cart": [1]}


def test_a_finished_callback_without_an_access_is_no_error(
    manager: SessionManager,
) -> None:
    def unread(request: Any) -> Any:
        request.add_finished_callback(lambda request: request.session is not None)
        return "page"

    assert serve(manager, unread=unread).get("/unread").json == "page"


def test_a_first_access_in_the_body_is_refused(manager: SessionManager) -> None:
    def late(request: Any) -> Any:
        def body() -> Iterator[bytes]:
            with pytest.raises(SessionCommitted, match="before the response begins"):
                request.session["cart"]
            yield b"refused"

        return Response(app_iter=body())

    app = serve(manager, late=late, write=write)
    app.get("/write")
    assert app.get("/late").text == "refused"


def test_a_body_may_use_a_loaded_session(manager: SessionManager) -> None:
    raised: list[Exception] = []

    def late(request: Any) -> Any:
        assert request.session

        def body() -> Iterator[bytes]:
            yield str(request.session["cart"]).encode()
            try:
                request.session["late"] = 1
            except SessionCommitted as error:
                raised.append(error)
            with request.session.edit() as session:
                session["edited"] = True

        return Response(app_iter=body())

    app = serve(manager, late=late, write=write, read=read)
    app.get("/write")
    assert app.get("/late").text == "[1]"
    assert len(raised) == 1
    assert app.get("/read").json == {"cart": [1], "edited": True}


def test_a_body_without_an_access_is_unchanged(manager: SessionManager, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content", encoding="utf-8")

    def stream(request: Any) -> Any:
        return Response(app_iter=iter([b"a", b"b"]))

    def file(request: Any) -> Any:
        return FileResponse(tmp_path / "a.txt", request)

    app = serve(manager, stream=stream, file=file)
    assert app.get("/stream").text == "ab"
    assert app.get("/file").text == "content"
    assert app.get("/file").headers["Content-Length"] == "7"


# -- nested applications ---------------------------------------------------------------------------


def test_a_middleware_of_the_same_manager_shares_the_session(manager: SessionManager) -> None:

    def around(environ: Any, start_response: Any) -> Any:
        environ[wsgi.KEY]["around"] = True
        return inner(environ, start_response)

    def flash(request: Any) -> None:
        request.session.flash("one")

    inner = application(manager, flash=flash, read=read)
    app = TestApp(wsgi.SessionMiddleware(around, manager))
    assert len(cookies(app.get("/flash"))) == 1
    assert app.get("/read").json == {"around": True, "_f_": ["one"]}


def test_the_session_keeps_pyramids_methods_under_another_framework(
    manager: SessionManager,
) -> None:
    inner = Flask("inner")
    Lembro(inner, manager)
    inner.add_url_rule("/", view_func=lambda: str(flask.session.update(inner=1)))

    def page(request: Any) -> Any:
        request.session.flash("before")
        response = wsgiapp2(inner)(None, request)
        request.session.flash("after")
        return response

    with Configurator(settings={"lembro.manager": manager}) as config:
        config.include("lembro.integrations.pyramid")
        config.add_route("page", "/page*subpath")
        config.add_view(page, route_name="page")
        add_views(config, {"read": read})
        app = TestApp(config.make_wsgi_app())
    assert len(cookies(app.get("/page/"))) == 1
    assert app.get("/read").json == {"_f_": ["before", "after"], "inner": 1}


def test_a_middleware_of_another_manager_has_its_own_session(manager: SessionManager) -> None:
    others = SessionManager(MemoryStore("1M"), cookie=CookieOptions(name="outer"))
    app = TestApp(wsgi.SessionMiddleware(application(manager, write=write, read=read), others))
    assert [name for name, _, _ in cookies(app.get("/write"))] == ["sid"]
    assert app.get("/read").json == {"cart": [1]}


@pytest.mark.parametrize("looks", [True, False], ids=["accessed", "not accessed"])
def test_an_inner_application_shares_the_session(manager: SessionManager, looks: bool) -> None:
    inner = application(manager, write=write)

    def configure(config: Any) -> None:
        config.add_route("inner", "/inner/*subpath")
        config.add_view(wsgiapp2(inner), route_name="inner")
        if looks:
            config.add_subscriber(
                lambda event: event.request.session.get("a"), "pyramid.events.ContextFound"
            )

    app = serve(manager, configure, read=read)
    assert len(cookies(app.get("/inner/write"))) == 1
    assert app.get("/read").json == {"cart": [1]}


def test_a_session_saved_by_an_inner_application_is_loaded_again(
    manager: SessionManager,
) -> None:
    inner = application(manager, within=lambda request: request.session.update(inner=1))

    def within(request: Any) -> None:
        request.get_response(inner)
        request.session["outer"] = request.session["inner"] + 1

    app = serve(manager, write=write, within=within, read=read)
    app.get("/write")
    app.get("/within")
    assert app.get("/read").json == {"cart": [1], "inner": 1, "outer": 2}


def test_a_subrequest_has_its_own_session_object(manager: SessionManager) -> None:
    def outer(request: Any) -> Any:
        request.session["a"] = 1
        inner = request.blank("/write")
        inner.headers["Cookie"] = request.headers.get("Cookie", "")
        request.invoke_subrequest(inner)

    app = serve(manager, outer=outer, write=write, read=read)
    app.get("/write")
    app.get("/outer")
    assert app.get("/read").json == {"cart": [1], "a": 1}


def test_the_debug_toolbar_works(manager: SessionManager) -> None:
    def configure(config: Any) -> None:
        config.add_settings({"debugtoolbar.hosts": "0.0.0.0/0"})
        config.include("pyramid_debugtoolbar")

    def page(request: Any) -> Response:
        request.session["cart"] = [1]
        return Response("<html><body>page</body></html>")

    app = serve(manager, configure, page=page, read=read)
    environ = {"REMOTE_ADDR": "127.0.0.1"}
    answer = app.get("/page", extra_environ=environ)
    assert "pDebugToolbar" in answer.text
    assert len(cookies(answer)) == 1
    assert app.get("/read", extra_environ=environ).json == {"cart": [1]}
    requests = app.get("/_debug_toolbar/", extra_environ=environ)
    assert requests.status_code == 200


# -- configuration ---------------------------------------------------------------------------------

INI = """
[app:main]
use = call:tests.integrations.test_pyramid:main
lembro.max_size = 8M
lembro.interval = 60
lembro.max_session_size = none
lembro.reduce_to = 0.5
lembro.idle_timeout = 3600
lembro.absolute_timeout = none
lembro.rotation_grace = 2.5
lembro.secret =
    one secret of at least 32 bytes, the first
    another secret of at least 32 bytes, the old
lembro.max_sessions_per_user = 5
lembro.at_max_sessions = refuse
lembro.cookie.name = shop
lembro.cookie.prefix = Secure
lembro.cookie.path = /app
lembro.cookie.domain = example.com
lembro.cookie.secure = true
lembro.cookie.httponly = no
lembro.cookie.samesite = Strict
lembro.cookie.partitioned = yes
lembro.cookie.max_age = 600
"""


def main(global_config: Any, **settings: Any) -> Any:
    """The factory that the ini file of a Pyramid project names."""
    with Configurator(settings=settings) as config:
        config.include("lembro.integrations.pyramid")
        return config.make_wsgi_app()


def test_an_ini_file_configures_the_session(tmp_path: Path) -> None:
    (tmp_path / "production.ini").write_text(INI, encoding="utf-8")
    manager = get_app(str(tmp_path / "production.ini")).registry.settings["lembro.manager"]
    options = manager.options
    assert options.idle_timeout == 3600
    assert options.absolute_timeout is None
    assert options.rotation_grace == 2.5
    assert options.secret == tuple(
        f"{which} secret of at least 32 bytes, the {rank}"
        for which, rank in (("one", "first"), ("another", "old"))
    )
    assert (options.max_sessions_per_user, options.at_max_sessions) == (5, "refuse")
    assert options.cookie == CookieOptions(
        name="shop",
        prefix="secure",
        path="/app",
        domain="example.com",
        secure=True,
        httponly=False,
        samesite="strict",
        partitioned=True,
        max_age=600,
    )
    assert manager.store.stats().max_size == 8 * 1024 * 1024


def test_an_ini_file_without_the_prefix_configures_nothing() -> None:
    manager = main({}, **{"lembro.cookie.prefix": "none"}).registry.settings["lembro.manager"]
    assert manager.options.cookie == CookieOptions(prefix=None)


def test_without_settings_the_defaults_are_used() -> None:
    manager = main({}).registry.settings["lembro.manager"]
    assert manager.options == SessionManager(MemoryStore()).options


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"lembro.idle_timeout": "8 hours"},
            r"lembro.idle_timeout must be seconds, for example 28800, got '8 hours'",
        ),
        ({"lembro.idle_timeout": "none"}, "must be seconds"),
        ({"lembro.idle_timeout": "-1"}, "more than 0"),
        ({"lembro.cookie.secure": "maybe"}, "must be auto, true or false"),
        ({"lembro.cookie.prefix": "__Host-"}, '"host", "secure" or None, got \'__host-\''),
        ({"lembro.cookie.httponly": "2"}, "must be true or false"),
        ({"lembro.max_sessions_per_user": "many"}, "must be a whole number, or none"),
        ({"lembro.timeout": "5"}, r"did you mean lembro\.\w*timeout"),
        (
            {"lembro_max_size": "4M"},
            r"no setting 'lembro_max_size'; did you mean lembro.max_size\?",
        ),
        ({"lembro.ttl": "5"}, r"did you mean lembro.idle_timeout\?"),
        ({"lembro.resave": "no"}, r"'lembro.resave'; leave it out, because an unmodified session"),
        ({"lembro_cookie_name": "sid"}, r"did you mean lembro.cookie.name\?"),
        ({"lembro_manager": SessionManager(MemoryStore("1M"))}, r"mean lembro.manager\?"),
        ({"lembro.max_size": "huge"}, "huge"),
        ({"lembro.manager": "memory"}, "must be an object"),
        (
            {"lembro.store": MemoryStore("1M"), "lembro.max_size": "4M"},
            "together with lembro.store",
        ),
        (
            {"lembro.manager": SessionManager(MemoryStore("1M")), "lembro.idle_timeout": "60"},
            "lembro.idle_timeout cannot be given together with lembro.manager",
        ),
        ({"lembro.cookie": CookieOptions(), "lembro.cookie.name": "sid"}, "leave one of them out"),
        ({"lembro.secret": "changeme"}, "can be guessed"),
        ({"lembro.options": "aal2"}, "lembro.options must be an object"),
        ({"lembro.exclude": "static"}, "path prefixes that begin with"),
    ],
)
def test_an_invalid_setting_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        main({}, **settings)


def test_a_setting_may_be_an_object() -> None:
    store = MemoryStore("1M")
    manager = main({}, **{"lembro.store": store, "lembro.idle_timeout": 60.0}).registry.settings[
        "lembro.manager"
    ]
    assert manager.store is store
    assert manager.options.idle_timeout == 60


def test_an_options_object_and_single_options_are_combined() -> None:
    settings = {"lembro.options": SessionOptions.aal2(), "lembro.max_sessions_per_user": "5"}
    options = main({}, **settings).registry.settings["lembro.manager"].options
    assert (options.idle_timeout, options.max_sessions_per_user) == (3600, 5)


@pytest.mark.parametrize("exclude", ["\n/static/\n/assets/", ["/static/", "/assets/"]])
def test_an_excluded_path_has_no_session(manager: SessionManager, exclude: Any) -> None:
    with Configurator(settings={"lembro.manager": manager, "lembro.exclude": exclude}) as config:
        config.include("lembro.integrations.pyramid")
        add_views(config, {"static/logo": lambda request: "logo", "static/write": write})
        add_views(config, {"assets/write": write, "write": write})
        app = TestApp(config.make_wsgi_app())
    assert app.get("/static/logo").json == "logo"
    for path in ("/static/write", "/assets/write"):
        with pytest.raises(ConfigError, match="exclude="):
            app.get(path)
    assert len(cookies(app.get("/write"))) == 1


def test_an_async_store_is_refused() -> None:
    store: Any = AsyncAdapter(MemoryStore("64K"), NETWORKED)
    with pytest.raises(ConfigError, match="is asynchronous, and Pyramid has no event loop"):
        LembroSessionFactory(store=store)


def test_the_session_factory_works_alone(manager: SessionManager) -> None:
    with Configurator(session_factory=LembroSessionFactory(manager)) as config:
        add_views(config, {"write": write, "read": read})
        app = TestApp(config.make_wsgi_app())
    app.get("/write")
    assert app.get("/read").json == {"cart": [1]}
    with pytest.raises(ConfigError, match="together with a SessionManager"):
        LembroSessionFactory(manager, idle_timeout=60)


def test_another_session_factory_is_an_error(manager: SessionManager) -> None:
    def configure(config: Any) -> None:
        config.set_session_factory(SignedCookieSessionFactory("x" * 64))

    app = serve(manager, configure, page=lambda request: get_session(request) and None)
    with pytest.raises(ConfigError, match=r"config\.include"):
        app.get("/page")
