"""Django's session key: its length, sessions that are opened by it, and keys that were replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model, login, logout, update_session_auth_hash
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.http import HttpResponse
from django.test import Client, RequestFactory

from lembro import MemoryStore, SessionCommitted, SessionManager
from lembro.integrations.django import (
    SessionMiddleware,
    SessionStore,
    get_manager,
    get_session,
)
from lembro.migrate import DjangoSessionReader
from tests.support.django_site import Site, database, running

OURS = "lembro.integrations.django.SessionMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module", autouse=True)
def _database() -> None:
    database()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Django needs it


@pytest.fixture
def site() -> Iterator[Site]:
    with running() as site:
        yield site


@pytest.fixture
def alone() -> Iterator[Site]:
    with running(MIDDLEWARE=[DJANGOS]) as site:
        yield site


@pytest.fixture
def client() -> Any:
    return Client()


def user(name: str) -> Any:
    model = get_user_model()
    model.objects.filter(username=name).delete()
    return model.objects.create_user(name, password="correct horse")


def put(**values: Any) -> Any:
    return lambda request: request.session.update(values)


def items(request: Any) -> dict[str, Any]:
    return dict(request.session.items())


def key_of(request: Any) -> str:
    key: str = request.session.session_key
    return key


# -- the length ------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [None, SECRET])
def test_the_key_fits_into_a_column_of_40_characters(secret: str | None, client: Any) -> None:
    """For example ``session_key = models.CharField(max_length=40)`` of allauth.usersessions."""
    with running(LEMBRO={"SECRET": secret}) as site:
        keys = []
        for act in (
            put(a=1),
            lambda request: request.session.cycle_key(),
            lambda request: get_session(request).login("ada"),
            lambda request: request.session.set_expiry(300),
            lambda request: request.session.cycle_key(),
            lambda request: (request.session.flush(), request.session.create()),
        ):
            site.visit(client, act)
            key = site.visit(client, key_of).result
            keys.append(key)
            assert len(key) == 40
            assert len(SessionStore(key).session_key) == 40
            client.cookies["sessionid"] = key  # as Django's test client does
            assert site.visit(client, key_of).result == key
        assert len(set(keys)) == 5
        session = SessionStore()
        session.create()
        assert len(session.session_key) == 40
        assert get_manager().regenerate(get_manager().create({"a": 1})) is not None


def test_the_key_of_an_adopted_session_has_40_characters(client: Any) -> None:
    old = SignedCookies()
    old["cart"] = [1]
    old.save()
    reader = DjangoSessionReader("django.contrib.sessions.backends.signed_cookies", cookie="old")
    with running(LEMBRO={"MIGRATE_FROM": reader}) as site:
        client.cookies["old"] = old.session_key
        assert site.visit(client, items).result == {"cart": [1]}
        late = Client()
        late.cookies["old"] = old.session_key
        assert len(site.visit(client, key_of).result) == 40
        site.visit(late, items)
        key = client.cookies["sessionid"].value
        assert late.cookies["sessionid"].value.partition(".")[0] == key.partition(".")[0]


@pytest.mark.parametrize("secret", [None, SECRET])
def test_an_id_of_another_framework_is_a_key(secret: str | None, client: Any) -> None:
    """It has 43 characters, and its signature if there is a secret."""
    store = MemoryStore("1M")
    other = SessionManager(store, secret=secret)
    session_id = other.create({"a": 1})
    with running(LEMBRO={"STORE": store, "SECRET": secret}) as site:
        key = SessionStore(session_id).session_key
        if secret is None:
            assert key == session_id
        else:
            assert key is None, "no signature"
        session = other.load(session_id)
        session.regenerate_id()
        session.save()
        assert session.issued_id is not None
        cookie = site.manager._runner.cookie.value(session.issued_id, None).decode()
        client.cookies["sessionid"] = cookie
        assert site.visit(client, key_of).result == cookie
        assert SessionStore(cookie)["a"] == 1
        assert other.get(session.issued_id) == {"a": 1}


# -- a session that is opened by its key -----------------------------------------------------------


def opened(**values: Any) -> Any:
    """Return a view that puts another session into the place of the request's and changes it."""

    def act(request: Any) -> str:
        first = SessionStore()
        first["state"] = 1
        first.save()
        request.session = SessionStore(first.session_key)
        request.session.update(values)
        key: str = request.session.session_key
        return key

    return act


def test_a_session_that_is_opened_by_its_key_gets_its_cookie(site: Site, client: Any) -> None:
    """allauth does this with the state of OAuth 1."""
    key = site.visit(client, opened(next="/x")).result
    assert client.cookies["sessionid"].value.partition(".")[0] == key
    assert site.visit(client, items).result == {"state": 1, "next": "/x"}


