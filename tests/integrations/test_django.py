"""request.session with Django's methods: the engine under lembro's middleware, and alone."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.core.management import call_command
from django.db.models import TextChoices
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.test.utils import override_settings
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from lembro import (
    CodecError,
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    SessionCommitted,
    SessionManager,
    SessionOptions,
)
from lembro.errors import UsageError
from lembro.ids import new_id
from lembro.integrations.django import (
    SessionMiddleware,
    SessionStore,
    config,
    get_manager,
    get_session,
)
from lembro.migrate import StoreReader
from lembro.testing import FakeClock
from tests.support.django_site import Site, running
from tests.support.stores import AsyncAdapter, BlockingAdapter

DAY = 86400
WEEKS = 14 * DAY  # SESSION_COOKIE_AGE
OURS = "lembro.integrations.django.SessionMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Django needs it


@pytest.fixture
def site() -> Iterator[Site]:
    with running(MIDDLEWARE=[OURS]) as site:
        yield site


@pytest.fixture
def client() -> Any:
    return Client()


def put(**values: Any) -> Any:
    return lambda request: request.session.update(values)


def items(request: Any) -> dict[str, Any]:
    return dict(request.session.items())


def cookie(response: Any) -> Any:
    return response.cookies["sessionid"]


def key_in(client: Any) -> str:
    """Return the session key that the browser has: its cookie without the reputation."""
    value: str = client.cookies["sessionid"].value
    return value.partition(".")[0]


# -- values ----------------------------------------------------------------------------------------


def test_a_value_of_django_that_cannot_be_stored_is_refused(site: Site) -> None:
    users = get_user_model().objects.all()
    for value, hint in (
        (gettext_lazy("saved"), "store str(value)"),
        (mark_safe("saved"), "store str.__str__(value)"),
        (users.model(), "store its primary key"),
        (users, "store list(value.values())"),
    ):
        with pytest.raises(CodecError, match=re.escape(hint)):
            SessionStore()["k"] = value


def test_a_member_of_textchoices_is_stored_as_its_value(site: Site, client: Any) -> None:
    size: Any = TextChoices("Size", "SMALL")
    site.visit(client, put(size=size.SMALL))
    assert site.visit(client, items).result == {"size": "SMALL"}


# -- the key ---------------------------------------------------------------------------------------


def test_of_several_cookies_the_key_is_that_of_the_live_session(site: Site, client: Any) -> None:
    """Before the session is accessed, too: many applications ask for the key first."""

    def ask(request: Any) -> tuple[bool, str | None]:
        if not request.session.session_key:
            request.session.create()
        return request.session.is_empty(), request.session.session_key

    site.visit(client, put(a=1))
    value = client.cookies["sessionid"].value
    key = site.visit(client, lambda request: request.session.session_key).result
    for cookies in (f"sessionid={new_id()}; sessionid={value}", f"sessionid={value}; sessionid=a"):
        answer = site.visit(Client(headers={"cookie": cookies}), ask)
        assert answer.result == (False, key)
        assert not answer.cookies
        empty = site.visit(
            Client(headers={"cookie": cookies}), lambda request: request.session.is_empty()
        )
        assert empty.result is False
    cookies = f"sessionid={new_id()}; sessionid={new_id()}"
    answer = site.visit(Client(headers={"cookie": cookies}), lambda r: r.session.is_empty())
    assert answer.result is True


def test_the_key_is_in_the_cookie_and_the_store_has_its_hash(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    value = client.cookies["sessionid"].value
    key = key_in(client)
    assert site.visit(client, lambda request: request.session.session_key).result == key
    dump = site.store._parts.arena.memory[:]
    assert key.encode() not in dump
    assert SessionStore(key)["a"] == 1
    assert SessionStore(value)["a"] == 1, "the value of the cookie is accepted too"


def test_a_new_session_has_no_key_until_it_is_saved(site: Site, client: Any) -> None:
    def act(request: Any) -> list[str | None]:
        keys = [request.session.session_key]
        request.session["a"] = 1
        keys.append(request.session.session_key)
        request.session.save()
        return [*keys, request.session.session_key]

    answer = site.visit(client, act)
    assert answer.result == [None, None, key_in(client)]


def test_create_gives_a_visitor_a_key(site: Site, client: Any) -> None:
    def key_of(request: Any) -> str:
        if not request.session.session_key:
            request.session.create()
        key: str = request.session.session_key
        return key

    first = site.visit(client, key_of)
    assert key_in(client) == first.result
    assert site.visit(client, key_of).result == first.result


def test_an_unknown_key_is_not_adopted(site: Site, client: Any) -> None:
    planted = "a" * 43
    client.cookies["sessionid"] = planted
    site.visit(client, lambda request: request.session.create())
    assert client.cookies["sessionid"].value != planted
    assert SessionStore(planted).load() == {}


def test_create_does_not_touch_the_cookie_of_a_login_in_another_tab(site: Site) -> None:
    """A request with the ID from before the login is in flight."""
    late: Any = Client()
    client: Any = Client()
    site.visit(client, put(a=1))
    late.cookies = client.cookies.copy()
    site.visit(client, lambda request: get_session(request).login("ada"))

    def act(request: Any) -> Any:
        request.session.create()
        return request.session.session_key

    answer = site.visit(late, act)
    assert (answer.result, len(answer.cookies)) == (None, 0)
    assert len(site.records()) == 1


def test_cycle_key_keeps_the_data_under_a_new_key(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    before = client.cookies["sessionid"].value

    def act(request: Any) -> str:
        request.session.cycle_key()
        key: str = request.session.session_key
        return key

    after = site.visit(client, act).result
    assert after == key_in(client) != before.partition(".")[0]
    assert SessionStore(after).load() == {"a": 1}
    assert SessionStore(before).load() == {}
    assert not SessionStore().exists(before)


def test_create_gives_a_stored_session_another_key(site: Site, client: Any) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()
    before = session.session_key
    session.create()
    assert session.session_key != before
    assert SessionStore(session.session_key).load() == {"a": 1}
    assert not SessionStore().exists(before)


def test_create_with_a_rotated_key_keeps_it(site: Site, client: Any) -> None:
    """Without the middleware, no browser has the new key."""
    session = SessionStore()
    session["a"] = 1
    session.save()
    before = session.session_key
    session.cycle_key()
    late = SessionStore(before)
    late.create()
    assert late.session_key not in (None, before, session.session_key)
    assert (late.load(), session.load()) == ({}, {"a": 1})


def test_an_assigned_key_loads_that_session(site: Site) -> None:
    """Code for Django's engines does this."""
    session, other = SessionStore(), SessionStore()
    session["a"], other["b"] = 1, 2
    session.save()
    other.save()
    session._session_key = other.session_key
    assert session.session_key == other.session_key
    assert dict(session.items()) == {"b": 2}