def test_it_gets_its_cookie_if_it_was_saved_already(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        opened(next="/x")(request)
        request.session.save()

    site.visit(client, act)
    assert site.visit(client, items).result == {"state": 1, "next": "/x"}


def test_it_gets_no_cookie_if_the_browser_has_it(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))

    def act(request: Any) -> None:
        request.session = SessionStore(request.session.session_key)
        request.session["b"] = 2

    answer = site.visit(client, act)
    assert not answer.cookies
    assert site.visit(client, items).result == {"a": 1, "b": 2}


def test_it_gets_no_cookie_if_it_is_only_read(site: Site, client: Any) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()

    def act(request: Any) -> Any:
        request.session = SessionStore(session.session_key)
        return request.session["a"]

    answer = site.visit(client, act)
    assert answer.result == 1
    assert not answer.cookies


def test_it_gets_no_cookie_if_it_has_ended(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        opened(next="/x")(request)
        request.session.flush()

    assert not any(cookie.value for cookie in site.visit(client, act).cookies.values())


def test_a_new_session_in_place_of_the_requests_gets_its_cookie(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        request.session = SessionStore()
        request.session["a"] = 1

    site.visit(client, act)
    assert site.visit(client, items).result == {"a": 1}


# -- an empty session that is saved ----------------------------------------------------------------


def ensured(request: Any) -> str:
    if not request.session.session_key:
        request.session.save()
    return key_of(request)


def test_alone_an_empty_session_that_is_saved_gets_a_cookie(alone: Site, client: Any) -> None:
    key = alone.visit(client, ensured).result
    assert client.cookies["sessionid"].value == key
    assert alone.visit(client, ensured).result == key
    assert len(alone.records()) == 1


def test_an_empty_session_that_is_saved_is_modified(site: Site) -> None:
    """Channels and Django's own middleware look at it."""
    session = SessionStore()
    assert not session.modified
    session.save()
    assert session.modified
    assert not session.is_empty()


# -- a key that was replaced -----------------------------------------------------------------------


def replaced() -> tuple[str, Any]:
    """Return the old key of a user's session, within the grace, and the session."""
    manager = get_manager()
    session = manager.load()
    session.login("ada")
    session["a"] = 1
    session.save()
    store = SessionStore(session.issued_id)
    old = store.session_key
    store.cycle_key()
    return old, store


def test_an_old_key_has_no_session(site: Site) -> None:
    old, store = replaced()
    late = SessionStore(old)
    assert not late.exists(old)
    assert late.load() == {}
    assert dict(late.items()) == {}
    late.flush()
    late.delete(old)
    SessionStore(old).flush()
    assert SessionStore(store.session_key).load() == {"a": 1}
    assert site.only().user == "ada"


@pytest.mark.anyio
async def test_an_old_key_has_no_session_in_async_code(site: Site) -> None:
    old, store = replaced()
    late = SessionStore(old)
    assert not await late.aexists(old)
    assert await late.aload() == {}
    await late.aflush()
    await late.adelete(old)
    assert SessionStore(store.session_key).load() == {"a": 1}


def test_flush_of_an_old_key_leaves_its_requests_in_flight_alone(site: Site) -> None:
    session = site.manager.load()
    session.login("ada")
    session.save()
    old_id = session.issued_id
    assert old_id is not None
    store, late = SessionStore(old_id), SessionStore(old_id)
    assert late.load() == {}  # before the new key
    store.cycle_key()
    late.flush()
    assert site.manager.load(old_id).user_id == "ada"


def test_flush_ends_a_session_that_was_loaded_by_its_key(site: Site) -> None:
    _, store = replaced()
    SessionStore(store.session_key).flush()
    assert not site.manager.length()


@pytest.mark.parametrize("middleware", [None, DJANGOS])
def test_a_changed_password_keeps_the_session_that_changed_it(middleware: str | None) -> None:
    """Another request is in flight. Its user has a new hash, so its session is flushed."""
    ada = user("ada")
    client: Any = Client()
    late: Any = Client()
    with running(**({"MIDDLEWARE": [middleware]} if middleware else {})) as site:
        site.visit(client, lambda request: login(request, ada))
        late.cookies = client.cookies.copy()

        def other(request: Any) -> None:
            assert request.session["_auth_user_id"] == str(ada.pk)
            site.visit(client, change)
            request.session.flush()

        def change(request: Any) -> None:
            request.user = ada
            ada.set_password("battery staple")
            ada.save()
            update_session_auth_hash(request, ada)
            request.session.save()
            request.session["changed"] = True

        assert site.visit(late, other).status_code == 200
        assert site.visit(client, items).result["changed"] is True
        assert site.only().user == str(ada.pk)


def test_a_logout_in_flight_ends_a_session_whose_key_was_replaced(site: Site) -> None:
    """A logout is not undone: this is what flush() does without a logout."""
    ada = user("ada")
    client: Any = Client()
    late: Any = Client()
    site.visit(client, lambda request: login(request, ada))
    late.cookies = client.cookies.copy()

    def other(request: Any) -> None:
        assert request.session["_auth_user_id"] == str(ada.pk)
        site.visit(client, lambda inner: inner.session.cycle_key())
        logout(request)

    site.visit(late, other)
    assert site.visit(client, items).result == {}
    assert site.records() == []


def test_flush_while_the_key_is_being_replaced(site: Site) -> None:
    """The key is replaced between the two calls of the store."""
    _, store = replaced()
    key = store.session_key
    late = SessionStore(key)
    assert late["a"] == 1
    destroy = site.store.destroy

    def replace_first(*args: Any) -> Any:
        patched.stop()
        SessionStore(key).cycle_key()
        return destroy(*args)

    patched = patch.object(site.store, "destroy", replace_first)
    patched.start()
    late.flush()
    assert site.only().user == "ada"


# -- a session that is deleted ---------------------------------------------------------------------


def test_a_session_that_is_saved_and_deleted_sends_no_cookie(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        request.session["a"] = 1
        request.session.save()
        request.session.delete()

    answer = site.visit(client, act)
    assert not answer.cookies
    assert site.records() == []


@pytest.mark.anyio
async def test_a_session_that_is_deleted_in_async_code_has_no_cookie(site: Site) -> None:
    session = SessionStore()
    session["a"] = 1
    await session.asave()
    assert session._lembro._cookie is not None
    await session.adelete()
    assert session._lembro._cookie is None


def test_a_session_that_is_deleted_by_another_keeps_its_cookie(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        other = SessionStore()
        other.create()
        request.session["a"] = 1
        request.session.save()
        request.session.delete(other.session_key)

    site.visit(client, act)
    assert site.visit(client, items).result == {"a": 1}


# -- the middleware around a function of another library -------------------------------------------


def request_through(function: Any) -> Any:
    request = RequestFactory().get("/")
    return request, SessionMiddleware(function)(request)


@pytest.mark.parametrize("touch_first", [True, False])
def test_a_helper_may_write_after_the_response_and_save(site: Site, touch_first: bool) -> None:
    def view(request: Any) -> HttpResponse:
        if touch_first:
            request.session["first"] = 1
        return HttpResponse(b"done")

    request, _ = request_through(view)
    request.session["late"] = 2
    request.session.save()
    kept = {"first": 1, "late": 2} if touch_first else {"late": 2}
    assert SessionStore(request.session.session_key).load() == kept


def test_a_helper_may_use_a_function_without_a_response(site: Site) -> None:
    request, response = request_through(lambda request: None)
    assert response is None
    request.session["late"] = 2
    request.session.save()
    assert SessionStore(request.session.session_key).load() == {"late": 2}


def test_an_unsaved_change_of_a_helper_is_reported(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    request, response = request_through(lambda request: HttpResponse(b"done"))
    response.close()
    assert caplog.records == []
    request, response = request_through(lambda request: HttpResponse(b"done"))
    request.session["late"] = 2
    response.close()
    assert "the change is lost" in caplog.text
    assert site.records() == []


def test_a_helper_may_exclude_the_path(client: Any) -> None:
    with running(LEMBRO={"MAX_SIZE": "1M", "EXCLUDE": ["/"]}):
        request, response = request_through(lambda request: HttpResponse(b"done"))
        assert response.status_code == 200
        assert repr(request.session) == "<NoSession>"


def test_in_django_a_middleware_around_it_cannot_write_late(site: Site, client: Any) -> None:
    """Django's handler calls it, so the change would be lost."""
    caught: list[BaseException] = []

    def around(get_response: Any) -> Any:
        def middleware(request: Any) -> Any:
            response = get_response(request)
            with pytest.raises(SessionCommitted) as error:
                request.session["late"] = 1
            caught.append(error.value)
            return response

        return middleware

    with (
        patch.dict(globals(), around=around),
        running(MIDDLEWARE=[f"{__name__}.around", OURS]) as site,
    ):
        site.visit(client, put(a=1))
    assert len(caught) == 1


# -- the cookie ------------------------------------------------------------------------------------


def test_max_age_is_an_int_as_with_django(site: Site, client: Any) -> None:
    answer = site.visit(client, put(a=1))
    assert answer.cookies["sessionid"]["max-age"] == 14 * 86400
    answer = site.visit(client, lambda request: request.session.flush())
    assert answer.cookies["sessionid"]["max-age"] == 0