def test_an_invalid_key_does_not_exist(site: Site) -> None:
    assert not SessionStore().exists("nonsense")
    assert not SessionStore().exists(None)


def test_the_repr_hides_the_key(site: Site) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()
    assert repr(session).startswith("<SessionStore of <Session ")
    assert session.session_key not in repr(session)


def test_encode_and_decode_work_as_in_django(site: Site) -> None:
    """They serve code that keeps a session elsewhere; lembro does not use them."""
    session = SessionStore()
    assert session.decode(session.encode({"a": 1})) == {"a": 1}
    assert session.serializer.__name__ == "JSONSerializer"


def test_pop_of_a_missing_key_works_as_in_django(site: Site) -> None:
    with pytest.raises(KeyError, match="a"):
        SessionStore().pop("a")
    assert SessionStore().pop("a", None) is None


def test_cycle_key_of_an_empty_session_stores_nothing(site: Site, client: Any) -> None:
    def act(request: Any) -> Any:
        request.session.cycle_key()
        return request.session.session_key

    answer = site.visit(client, act)
    assert key_in(client) == answer.result


def test_flush_ends_the_session(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    before = client.cookies["sessionid"].value

    def act(request: Any) -> tuple[Any, bool]:
        request.session.flush()
        return request.session.session_key, request.session.is_empty()

    answer = site.visit(client, act)
    assert answer.result == (None, True)
    assert cookie(answer)["max-age"] == 0
    assert cookie(answer)["samesite"] == "Lax"
    assert cookie(answer)["httponly"] is True
    assert SessionStore(before).load() == {}


def test_a_write_after_flush_begins_a_new_session(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    before = client.cookies["sessionid"].value

    def act(request: Any) -> None:
        request.session.flush()
        request.session["b"] = 1

    site.visit(client, act)
    assert client.cookies["sessionid"].value != before
    assert site.visit(client, items).result == {"b": 1}


def test_clear_keeps_the_key(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    before = client.cookies["sessionid"].value

    def act(request: Any) -> None:
        request.session.clear()
        request.session["b"] = 1

    site.visit(client, act)
    assert client.cookies["sessionid"].value == before
    assert site.visit(client, items).result == {"b": 1}


# -- saving ----------------------------------------------------------------------------------------


def test_nested_changes_are_kept(site: Site, client: Any) -> None:
    site.visit(client, put(cart=[1]))
    site.visit(client, lambda request: request.session["cart"].append(2))
    assert site.visit(client, items).result == {"cart": [1, 2]}


def test_two_parallel_requests_lose_no_change(site: Site, client: Any) -> None:
    site.visit(client, put(cart=[1]))

    def slow(request: Any) -> None:
        request.session["cart"].append(2)
        site.visit(client, lambda other: other.session["cart"].append(3))
        request.session["a"] = 1

    site.visit(client, slow)
    assert site.visit(client, items).result == {"cart": [1, 3, 2], "a": 1}


def test_save_merges_too(site: Site, client: Any) -> None:
    session = client.session
    session["a"] = 1
    session.save()
    other = SessionStore(session.session_key)
    other["b"] = 1
    other.save()
    session["c"] = 1
    session.save()
    assert dict(session.items()) == {"a": 1, "b": 1, "c": 1}


def test_modified_false_drops_the_changes(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))

    def act(request: Any) -> None:
        request.session["a"] = 2
        request.session.modified = False

    site.visit(client, act)
    assert site.visit(client, items).result == {"a": 1}


def test_modified_tells_whether_there_is_a_change_to_save(site: Site, client: Any) -> None:
    def act(request: Any) -> list[bool]:
        session = request.session
        seen = [session.modified, bool(session.get("b")) or session.modified]
        session.get("cart")
        seen.append(session.modified)
        session["cart"].append(2)
        seen.append(session.modified)
        session.save()
        seen.append(session.modified)
        get_session(request).regenerate_id()
        return [*seen, session.modified]

    site.visit(client, put(cart=[1]))
    assert site.visit(client, act).result == [False, False, False, True, False, True]


def test_modified_true_of_an_empty_session_stores_nothing(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        request.session.modified = True

    answer = site.visit(client, act)
    assert (len(answer.cookies), "Vary" in answer.headers) == (0, False)
    assert site.records() == []


def test_save_after_a_logout_ends_the_session_at_once(site: Site, client: Any) -> None:
    def act(request: Any) -> int:
        get_session(request).logout()
        request.session.save()
        return len(site.records())

    site.visit(client, put(a=1))
    answer = site.visit(client, act)
    assert answer.result == 0
    assert cookie(answer)["max-age"] == 0


def test_modified_true_extends_the_session(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        request.session.modified = True

    site.visit(client, put(a=1))
    site.clock.advance(10)
    assert not site.visit(client, items).cookies
    assert cookie(site.visit(client, act))["max-age"] == WEEKS
    assert site.only().idle_left == WEEKS


def test_save_every_request_extends_the_session(site: Site, client: Any) -> None:
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        site.visit(client, put(a=1))
        site.clock.advance(10)
        answer = site.visit(client, lambda request: None)
        assert cookie(answer)["max-age"] == WEEKS
        assert answer["Vary"] == "Cookie"
        assert site.only().idle_left == WEEKS
        answer = site.visit(Client(), lambda request: None)
        assert not answer.cookies


@pytest.mark.parametrize("every", [False, True])
def test_marking_a_session_as_changed_does_not_extend_it_in_a_passive_request(
    every: bool,
) -> None:
    clock = FakeClock()
    store = MemoryStore("1M", clock=clock)

    def act(request: Any) -> None:
        request.session["a"] = 2
        request.session.modified = True

    with running(
        LEMBRO={"STORE": store, "PASSIVE": "/"}, MIDDLEWARE=[OURS], SESSION_SAVE_EVERY_REQUEST=every
    ) as site:
        client = Client()
        site.visit(client, put(a=1))
        clock.advance(10)
        assert not site.visit(client, items if every else act).cookies
        ((_, found),) = store.all()
        assert found.idle_left == WEEKS - 10
    store.close()


def test_a_session_that_has_ended_is_not_saved(site: Site) -> None:
    first = SessionStore()
    first["a"] = 1
    first.save()
    for act in (lambda session: session.update({"a": 2}), lambda session: None):
        session = SessionStore(first.session_key)
        assert session["a"] == 1
        SessionStore().delete(first.session_key)
        act(session)
        with pytest.raises(UpdateError):
            session.save()
        first = SessionStore()
        first["a"] = 1
        first.save()


def test_must_create_adds_a_session(site: Site) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save(must_create=True)
    with pytest.raises(CreateError):
        session.save(must_create=True)


def test_delete_ends_the_session(site: Site) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()
    session.delete()
    session.delete()
    SessionStore().delete()
    SessionStore().delete("nonsense")
    assert session.load() == {}
    assert site.records() == []


def test_a_record_that_cannot_be_read_counts_as_missing(site: Site) -> None:
    from lembro.stores.base import Record  # noqa: PLC0415

    session = SessionStore()
    session["a"] = 1
    session.save()
    ((key, found),) = site.store.all()
    site.store.set(key, Record(b"broken"), expected=found.payload, idle=100)
    assert session.load() == {}
    assert SessionStore(session.session_key).load() == {}


# -- lifetime --------------------------------------------------------------------------------------


def expire(value: Any) -> Any:
    return lambda request: request.session.set_expiry(value)


def test_the_settings_decide_the_lifetime(site: Site, client: Any) -> None:
    answer = site.visit(client, put(a=1))
    assert cookie(answer)["max-age"] == WEEKS
    assert site.only().idle_left == WEEKS


def test_expire_at_browser_close_sets_a_session_cookie() -> None:
    with running(SESSION_EXPIRE_AT_BROWSER_CLOSE=True) as site:
        answer = site.visit(Client(), put(a=1))
        assert cookie(answer)["max-age"] == ""
        assert site.only().idle_left == WEEKS


def test_set_expiry_in_seconds_holds(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    answer = site.visit(client, expire(300))
    assert cookie(answer)["max-age"] == 300
    assert cookie(answer).value == client.cookies["sessionid"].value
    assert site.only().idle_left == 300
    site.clock.advance(200)
    answer = site.visit(client, items)  # a read extends it
    assert cookie(answer)["max-age"] == 300
    site.clock.advance(299)
    assert site.visit(client, items).result == {"a": 1, "_session_expiry": 300}
    site.clock.advance(301)
    assert site.visit(client, items).result == {}


def test_set_expiry_of_a_new_session_holds(site: Site, client: Any) -> None:
    answer = site.visit(client, expire(300))
    assert cookie(answer)["max-age"] == 300
    assert site.only().idle_left == 300


def test_set_expiry_may_exceed_the_settings(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    answer = site.visit(client, expire(20 * DAY))
    assert cookie(answer)["max-age"] == 20 * DAY
    assert site.only().idle_left == 20 * DAY


def test_set_expiry_in_a_request_with_a_rotated_id(site: Site, client: Any) -> None:
    """The browser has another cookie or will get one, so this response sets none."""
    site.visit(client, lambda request: get_session(request).login("ada"))
    late: Any = Client()
    late.cookies = client.cookies.copy()
    site.visit(client, lambda request: get_session(request).regenerate_id())
    assert not site.visit(late, expire(60)).cookies
    assert site.only().idle_left == 60


def test_set_expiry_beyond_the_absolute_timeout_is_limited(
    site: Site, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = site.visit(client, expire(365 * DAY))
    assert cookie(answer)["max-age"] == 30 * DAY
    assert site.only().idle_left == 30 * DAY
    assert 'Raise LEMBRO["ABSOLUTE_TIMEOUT"], or set it to None' in caplog.text


def test_set_expiry_zero_lasts_until_the_browser_closes(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    answer = site.visit(client, expire(0))
    assert cookie(answer)["max-age"] == ""
    assert site.only().idle_left == WEEKS
    site.clock.advance(5 * DAY)
    assert not site.visit(client, items).cookies
    assert site.only().idle_left == WEEKS


def test_set_expiry_at_a_date_is_never_extended(
    site: Site, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    site.visit(client, put(a=1))
    answer = site.visit(client, expire(now + timedelta(hours=2)))
    assert cookie(answer)["max-age"] == 7200
    for minutes in (30, 60, 90):
        site.clock.advance(1800)
        later = now + timedelta(minutes=minutes)
        monkeypatch.setattr(timezone, "now", lambda later=later: later)
        assert site.visit(client, put(minutes=minutes)).result is None
        assert site.only().idle_left == 7200 - 60 * minutes
    site.clock.advance(1800)
    assert site.visit(client, items).result == {}


@pytest.mark.parametrize("value", [None, 0, 300, 20 * DAY])
def test_the_idle_time_follows_set_expiry(site: Site, client: Any, value: Any) -> None:
    site.visit(client, lambda request: get_session(request).login("ada"))
    site.visit(Client(), lambda request: get_session(request).login("ada"))
    site.visit(client, expire(value))
    site.clock.advance(20)

    def listed(request: Any) -> list[float]:
        return [info.idle_for for info in get_session(request).user_sessions()]

    assert site.visit(client, listed).result == [20, 20]
    assert [info.idle_for for info in get_manager().all()] == [20, 20]


def test_the_idle_time_with_a_date_counts_from_the_beginning(site: Site, client: Any) -> None:
    site.visit(client, expire(timezone.now() + timedelta(hours=2)))
    site.clock.advance(20)
    site.visit(client, put(a=1))
    assert [info.idle_for for info in get_manager().all()] == [20]


def test_set_expiry_none_returns_to_the_settings(site: Site, client: Any) -> None:
    site.visit(client, expire(300))
    site.visit(client, put(a=1))
    answer = site.visit(client, expire(None))
    assert cookie(answer)["max-age"] == WEEKS
    assert site.only().idle_left == WEEKS


def test_set_expiry_in_the_past_ends_the_session(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    answer = site.visit(client, expire(-1))
    assert cookie(answer)["max-age"] == 0
    assert site.records() == []


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**63, -(2**63), "300", date(2030, 1, 1), datetime(2030, 1, 1)],
    ids=repr,
)
def test_set_expiry_refuses_other_types(site: Site, client: Any, value: Any) -> None:
    """Else the session would live for its usual time, which may be longer."""
    with pytest.raises(ConfigError, match=r"at most 100 years.* a datetime with a time zone"):
        site.visit(client, expire(value))


@pytest.mark.parametrize("value", ["eve", True, {"a": 1}, "2030-01-01T00:00:00", [0]])
def test_a_refused_set_expiry_changes_nothing(site: Site, client: Any, value: Any) -> None:
    def act(request: Any) -> None:
        get_session(request)["_session_expiry"] = value

    assert site.visit(client, act).status_code == 200
    assert site.only().idle_left == WEEKS


@pytest.mark.parametrize(("fixed", "left"), [(True, 3600), (False, 7200)])
def test_a_save_does_not_extend_a_session_with_a_fixed_end(
    site: Site, fixed: bool, left: int
) -> None:
    session = SessionStore()
    session.set_expiry(timezone.now() + timedelta(hours=2) if fixed else 7200)
    session.save()
    site.clock.advance(3600)
    again = SessionStore(session.session_key)
    again.save()
    assert site.only().idle_left == pytest.approx(left, abs=1)


def test_an_engine_may_have_its_own_cookie_age(site: Site) -> None:
    class ShortLived(SessionStore):
        def get_session_cookie_age(self) -> int:
            return 60

    session = ShortLived()
    session["a"] = 1
    session.save()
    assert site.only().idle_left == 60


def test_clearsessions_purges_the_store(site: Site) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()
    site.clock.advance(WEEKS + 1)
    call_command("clearsessions")
    assert site.store.stats().expired == 1
    asyncio.run(SessionStore.aclear_expired())


# -- the response ----------------------------------------------------------------------------------


def test_a_page_that_does_not_use_the_session_is_unchanged(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    answer = site.visit(client, lambda request: None)
    assert not answer.has_header("Vary")
    assert not answer.cookies
    assert site.visit(client, items)["Vary"] == "Cookie"


def test_vary_of_the_view_is_kept(site: Site, client: Any) -> None:
    def act(request: Any) -> Any:
        request.session.get("a")
        return HttpResponse(headers={"Vary": "Accept"})

    assert site.visit(client, act)["Vary"] == "Accept, Cookie"


class Toolbar:
    """A middleware around that of the sessions, which shows the session to the developer."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        try:
            response.shown = dict(request.session), dict(request.session)
        except SessionCommitted:
            response.shown = None
        return response


def test_an_access_around_the_middleware_adds_vary_while_it_can(client: Any) -> None:
    def stream(request: Any) -> Any:
        return StreamingHttpResponse([b"done"])

    with running(MIDDLEWARE=[f"{__name__}.Toolbar", OURS]) as site:
        site.visit(client, put(a=1))
        seen: list[Any] = []
        answer = site.visit(client, lambda request: seen.append(request.session))
        assert (answer.shown, answer["Vary"]) == (({"a": 1}, {"a": 1}), "Cookie")
        answer = site.visit(client, stream)
        assert (answer.shown, answer.has_header("Vary")) == (None, False)


def test_a_first_access_after_the_response_is_refused(site: Site, client: Any) -> None:
    seen: list[Any] = []
    site.visit(client, put(a=1))
    answer = site.visit(client, lambda request: seen.append(request.session))
    assert answer.closed
    with pytest.raises(SessionCommitted):
        seen[0].get("a")
    del answer
    gc.collect()
    with pytest.raises(SessionCommitted):
        seen[0].get("a")


class ByToken(SessionMiddleware):
    """A project's own middleware: API clients send the key in a header."""

    def process_request(self, request: Any) -> None:
        super().process_request(request)
        if "X-Session" in request.headers:
            request.session = self.SessionStore(request.headers["X-Session"])

    def process_response(self, request: Any, response: Any) -> Any:
        response = super().process_response(request, response)
        response["X-Session"] = "sent"
        return response


def test_the_middleware_may_be_subclassed(client: Any) -> None:
    with running(MIDDLEWARE=[f"{__name__}.ByToken"]) as site:
        session = SessionStore()
        session["a"] = 1
        session.save()
        answer = site.visit(client, items, headers={"X-Session": session.session_key})
        assert (answer.result, answer["X-Session"]) == ({"a": 1}, "sent")
        assert site.visit(Client(), items).result == {}


def test_the_cookie_follows_the_settings() -> None:
    with running(
        SESSION_COOKIE_NAME="sid",
        SESSION_COOKIE_PATH="/do",
        SESSION_COOKIE_DOMAIN="testserver",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="Strict",
    ) as site:
        sid = site.visit(Client(), put(a=1)).cookies["sid"]
        assert (sid["path"], sid["domain"]) == ("/do", "testserver")
        assert (sid["secure"], sid["httponly"], sid["samesite"]) == (True, "", "Strict")


def test_the_cookie_over_https_is_secure(site: Site, client: Any) -> None:
    assert cookie(site.visit(client, put(a=1), secure=True))["secure"] is True
    assert cookie(site.visit(Client(), put(a=1)))["secure"] == ""


def test_the_cookie_behind_a_proxy_that_terminates_tls_is_secure(site: Site, client: Any) -> None:
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        answer = site.visit(client, put(a=1), headers={"X-Forwarded-Proto": "https"})
        assert cookie(answer)["secure"] is True


def test_a_partitioned_cookie_has_the_attribute() -> None:

    options = CookieOptions(
        name="sessionid", prefix=None, secure=True, samesite="none", partitioned=True
    )
    with running(LEMBRO={"COOKIE": options}) as site:
        assert str(cookie(site.visit(Client(), put(a=1)))).endswith("Secure") is True
        assert "; Partitioned;" in str(cookie(site.visit(Client(), put(a=1))))


def test_a_write_in_a_stream_raises(site: Site, client: Any) -> None:
    raised: list[Exception] = []

    def act(request: Any) -> Any:
        request.session["before"] = 1

        def chunks() -> Iterator[bytes]:
            try:
                request.session["within"] = 1
            except SessionCommitted as error:
                raised.append(error)
            with get_session(request).edit() as session:
                session["edited"] = 1
            yield b"done"

        return StreamingHttpResponse(chunks())

    assert site.visit(client, act).getvalue() == b"done"
    assert len(raised) == 1
    assert site.visit(client, items).result == {"before": 1, "edited": 1}


def test_a_nested_change_in_a_stream_is_reported(
    site: Site, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def act(request: Any) -> Any:
        cart = request.session.setdefault("cart", [])

        def chunks() -> Iterator[bytes]:
            cart.append(1)
            yield b"done"

        return StreamingHttpResponse(chunks())

    answer = site.visit(client, act)
    assert answer.getvalue() == b"done"
    answer.close()
    assert "changed after the response had begun; the change is lost" in caplog.text


@pytest.mark.parametrize("before", ["look", "change"])
def test_a_nested_change_in_a_stream_is_reported_after_other_accesses(
    site: Site, client: Any, caplog: pytest.LogCaptureFixture, before: str
) -> None:
    def act(request: Any) -> Any:
        assert "other" not in request.session
        if before == "change":
            request.session["other"] = 1

        def chunks() -> Iterator[bytes]:
            request.session["cart"].append(1)
            yield b"done"

        return StreamingHttpResponse(chunks())

    site.visit(client, put(cart=[]))
    answer = site.visit(client, act)
    assert answer.getvalue() == b"done"
    answer.close()
    assert caplog.text.count("changed after the response had begun; the change is lost") == 1


def test_a_view_may_replace_the_session(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        request.session = SessionStore()
        request.session["a"] = 1

    site.visit(client, act)
    assert site.visit(client, items).result == {"a": 1}


def test_a_view_may_remove_the_session(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        del request.session

    assert site.visit(client, act).status_code == 200
    with pytest.raises(ConfigError, match="this request has no lembro session"):
        get_session(HttpResponse())


def test_the_middleware_added_twice_works_once() -> None:
    with running(MIDDLEWARE=[OURS, OURS]) as site:
        client = Client()
        answer = site.visit(client, put(a=1))
        assert len(answer.cookies) == 1
        assert site.visit(client, items).result == {"a": 1}


def test_a_wsgi_middleware_of_the_same_manager_shares_the_session() -> None:
    from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415

    from lembro import wsgi  # noqa: PLC0415
    from tests.support.django_site import acting  # noqa: PLC0415
    from tests.support.gateways import call_wsgi  # noqa: PLC0415
    from tests.support.messages import Request  # noqa: PLC0415

    with running(MIDDLEWARE=[OURS]) as site:
        handler: Any = WSGIHandler()
        app = wsgi.SessionMiddleware(handler, get_manager())
        with acting(put(a=1)):
            answer = call_wsgi(app, Request(path="/do"))
        assert answer.status == 200
        assert len(answer.set_cookies) == 1
        assert site.only().idle_left == WEEKS


class Looks:
    """A middleware that reads the session itself, as LoginRequiredMiddleware does."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.session.get("a")
        return self.get_response(request)


def test_a_store_failure_under_another_middleware_is_a_503() -> None:
    store = BlockingAdapter(MemoryStore("1M"))
    middleware = [OURS, f"{__name__}.Looks"]
    with running(LEMBRO={"STORE": store}, MIDDLEWARE=middleware) as site:
        client: Any = Client(raise_request_exception=False)
        site.visit(client, put(a=1))
        store.broken = "connection refused"
        answer = site.visit(client, lambda request: None)
        assert (answer.status_code, answer["Cache-Control"]) == (503, "no-store")


def out_and_fail(request: Any) -> Any:
    get_session(request).logout()
    raise RuntimeError


def test_a_logout_holds_if_exceptions_are_passed_on(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True), pytest.raises(RuntimeError):
        site.visit(client, out_and_fail)
    assert site.records() == []


def test_a_logout_holds_with_the_middleware_twice(client: Any) -> None:
    with running(MIDDLEWARE=[OURS, OURS]) as site:
        site.visit(client, put(a=1))
        with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True), pytest.raises(RuntimeError):
            site.visit(client, out_and_fail)
        assert site.records() == []


@pytest.mark.anyio
@pytest.mark.parametrize("times", [1, 2])
async def test_a_logout_holds_when_the_request_is_cancelled(site: Site, times: int) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()

    async def cancelled(request: Any) -> Any:
        get_session(request).logout()
        raise asyncio.CancelledError

    factory = AsyncRequestFactory()
    factory.cookies["sessionid"] = session.session_key
    view: Any = cancelled
    for _ in range(times):
        view = SessionMiddleware(view)
    with pytest.raises(asyncio.CancelledError):
        await view(factory.get("/"))
    assert site.records() == []


# -- errors of a view ------------------------------------------------------------------------------


def needs_login(request: Any) -> None:
    request.session["a"] = 1
    get_session(request).require_recent(60)


def check_unauthorized(answer: Any) -> None:
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Cookie")
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_a_view_that_requires_a_login_is_a_401(site: Site, client: Any) -> None:
    check_unauthorized(site.visit(client, needs_login))
    assert site.records() == [], "the changes of the view are dropped, as after any error"


@pytest.mark.anyio
async def test_an_async_view_that_requires_a_login_is_a_401(site: Site) -> None:
    async def act(request: Any) -> None:
        needs_login(request)

    check_unauthorized(await site.avisit(AsyncClient(), act))
    assert site.records() == []


def test_a_logout_holds_before_a_401(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        get_session(request).logout()
        raise LoginRequired("for this page")

    site.visit(client, put(a=1))
    answer = site.visit(client, act)
    assert (answer.status_code, cookie(answer)["max-age"]) == (401, 0)
    assert site.records() == []


def test_a_view_without_a_session_that_requires_a_login_is_a_401(site: Site) -> None:
    def act(request: Any) -> None:
        del request.session
        raise LoginRequired("for this page")

    check_unauthorized(site.visit(Client(), act))


class Redirects:
    """A middleware that responds to a required login itself."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_exception(self, request: Any, exception: Exception) -> Any:
        return HttpResponse(status=302) if isinstance(exception, LoginRequired) else None


def test_an_application_may_respond_to_a_required_login_itself() -> None:
    with running(MIDDLEWARE=[OURS, f"{__name__}.Redirects"]) as site:
        assert site.visit(Client(), needs_login).status_code == 302
        assert len(site.records()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("adapter", [AsyncAdapter, BlockingAdapter])
async def test_a_store_failure_is_a_503_in_an_event_loop(adapter: Any) -> None:
    store = adapter(MemoryStore("1M"))

    async def act(request: Any) -> Any:
        return request.session["a"]

    with running(LEMBRO={"STORE": store}, MIDDLEWARE=[OURS]) as site:
        client = AsyncClient()
        await site.avisit(client, lambda request: request.session.aset("a", 1))
        assert (await site.avisit(client, act)).result == 1
        store.broken = "connection refused"
        answer = await site.avisit(client, act)
        assert (answer.status_code, answer["Cache-Control"]) == (503, "no-store")


@pytest.mark.parametrize("adapter", [AsyncAdapter, BlockingAdapter])
def test_a_plain_view_under_asgi_works_over_every_store(adapter: Any) -> None:
    """Django runs it in a worker thread."""
    from tests.support.django_site import acting  # noqa: PLC0415

    def act(request: Any) -> None:
        request.session["a"] = request.session.get("a", 0) + 1
        request.session.save()

    async def visits(site: Site) -> list[Any]:
        client = AsyncClient()
        with acting(act):
            for _ in range(2):
                await client.get("/do")
        return [await site.avisit(client, lambda request: request.session.aget("a"))]

    with running(LEMBRO={"STORE": adapter(MemoryStore("1M"))}, MIDDLEWARE=[OURS]) as site:
        assert [answer.result for answer in asyncio.run(visits(site))] == [2]


# -- excluded paths --------------------------------------------------------------------------------

AUTH = [
    OURS,
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]


@pytest.fixture(params=[[OURS], [OURS, OURS], AUTH], ids=["alone", "twice", "with auth"])
def excluding(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site without sessions on the paths that begin with /do."""
    store = MemoryStore("1M")
    with running(LEMBRO={"STORE": store, "EXCLUDE": ["/do"]}, MIDDLEWARE=request.param) as site:
        site.store = store
        yield site
    store.close()


def test_an_excluded_path_has_no_session(excluding: Site, client: Any) -> None:
    def act(request: Any) -> str:
        with pytest.raises(ConfigError, match="this request has no lembro session"):
            request.session["a"] = 1
        with pytest.raises(ConfigError, match="exclude= does not name this path"):
            get_session(request)
        return repr(request.session)

    answer = excluding.visit(client, act)
    assert answer.result == "<NoSession>"
    assert (answer.status_code, len(answer.cookies), "Vary" in answer.headers) == (200, 0, False)
    assert excluding.records() == []


def test_a_failing_view_on_an_excluded_path(excluding: Site) -> None:
    def act(request: Any) -> None:
        raise LoginRequired("for this page")

    check_unauthorized(excluding.visit(Client(), act))
    with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True), pytest.raises(ZeroDivisionError):
        excluding.visit(Client(), lambda request: 1 / 0)


@pytest.mark.anyio
async def test_other_paths_have_a_session(excluding: Site) -> None:
    await excluding.avisit(AsyncClient(), lambda request: request.session.aset("a", 1))
    assert len(excluding.records()) == 1


@pytest.mark.anyio
async def test_an_excluded_path_in_an_event_loop() -> None:
    async def act(request: Any) -> str:
        return repr(request.session)

    settings = {"STORE": AsyncAdapter(MemoryStore("1M")), "EXCLUDE": ["/ado"]}
    with running(LEMBRO=settings, MIDDLEWARE=[OURS]) as site:
        assert (await site.avisit(AsyncClient(), act)).result == "<NoSession>"


def test_exclude_works_with_a_manager(client: Any) -> None:
    manager = SessionManager(MemoryStore("1M"))
    with running(LEMBRO={"MANAGER": manager, "EXCLUDE": ["/do"]}, MIDDLEWARE=[OURS]) as site:
        assert get_manager() is manager
        assert site.visit(client, lambda request: repr(request.session)).result == "<NoSession>"


# -- no objects are left behind --------------------------------------------------------------------


def replaced_by_another(request: Any) -> None:
    request.session = SessionStore()
    request.session["a"] = 1


def of_another_key(request: Any) -> None:
    request.session._session_key = None
    request.session["a"] = 1


def removed(request: Any) -> None:
    request.session["a"] = 1
    del request.session


@pytest.mark.parametrize("act", [replaced_by_another, of_another_key, removed])
@pytest.mark.parametrize("fails", [False, True])
def test_a_session_that_was_replaced_does_not_wait_for_the_garbage_collector(
    site: Site, act: Any, fails: bool
) -> None:
    sessions: list[weakref.ref[Any]] = []

    def view(request: Any) -> Any:
        sessions.append(weakref.ref(get_session(request)))
        act(request)
        if hasattr(request, "session"):
            sessions.append(weakref.ref(get_session(request)))
        if fails:
            raise KeyboardInterrupt
        return HttpResponse()

    def visit() -> None:
        with suppress(KeyboardInterrupt):
            SessionMiddleware(view)(RequestFactory().get("/"))

    gc.collect()
    gc.disable()
    try:
        visit()
        assert sessions
        assert [ref() for ref in sessions] == [None] * len(sessions)
    finally:
        gc.enable()


def test_a_session_that_replaces_the_requests_knows_the_request(site: Site, client: Any) -> None:
    def act(request: Any) -> None:
        request.session = SessionStore()
        get_session(request).login("ada")

    answer = site.visit(client, act, secure=True, headers={"User-Agent": "Mosaic/1.0"})
    assert cookie(answer)["secure"] is True
    (info,) = get_manager().user_sessions("ada")
    assert info.device.startswith("Mosaic")


def test_a_session_alone_has_no_device(site: Site) -> None:
    session = SessionStore()
    session["_auth_user_id"] = "ada"
    session.save()
    (info,) = get_manager().user_sessions("ada")
    assert info.device == ""


# -- legacy sessions ------------------------------------------------------------------------------


def with_cookie(legacy: str) -> Client:
    browser = Client()
    browser.cookies["sessionid"] = legacy
    return browser


def test_a_legacy_session_is_adopted_within_django(client: Any) -> None:
    rows: Any = {"a" * 32: {"_auth_user_id": "7", "cart": [1]}}
    reader = StoreReader(rows.get, cookie="sessionid", lifetime=DAY, user="_auth_user_id")
    store = MemoryStore("1M")
    settings = {"MIGRATE_FROM": reader, "STORE": store}

    def act(request: Any) -> Any:
        if not request.session.session_key:
            request.session.create()
        assert (request.session["cart"], get_session(request).user_id) == ([1], "7")
        return request.session.session_key

    legacy = "a" * 32
    client.cookies["sessionid"] = legacy
    other_tab = with_cookie(legacy)
    with running(MIDDLEWARE=[OURS], SESSION_COOKIE_NAME="sid", LEMBRO=settings) as site:
        moved = site.visit(client, act)
        assert moved.result == moved.cookies["sid"].value.partition(".")[0]
        assert moved.cookies["sessionid"].value == ""
        assert site.visit(client, act).result == moved.result
        # The legacy cookie still finds the session. It has no key for this request, so
        # create() rotates the ID, and the legacy cookie is stale.
        late = site.visit(other_tab, act)
        assert late.result == late.cookies["sid"].value.partition(".")[0] != moved.result
        assert site.visit(with_cookie(legacy), lambda request: dict(request.session)).result == {}
    store.close()


# -- async -----------------------------------------------------------------------------------------


async def everything(request: Any) -> list[Any]:
    """Each of Django's methods whose name begins with an a."""
    session = request.session
    seen = [await session.aget("a"), await session.ahas_key("a")]
    await session.aset("a", 1)
    await session.aupdate({"b": 2, "c": 3})
    seen += [await session.apop("c"), await session.apop("d", None)]
    seen += [await session.asetdefault("e", 5), sorted(await session.akeys())]
    seen += [list(await session.avalues()), len(await session.aitems())]
    await session.asave()
    key = session.session_key
    seen += [await session.aexists(key), await session.aload()]
    await session.acycle_key()
    await session.asave()
    seen += [session.session_key != key, await session.aexists(key)]
    await session.aflush()
    seen += [session.session_key, await session.aload()]
    await session.acreate()
    seen.append(await session.aexists(session.session_key))
    await session.adelete()
    return seen


EXPECTED = [
    *(None, False, 3, None, 5),
    *(["a", "b", "e"], [1, 2, 5], 3),
    *(True, {"a": 1, "b": 2, "e": 5}),
    *(True, False),
    *(None, {}, True),
]


@pytest.mark.anyio
@pytest.mark.parametrize("adapter", [None, AsyncAdapter, BlockingAdapter])
async def test_async_methods_work(adapter: Any) -> None:
    store: Any = MemoryStore("1M")
    with running(LEMBRO={"STORE": adapter(store) if adapter else store}, MIDDLEWARE=[OURS]) as site:
        client = AsyncClient()
        assert (await site.avisit(client, everything)).result == EXPECTED
        assert store.length() == 0


@pytest.mark.anyio
async def test_async_methods_alone_over_a_store_that_blocks() -> None:
    """The first method that needs the data loads the session."""
    store = MemoryStore("1M")
    with running(LEMBRO={"STORE": BlockingAdapter(store)}):
        session = SessionStore()
        await session.aset("a", 1)
        await session.asave()
        other = SessionStore(session.session_key)
        assert await other.aget("a") == 1
        await SessionStore().adelete()
        await SessionStore().adelete("nonsense")
        assert store.length() == 1


@pytest.mark.anyio
async def test_an_async_view_may_remove_the_session(site: Site) -> None:
    async def act(request: Any) -> None:
        del request.session

    assert (await site.avisit(AsyncClient(), act)).status_code == 200


@pytest.mark.anyio
async def test_cookies_in_several_headers_are_read(site: Site) -> None:
    """HTTP/2 allows this."""
    session = SessionStore()
    session["a"] = 1
    session.save()
    request: Any = AsyncRequestFactory().get("/")
    pairs = ("theme=dark", f"sessionid={session.session_key}", "b=c")
    request.scope["headers"] += [(b"cookie", pair.encode()) for pair in pairs]

    async def view(request: Any) -> Any:
        return HttpResponse(str(await request.session.aget("a")).encode())

    assert (await SessionMiddleware(view)(request)).content == b"1"


@pytest.mark.anyio
async def test_a_plain_method_that_would_block_the_loop_names_the_async_one() -> None:
    async def act(request: Any) -> Any:
        request.session["a"] = 1
        with pytest.raises(UsageError, match="begins with an a"):
            request.session.save()
        with pytest.raises(UsageError, match="begins with an a"):
            SessionStore("a" * 43)["a"]
        return True

    store = BlockingAdapter(MemoryStore("1M"))
    with running(LEMBRO={"STORE": store}, MIDDLEWARE=[OURS]) as site:
        assert (await site.avisit(AsyncClient(), act)).result


# -- alone, under Django's own middleware ----------------------------------------------------------


@pytest.fixture
def alone() -> Iterator[Site]:
    with running(MIDDLEWARE=[DJANGOS]) as site:
        yield site


def test_alone_a_session_from_the_first_access_to_the_logout(alone: Site, client: Any) -> None:
    assert not alone.visit(client, items).cookies
    alone.visit(client, put(cart=[1]))
    first = client.cookies["sessionid"].value
    alone.visit(client, lambda request: request.session["cart"].append(2))
    assert alone.visit(client, items).result == {"cart": [1, 2]}, "nested changes are kept"
    alone.visit(client, lambda request: request.session.cycle_key())
    assert client.cookies["sessionid"].value != first
    answer = alone.visit(client, lambda request: request.session.flush())
    assert cookie(answer).value == ""
    assert alone.records() == []


def test_alone_a_read_extends_the_session_too(alone: Site, client: Any) -> None:
    alone.visit(client, put(a=1))
    alone.clock.advance(2 * DAY)
    alone.visit(client, items)
    assert alone.only().idle_left == WEEKS


def test_alone_a_request_that_lost_its_session_is_a_400(alone: Site, client: Any) -> None:
    """With lembro's middleware the request is served as usual."""
    alone.visit(client, put(a=1))

    def slow(request: Any) -> None:
        request.session["a"] = 2
        SessionStore().delete(request.session.session_key)

    assert alone.visit(client, slow).status_code == 400
    assert alone.records() == []


def test_alone_the_cookie_of_an_ended_session_is_deleted(alone: Site, client: Any) -> None:
    """It may be a cookie that a login in another tab has just set."""
    client.cookies["sessionid"] = "a" * 43
    assert cookie(alone.visit(client, items))["max-age"] == 0


def test_alone_the_engine_calls_lembro_as_expected(alone: Site, client: Any) -> None:
    alone.visit(client, lambda request: get_session(request).login("ada"))
    assert alone.only().user == "ada"
    alone.visit(client, lambda request: get_session(request).logout())
    assert alone.records() == []


def test_alone_a_nested_value_that_cannot_be_stored_is_an_error(alone: Site) -> None:
    client = Client(raise_request_exception=False)
    alone.visit(client, put(cart=[1]))
    answer = alone.visit(client, lambda request: request.session["cart"].append(object()))
    assert answer.status_code == 500
    assert alone.visit(client, items).result == {"cart": [1]}


# -- the settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"LEMBRO": "64M"}, "must be a dict"),
        (
            {"LEMBRO": {"MAX_SISE": "64M"}},
            r"no key 'MAX_SISE'; write 'MAX_SIZE'\. Its keys are MAX_SIZE, .*SECRET",
        ),
        ({"LEMBRO": {"max_size": "64M"}}, "no key 'max_size'; write 'MAX_SIZE'"),
        ({"LEMBRO": {"maxsize": "64M"}}, "no key 'maxsize'; write 'MAX_SIZE'"),
        ({"LEMBRO": {"TTL": 60}}, "no key 'TTL'; write 'IDLE_TIMEOUT'"),
        ({"LEMBRO": {"ROLLING": True}}, "no key 'ROLLING'; leave it out, because each use extends"),
        ({"LEMBRO": {"qqqq": 1}}, r"no key 'qqqq'\. Its keys are"),
        ({"LEMBRO": {"STOR": 1}}, "no key 'STOR'; write 'STORE'"),
        ({"LEMBRO": {"manage": 1}}, "no key 'manage'; write 'MANAGER'"),
        ({"LEMBRO": {"sessions": 1}}, "no key 'sessions'"),
        ({"LEMBRO": {"samesite": "lax"}}, r"write 'COOKIE': CookieOptions\(samesite=\.\.\.\)"),
        ({"LEMBRO": {"OPTIONS": {"idle_timeout": 60}}}, "must be SessionOptions"),
        ({"LEMBRO": {"EXCLUDE": ["static/"]}}, r"LEMBRO\['EXCLUDE'\].*begin with '/'"),
        ({"LEMBRO": {"MAX_SIZE": "64X"}}, "64X"),
        ({"LEMBRO": {"STORE": "no.such.store"}}, "cannot be imported"),
        (
            {"LEMBRO": {"STORE": "lembro.MemoryStore", "MAX_SIZE": "64M"}},
            r"MAX_SIZE cannot be given together with LEMBRO\['STORE'\]",
        ),
        ({"LEMBRO": {"MANAGER": "lembro.MemoryStore"}}, "must be a SessionManager"),
        (
            {"LEMBRO": {"MANAGER": "lembro.SessionManager", "IDLE_TIMEOUT": 1}},
            "IDLE_TIMEOUT cannot be given",
        ),
        ({"SESSION_COOKIE_SAMESITE": False}, 'must be "Lax"'),
        ({"SESSION_COOKIE_SAMESITE": "None"}, "needs secure=True"),
        ({"SESSION_COOKIE_AGE": 0}, "SESSION_COOKIE_AGE must be seconds"),
        ({"SESSION_COOKIE_SECURE": "False"}, "SESSION_COOKIE_SECURE must be True or False"),
        ({"SESSION_COOKIE_HTTPONLY": "0"}, "SESSION_COOKIE_HTTPONLY must be"),
        ({"SESSION_EXPIRE_AT_BROWSER_CLOSE": "no"}, "SESSION_EXPIRE_AT_BROWSER_CLOSE must be"),
        ({"SESSION_COOKIE_NAME": "Path"}, "name of a cookie attribute, got 'Path'"),
        (
            {"LEMBRO": {"COOKIE": CookieOptions(name="version")}},
            "name of a cookie attribute, got 'version'",
        ),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with (
        running(**{"LEMBRO": {}, **settings}),
        pytest.raises(ConfigError, match=message),
    ):
        SessionMiddleware(lambda request: HttpResponse())


def test_another_engine_is_an_error_at_the_start() -> None:
    with (
        running(SESSION_ENGINE="django.contrib.sessions.backends.cache"),
        pytest.raises(ConfigError, match='SESSION_ENGINE = "lembro'),
    ):
        SessionMiddleware(lambda request: HttpResponse())


def test_the_settings_may_name_a_manager() -> None:
    manager = SessionManager(MemoryStore("1M", clock=FakeClock()), idle_timeout=60)
    with running(LEMBRO={"MANAGER": manager}):
        assert get_manager() is manager


class Announced:
    """A lock that reports when a second thread waits for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.comers = 0
        self.second = threading.Event()

    def __enter__(self) -> None:
        self.comers += 1
        if self.comers == 2:
            self.second.set()
        assert self.lock.acquire(timeout=60)

    def __exit__(self, *error: object) -> None:
        self.lock.release()


def test_two_parallel_first_requests_get_one_manager(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Announced()
    made: list[SessionManager] = []

    def slow(settings: Any) -> SessionManager:
        other.start()
        assert lock.second.wait(10)
        return SessionManager(site.store)

    config.forget()
    monkeypatch.setattr(config, "_lock", lock)
    monkeypatch.setattr(config, "manager_from", slow)
    other = threading.Thread(target=lambda: made.append(get_manager()))
    made.append(get_manager())
    other.join(60)
    assert made[0] is made[1]
    monkeypatch.undo()
    config.forget()


def test_a_store_may_be_given_by_its_path() -> None:
    with running(LEMBRO={"STORE": "lembro.MemoryStore"}):
        assert isinstance(get_manager().store, MemoryStore)


def test_lembros_options_combine_with_djangos() -> None:
    with running(LEMBRO={"MAX_SIZE": "2M", "IDLE_TIMEOUT": timedelta(hours=8)}):
        manager = get_manager()
        assert manager.options.idle_timeout == timedelta(hours=8)
        assert manager.options.cookie.max_age == timedelta(hours=8)
        assert manager.options.cookie.name == "sessionid"
        assert isinstance(manager.store, MemoryStore)
        assert manager.store.max_size == 2 << 20


def test_a_change_of_the_settings_keeps_the_sessions(site: Site, client: Any) -> None:
    site.visit(client, put(a=1))
    with override_settings(SESSION_COOKIE_AGE=60):
        assert get_manager().options.idle_timeout == 60
        assert site.visit(client, items).result == {"a": 1}


def test_options_may_be_given_as_an_object() -> None:
    with running(LEMBRO={"OPTIONS": SessionOptions.aal2()}):
        options = get_manager().options
        assert (options.idle_timeout, options.absolute_timeout) == (3600, DAY)
        assert (options.cookie.name, options.cookie.max_age) == ("sessionid", 3600)


def test_single_keys_change_options() -> None:
    settings = {"OPTIONS": SessionOptions.aal3(), "IDLE_TIMEOUT": 60}
    with running(LEMBRO=settings, SESSION_EXPIRE_AT_BROWSER_CLOSE=True):
        options = get_manager().options
        assert (options.idle_timeout, options.absolute_timeout) == (60, DAY / 2)
        assert options.cookie.max_age is None


def test_the_cookie_options_are_used() -> None:
    cookie = CookieOptions(name="sid", path="/do")
    with running(LEMBRO={"OPTIONS": SessionOptions(cookie=cookie)}):
        assert get_manager().options.cookie == cookie


def test_a_blocking_store_is_opened_while_a_server_imports_the_application() -> None:
    """uvicorn imports the application in its event loop."""

    class Opened(BlockingAdapter):
        opened = 0

        def open(self) -> None:
            self.opened += 1

    async def application() -> None:
        SessionMiddleware(lambda request: HttpResponse())

    store = Opened(MemoryStore("1M"))
    with running(LEMBRO={"STORE": store}):
        asyncio.run(application())
    assert store.opened == 1
