"""The dashboard's requests, over both applications, and attacks on it."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest

from lembro import (
    ConfigError,
    Event,
    MemoryStore,
    Record,
    Session,
    SessionManager,
    StoreUnavailable,
    UsageError,
)
from lembro._core import codec
from lembro.caches.cachelib import LembroCache
from lembro.dashboard import ASGIDashboard, WSGIDashboard, listing
from lembro.dashboard.handler import MAX_BODY
from lembro.dashboard.listing import PAGE, span
from lembro.dashboard.samples import STATIC, sample_of
from lembro.ids import handle_for, key_for
from lembro.wsgi import SessionMiddleware
from tests.support.dashboard import FORM, SITE, Answer, Visitor
from tests.support.servers.redis import new_prefix, shared

HOSTILE = "<script>alert(1)</script>'\"&\n\u202e"


@pytest.fixture
def manager() -> Iterator[SessionManager]:
    with SessionManager(MemoryStore("8M"), store_address=True) as manager:
        yield manager


@pytest.fixture(params=["asgi", "wsgi"])
def visitor(request: pytest.FixtureRequest, manager: SessionManager) -> Visitor:
    return Visitor(manager, request.param)


@pytest.fixture
def ended(manager: SessionManager) -> list[Event]:
    """The audit events."""
    events: list[Event] = []
    manager.on("destroyed", events.append)
    manager.on("cleared", events.append)
    return events


def handles(answer: Answer) -> list[str]:
    return re.findall(r"of the session\">([^<]+)</small>", answer.text)


# -- who may see it --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize("allow", [None, True, "ada"])
def test_it_refuses_to_start_without_a_function_that_allows(
    manager: SessionManager, kind: str, allow: Any
) -> None:
    with pytest.raises(ConfigError, match="allow must be a function that decides who may see"):
        Visitor(manager, kind, allow=allow)
    with pytest.raises(TypeError, match="allow"):
        ASGIDashboard(manager)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize("refusal", [False, None, ""])
def test_everybody_else_gets_a_404_at_each_address(
    manager: SessionManager, kind: str, refusal: Any
) -> None:
    manager.create({"a": 1}, user_id="heidi")
    visitor = Visitor(manager, kind, allow=lambda request: refusal)
    answers = [
        *(visitor.fetch(path) for path in ("", "/", "/stats", "/live.js", "/nowhere")),
        visitor.fetch(method="DELETE"),
        visitor.post({"action": "all", "confirm": "yes"}),
    ]
    assert {(answer.status, answer.text) for answer in answers} == {(404, "Not Found")}
    assert not any("security" in name for answer in answers for name in answer.headers)
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert manager.length() == 1


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_if_allow_raises_nothing_is_shown(manager: SessionManager, kind: str) -> None:
    def allow(request: Any) -> bool:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        Visitor(manager, kind, allow=allow).fetch()


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_allow_must_return_a_decision(manager: SessionManager, kind: str) -> None:
    async def nobody() -> None:
        pass

    with pytest.raises(UsageError, match="True, the operator's name or False, got object"):
        Visitor(manager, kind, allow=lambda request: object()).fetch()
    if kind == "wsgi":
        forgotten = nobody()
        with pytest.raises(UsageError, match="got coroutine"):
            Visitor(manager, kind, allow=lambda request: forgotten).fetch()
        forgotten.close()


@pytest.mark.parametrize(("decision", "status"), [(True, 200), ("ada", 200), (False, 404)])
def test_allow_may_be_a_coroutine_function_in_asgi(
    manager: SessionManager, decision: Any, status: int
) -> None:
    async def allow(scope: Any) -> Any:
        await asyncio.sleep(0)
        return decision

    assert Visitor(manager, "asgi", allow=allow).fetch().status == status
    with pytest.raises(ConfigError, match=r"Use ASGIDashboard in an ASGI application"):
        WSGIDashboard(manager, allow=allow)  # type: ignore[arg-type]


def test_the_arguments_are_checked(manager: SessionManager) -> None:
    class NoLists:
        blocking = False

        def get(self, key: bytes) -> None: ...

        add = set = replace = touch = destroy = get

    with pytest.raises(ConfigError, match="manager must be a SessionManager, got None"):
        ASGIDashboard(None, allow=print)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="show must be a list of keys of the session's data"):
        ASGIDashboard(manager, allow=print, show="cart")
    with pytest.raises(ConfigError, match=r"cannot list these sessions: NoLists has no all\(\)"):
        ASGIDashboard(SessionManager(NoLists()), allow=print)  # type: ignore[arg-type]


# -- what it shows ---------------------------------------------------------------------------------


def test_a_page_shows_who_is_logged_in(visitor: Visitor, manager: SessionManager) -> None:
    session = manager.create({"cart": ["bread"]}, user_id="heidi")
    manager.create({"cart": ["milk"]})
    answer = visitor.fetch()
    assert answer.status == 200
    assert answer.count == "2 sessions"
    assert answer.text.index(">heidi<") < answer.text.index(">visitor<")
    assert [info.handle for info in manager.user_sessions("heidi")] == handles(answer)[:1]
    assert session not in answer.text
    assert "bread" not in answer.text
    assert "cart" not in answer.text
    assert ">Data</th>" not in answer.text
    assert '<td data-name="Age">0 s</td>' in answer.text
    assert '<td data-name="Time left">23 h</td>' in answer.text


def test_only_the_named_keys_are_shown(manager: SessionManager) -> None:
    manager.create({"cart": ["<b>" * 100], "csrf": "s3cret"}, user_id="heidi")
    manager.create({"csrf": "s3cret"}, user_id="peter")
    text = Visitor(manager, show=["cart", "none"]).fetch().text
    assert "s3cret" not in text
    assert "none</b>" not in text
    shown = re.findall(r"<li><b>cart</b> (.*?)</li>", text)
    assert len(shown) == 1
    assert shown[0].startswith("[&#x27;&lt;b&gt;")
    assert shown[0].endswith("...")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("q=heid", "2 sessions with “heid”"),
        ("q=HEIDI", "2 sessions with “HEIDI”"),
        ("q=opera", "1 session with “opera”"),
        ("q=192.0.2", "1 session with “192.0.2”"),
        ("q=s3cret", "0 sessions with “s3cret”"),
        ("q=no-handle-12", "0 sessions with “no-handle-12”"),
        ("user=heidi", "2 sessions of heidi"),
        ("user=heidi&q=opera", "1 session of heidi with “opera”"),
        ("user=nobody", "0 sessions of nobody"),
        ("user=", "4 sessions"),
        ("q=%3Cscript%3E", "1 session with “&lt;script&gt;”"),
    ],
)
def test_a_search_finds_users_devices_and_addresses(
    manager: SessionManager, query: str, count: str
) -> None:
    manager.create({"a": 1}, user_id="heidi")
    manager.create({"csrf": "s3cret"})
    manager.create({"a": 1}, user_id=HOSTILE)
    log_in(manager, "heidi", "Opera", "192.0.2.7")
    visitor = Visitor(manager)
    answer = visitor.fetch("/", query)
    assert answer.count == count
    # A list of matches has no button that ends all sessions.
    assert ("End all sessions" in answer.text) == (query == "user=")
    if query == "user=":
        (found,) = handles(visitor.fetch("/", f"q={handles(answer)[0]}"))
        assert found == handles(answer)[0]


def test_a_search_ignores_the_case_of_every_letter() -> None:
    with SessionManager(
        MemoryStore("8M"), describe=lambda visitor: "\u00d6ffi-Stra\u00dfe"
    ) as manager:
        log_in(manager, "heidi", "Opera", "192.0.2.7")
        visitor = Visitor(manager)
        for text in ("\u00f6ffi", "\u00d6FFI", "Stra\u00dfe"):
            assert visitor.fetch("/", urlencode({"q": text})).count.startswith("1 session")
        assert visitor.fetch("/", urlencode({"q": "\u00f6pfi"})).count.startswith("0 sessions")


def log_in(manager: SessionManager, user: str, agent: str, address: str) -> None:
    """Log in through the middleware, which stores the device and the address."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["lembro.session"].login(user)
        start_response("200 OK", [])
        return []

    environ: Any = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "wsgi.url_scheme": "http",
        "HTTP_USER_AGENT": agent,
        "REMOTE_ADDR": address,
    }
    start_response: Any = lambda *args: None  # noqa: E731
    list(SessionMiddleware(app, manager)(environ, start_response))


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_all_pages_together_show_each_session_once(manager: SessionManager, kind: str) -> None:
    for number in range(PAGE + 20):
        manager.create({"a": number}, user_id=f"user {number % 7}" if number % 2 else None)
    manager.create({"a": 1}, user_id=HOSTILE)
    visitor = Visitor(manager, kind)
    first = visitor.fetch()
    assert first.next is not None
    second = visitor.fetch("/", first.next)
    assert second.next is None
    assert (len(handles(first)), len(handles(second))) == (PAGE, 21)
    assert len({*handles(first), *handles(second)}) == PAGE + 21
    assert second.count == f"{PAGE + 21} sessions"
    assert 'href="./?">First page' in second.text


def test_a_user_with_many_sessions_has_pages_too(manager: SessionManager) -> None:
    for number in range(PAGE + 1):
        manager.create({"a": number}, user_id=HOSTILE)
    visitor = Visitor(manager)
    answer = visitor.fetch("/", "user=%3Cscript%3Ealert%281%29%3C/script%3E%27%22%26%0A%E2%80%AE")
    assert answer.next is not None
    assert len(handles(visitor.fetch("/", answer.next))) == 1


def test_a_hostile_name_is_text(visitor: Visitor, manager: SessionManager) -> None:
    manager.create({"a": 1}, user_id=HOSTILE)
    answer = visitor.fetch("/", "q=%22%3E%3Cscript%3E")
    assert "<script>alert" not in answer.text
    assert 'value="&quot;&gt;&lt;script&gt;"' in answer.text
    answer = visitor.fetch()
    assert "<script>alert" not in answer.text
    assert "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;&#x27;&quot;&amp;" in answer.text
    token = visitor.token()
    (handle,) = handles(answer)
    quoted = re.findall(r'name="user" value="([^"]+)"', answer.text)
    assert quoted == ["%3Cscript%3Ealert%281%29%3C/script%3E%27%22%26%0A%E2%80%AE"]
    form = {"token": token, "action": "session", "handle": handle, "user": quoted[0]}
    asked = visitor.post(form)
    assert "<script>" not in asked.text
    assert "&lt;script&gt;alert(1)" in asked.text
    assert "\\n\\u202e?</h1>" in asked.text  # the confirmation shows what a screen does not
    assert "has ended" in visitor.post({**form, "confirm": "yes"}).text
    assert manager.length() == 0


def test_every_page_has_a_strict_policy(visitor: Visitor) -> None:
    for answer in (visitor.fetch(), visitor.fetch("/nowhere"), visitor.post({})):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=|https?://", answer.text)


def test_no_file_names_another_host() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("*/", ""), path


def test_the_files_and_the_statistics_are_served(visitor: Visitor, manager: SessionManager) -> None:
    manager.create({"a": 1})
    script = visitor.fetch("/live.js")
    assert (script.status, script.headers["content-type"]) == (
        200,
        "text/javascript; charset=utf-8",
    )
    assert visitor.fetch("/live.js", method="HEAD").body == b""
    stats = json.loads(visitor.fetch("/stats").body)
    assert (stats["sessions"], stats["max"], len(stats["tiers"])) == (1, 8 << 20, 5)
    for path in ("/../handler.py", "/live.html", "/static/live.js", "//", "/%2e"):
        assert visitor.fetch(path).status == 404


def test_an_address_without_a_slash_is_redirected(visitor: Visitor) -> None:
    answer = visitor.fetch("")
    assert (answer.status, answer.headers["location"]) == (308, "./sessions/")
    visitor.root = "/s\u00e9ances"
    if visitor.kind == "wsgi":  # PEP 3333: UTF-8, decoded as latin-1
        visitor.root = visitor.root.encode().decode("latin-1")
    assert visitor.fetch("").headers["location"] == "./s%C3%A9ances/"
    visitor.root = "//evil.example:80"
    assert visitor.fetch("").headers["location"] == "./evil.example%3A80/"


def test_a_wrong_method_is_refused(visitor: Visitor) -> None:
    for path, allowed in (("/", "GET, HEAD, POST"), ("/stats", "GET, HEAD")):
        answer = visitor.fetch(path, method="DELETE")
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert visitor.fetch("/live.js", method="POST").status == 405
    assert visitor.fetch("/", "&".join("ab=1" for _ in range(21))).status == 400
    assert visitor.fetch("/", f"user={'x' * 257}").status == 400


# -- ending sessions -------------------------------------------------------------------------------


def test_one_session_is_ended_after_a_confirmation(
    visitor: Visitor, manager: SessionManager, ended: list[Event]
) -> None:
    manager.create({"a": 1}, user_id="heidi")
    kept = manager.create({"a": 1}, user_id="heidi")
    (handle,) = [
        info.handle for info in manager.user_sessions("heidi")
        if info.handle not in handles_of(manager, kept)
    ]  # fmt: skip
    form = {"token": visitor.token(), "action": "session", "handle": handle, "user": "heidi"}
    asked = visitor.post(form)
    assert asked.status == 200
    assert f"End the session {handle} of heidi?" in asked.text
    assert manager.length() == 2
    assert "The session has ended." in visitor.post({**form, "confirm": "yes"}).text
    assert manager.get(kept) is not None
    assert manager.length() == 1
    assert ended == [Event("destroyed", handle, "heidi", "in the dashboard, by ada")]
    assert "had ended already" in visitor.post({**form, "confirm": "yes"}).text
    assert len(ended) == 1


def handles_of(manager: SessionManager, session_id: str) -> list[str]:
    return [handle_for(key_for(session_id))]


def test_a_visitors_session_is_ended(visitor: Visitor, manager: SessionManager) -> None:
    (handle,) = handles_of(manager, manager.create({"a": 1}))
    (other,) = handles_of(manager, manager.create({"a": 1}, user_id="heidi"))
    assert (
        "of a visitor?"
        in visitor.post({"token": visitor.token(), "action": "session", "handle": handle}).text
    )
    assert "had ended already" in visitor.end("session", handle=other).text  # it is not a visitor's
    assert "has ended." in visitor.end("session", handle=handle).text
    assert manager.length() == 1


def test_a_session_that_rotates_meanwhile_is_ended(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch, ended: list[Event]
) -> None:
    session = manager.create({"a": 1}, user_id="heidi")
    (handle,) = handles_of(manager, session)
    visitor = Visitor(manager)
    token = visitor.token()
    store: Any = manager.store
    of_user = store.of_user

    def rotated(user: str) -> Any:
        found = of_user(user)
        manager.regenerate(session)
        return found

    monkeypatch.setattr(store, "of_user", rotated)
    form = {"token": token, "action": "session", "handle": handle, "user": "heidi"}
    visitor.post({**form, "confirm": "yes"})
    assert manager.length() == 0
    assert [event.user_id for event in ended] == ["heidi"]


def test_a_session_that_ends_meanwhile_causes_no_event(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch, ended: list[Event]
) -> None:
    session = manager.create({"a": 1}, user_id="heidi")
    visitor = Visitor(manager)
    token, store = visitor.token(), manager.store
    found = store.of_user("heidi")  # type: ignore[union-attr]
    manager.destroy(session)
    ended.clear()
    monkeypatch.setattr(store, "of_user", lambda user: found)
    (handle,) = handles_of(manager, session)
    form = {"token": token, "action": "session", "handle": handle, "user": "heidi"}
    assert "had ended already" in visitor.post({**form, "confirm": "yes"}).text
    assert ended == []


def test_the_sessions_of_a_user_are_ended(
    visitor: Visitor, manager: SessionManager, ended: list[Event]
) -> None:
    for user in ("heidi", "heidi", "peter"):
        manager.create({"a": 1}, user_id=user)
    asked = visitor.post({"token": visitor.token(), "action": "user", "user": "heidi"})
    assert "End all sessions of heidi?" in asked.text
    assert "2 sessions have ended." in visitor.end("user", user="heidi").text
    assert "1 session has ended." in visitor.end("user", user="peter").text
    assert [event.user_id for event in ended] == ["heidi", "heidi", "peter"]
    assert {event.reason for event in ended} == {"in the dashboard, by ada"}


def test_all_sessions_are_ended(manager: SessionManager, ended: list[Event]) -> None:
    manager.create({"a": 1}, user_id="heidi")
    visitor = Visitor(manager, allow=lambda environ: True)
    asked = visitor.post({"token": visitor.token(), "action": "all"})
    assert "End all sessions, of all users and visitors?" in asked.text
    assert manager.length() == 1
    assert "All sessions have ended." in visitor.end("all").text
    assert manager.length() == 0
    assert ended == [Event("cleared", reason="in the dashboard")]


def test_a_full_store_may_lack_the_age_of_its_oldest_visitor() -> None:
    stats = SimpleNamespace(used=95, max_size=100, tiers=[1])
    assert sample_of(stats)["survives"] is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (SITE, 200),
        ({"origin": "http://example.org"}, 200),
        ({}, 200),  # not a browser, and it has the token
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://example.org"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({**SITE, "content-type": "text/plain"}, 415),
        ({**SITE, "content-type": f"{FORM}; charset=utf-8"}, 200),
    ],
)
def test_a_form_of_another_site_ends_nothing(
    visitor: Visitor, manager: SessionManager, headers: dict[str, str], status: int
) -> None:
    manager.create({"a": 1}, user_id="heidi")
    form = {"token": visitor.token(), "action": "user", "user": "heidi", "confirm": "yes"}
    assert visitor.post(form, headers).status == status
    assert manager.length() == (0 if status == 200 else 1)


def test_a_form_needs_the_token_of_its_cookie(manager: SessionManager) -> None:
    manager.create({"a": 1}, user_id="heidi")
    visitor, other = Visitor(manager), Visitor(manager)
    token, theirs = visitor.token(), other.token()
    assert token != visitor.token()
    form = {"action": "user", "user": "heidi", "confirm": "yes"}
    for wrong in ("", "x", "é" * 80, theirs, token[:-1], token[16:]):
        assert visitor.post({**form, "token": wrong}).status == 403
    cookie = visitor.cookie
    for wrong in ("", "lembro-dashboard=", f"{cookie}; {other.cookie}", f"x{cookie}"):
        visitor.cookie = wrong
        assert visitor.post({**form, "token": token}).status == 403
    assert manager.length() == 1
    visitor.cookie = f"a=b; {cookie}; {cookie}"
    assert visitor.post({**form, "token": token}).status == 200


def test_over_https_no_subdomain_can_set_the_cookie(manager: SessionManager) -> None:
    visitor = Visitor(manager, scheme="https")
    line = visitor.fetch().headers["set-cookie"]
    assert re.fullmatch(
        r"__Host-lembro-dashboard=[\w-]{43}; Path=/; HttpOnly; SameSite=Strict; Secure", line
    )
    assert visitor.end("all").status == 200
    visitor.cookie = visitor.cookie.removeprefix("__Host-")
    assert "set-cookie" in visitor.fetch().headers


def test_an_incomplete_or_large_form_is_refused(visitor: Visitor) -> None:
    for fields in ({"action": "session"}, {"action": "user"}, {"action": "x"}, {"action": ""}):
        assert visitor.post({"token": visitor.token(), **fields}).status == 400
    assert visitor.post({"token": "x" * MAX_BODY}).status == 413
    assert visitor.post({f"f{number}": "1" for number in range(21)}).status == 400


def test_a_body_without_a_length_is_empty(manager: SessionManager) -> None:
    visitor = Visitor(manager, "wsgi")
    form = {"token": visitor.token()}
    assert visitor.post(form, scope={"CONTENT_LENGTH": "-1"}).status == 403
    assert visitor.post(form, scope={"CONTENT_LENGTH": "9" * 5000}).status == 400


# -- stores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "store"), [("asgi", "sqlite"), ("wsgi", "sqlite"), ("asgi", "redis")]
)
def test_it_works_over_an_external_store(kind: str, store: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    if store == "redis":
        url = f"{shared().url}?prefix={new_prefix()}&timeout=10"
    with SessionManager(url) as manager:
        for number in range(PAGE + 2):
            manager.create({"a": 1}, user_id=f"user {number}" if number else None)
        visitor = Visitor(manager, kind)
        first = visitor.fetch()
        assert first.next is not None
        assert handles(visitor.fetch("/", first.next))
        assert first.count == f"{PAGE + 2} sessions"
        stats = json.loads(visitor.fetch("/stats").body)
        assert (stats["available"], stats["tiers"]) == (True, None)
        (handle,) = handles(visitor.fetch("/", "user=user+3"))
        assert "has ended" in visitor.end("session", handle=handle, user="user 3").text
        assert "1 session has" in visitor.end("user", user="user 4").text
        assert manager.length() == PAGE
        visitor.end("all")
        assert manager.length() == 0


def test_it_works_over_an_async_store() -> None:
    class Async:
        """A store with the verbs of a MemoryStore, which are awaited."""

        def __init__(self) -> None:
            self._store = MemoryStore("1M")

        def __getattr__(self, name: str) -> Any:
            if name in ("blocking", "events", "stats", "max_session_size", "sync", "aio"):
                raise AttributeError(name)
            verb = getattr(self._store, name)

            async def awaited(*args: Any, **keywords: Any) -> Any:
                result = verb(*args, **keywords)
                return list(result) if name == "all" else result

            return awaited

    store: Any = Async()
    manager = SessionManager(store)
    asyncio.run(manager.acreate({"a": 1}, user_id="heidi"))
    visitor = Visitor(manager, "asgi")
    answer = visitor.fetch()
    assert answer.count == "1 session"
    assert "live.js" not in answer.text  # it has no statistics
    assert visitor.fetch("/stats").status == 404
    assert "1 session has" in visitor.end("user", user="heidi").text
    with pytest.raises(ConfigError, match="asynchronous, and WSGIDashboard has no event loop"):
        WSGIDashboard(manager, allow=print)


def test_a_store_that_fails_gives_a_503(
    visitor: Visitor, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise StoreUnavailable("no route to <b>host</b>")

    monkeypatch.setattr(manager.store, "all", fail)
    answer = visitor.fetch()
    assert answer.status == 503
    assert "The session store does not answer." in answer.text
    assert "host" not in answer.text


def test_entries_of_a_cache_are_no_sessions(manager: SessionManager) -> None:
    LembroCache(manager.store).set("a", 1)  # type: ignore[arg-type]
    manager.create({"a": 1})
    assert Visitor(manager).fetch().count == "1 session"


# -- 10^5 sessions ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many() -> Iterator[SessionManager]:
    """A manager with 10^5 sessions, which are written into the store directly."""
    with SessionManager(MemoryStore("128M")) as manager:
        manager.create({"cart": ["x" * 30], "token": "s3cret"}, user_id="heidi")
        store: Any = manager.store
        ((_, record),) = store.all()
        for number in range(100_000):
            user = f"user {number % 1000:03}" if number % 2 else None
            copy = type(record)(payload=record.payload, user=user)
            store.add(number.to_bytes(32, "big")[::-1], copy, idle=3600, life=math.inf)
        yield manager


def test_the_event_loop_runs_while_a_hundred_thousand_sessions_are_read(
    many: SessionManager,
) -> None:
    app = ASGIDashboard(many, allow=lambda scope: True)
    pauses: list[float] = []

    async def main() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope: Any = {"type": "http", "method": "GET", "path": "/", "query_string": b"",
                      "headers": []}  # fmt: skip
        task = asyncio.ensure_future(app(scope, receive, send))
        while not task.done():  # no limit: the request ends
            begin = time.perf_counter()
            await asyncio.sleep(0.002)
            pauses.append(time.perf_counter() - begin)
        await task
        return sent

    sent = asyncio.run(main())
    assert b"100,001 sessions" in sent[1]["body"]
    assert len(sent[1]["body"]) < 100_000
    # A loop that waited for the scan would have had one turn.
    pauses.sort()
    assert len(pauses) > 50
    assert pauses[len(pauses) * 9 // 10] < 0.1 * sum(pauses)


def test_a_search_rests_seldom_and_decodes_only_what_holds_the_text(
    manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 100_000 / listing.SLICE < 50, "a busy machine makes each pause long"
    monkeypatch.setattr(listing, "SLICE", 10)
    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)
    decoded: list[bytes] = []
    decode = codec.decode

    def counted(payload: bytes) -> Any:
        decoded.append(payload)
        return decode(payload)

    for number in range(35):
        manager.create({"a": "opera" if number < 3 else 1}, user_id=f"user {number}")
    monkeypatch.setattr(codec, "decode", counted)
    visitor = Visitor(manager)
    for text, found, steps in (("nothing", 0, 0), ("user", 35, 35), ("opera", 0, 3)):
        rests.clear()
        decoded.clear()
        assert visitor.fetch("/", f"q={text}").count.startswith(f"{found} sessions")
        assert (len(rests), len(decoded)) == (3, steps), text


def test_a_record_that_cannot_be_read_does_not_stop_a_search(manager: SessionManager) -> None:
    store: Any = manager.store
    store.add(bytes(32), Record(b"opera"), idle=3600, life=math.inf)
    assert Visitor(manager).fetch("/", "q=opera").count == "0 sessions with “opera”"


def test_a_user_among_many_is_found_by_an_index(
    many: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many.store, "all", lambda: 1 / 0)
    visitor = Visitor(many)
    token = visitor.token()
    answer = visitor.fetch("/", "user=user+007")
    assert answer.count == "100 sessions of user 007"
    handle = handles(answer)[0]
    form = {"token": token, "action": "session", "handle": handle, "user": "user 007"}
    assert "has ended" in visitor.post({**form, "confirm": "yes"}).text
    form = {"token": token, "action": "user", "user": "user 007", "confirm": "yes"}
    assert "99 sessions have ended" in visitor.post(form).text


# -- the applications ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_poll_does_not_extend_the_operators_session(
    manager: SessionManager, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped: list[Session] = []

    def skip_touch(session: Session) -> None:
        skipped.append(session)

    monkeypatch.setattr(Session, "skip_touch", skip_touch)
    session = manager.load()
    visitor = Visitor(manager, kind)
    key = "session" if kind == "asgi" else "lembro.session"
    visitor.fetch(scope={key: session})
    visitor.fetch("/stats", scope={key: {}})
    assert skipped == []
    visitor.fetch("/stats", scope={key: session})
    assert skipped == [session]


def test_an_asgi_server_may_serve_nothing_else(manager: SessionManager) -> None:
    app = ASGIDashboard(manager, allow=lambda scope: True)

    async def main(kind: str, *messages: str) -> list[str]:
        sent: list[str] = []
        waiting = [{"type": message} for message in messages]

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": kind}, receive, send)
        return sent

    started = asyncio.run(main("lifespan", "lifespan.startup", "lifespan.shutdown"))
    assert started == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert asyncio.run(main("websocket", "websocket.connect")) == ["websocket.close"]


def test_lines_of_one_header_are_joined(manager: SessionManager) -> None:
    visitor = Visitor(manager, "asgi")
    form = {"token": visitor.token(), "action": "all"}
    lines = [
        (b"host", b"example.org"),
        (b"cookie", b"a=b"),
        (b"Cookie", visitor.cookie.encode()),
        (b"content-type", FORM.encode()),
    ]
    assert visitor.post(form, scope={"headers": lines}).status == 200
    lines += [(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"cross-site")]
    assert visitor.post(form, scope={"headers": lines}).status == 403


def test_a_path_outside_of_the_root_is_kept(manager: SessionManager) -> None:
    visitor = Visitor(manager, "asgi", root="/sess")
    assert visitor.fetch(scope={"path": "/sessions"}).status == 404
    assert visitor.fetch(scope={"path": "/"}).status == 200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (86400 * 2000, "2,000 d")],
)
def test_a_span_is_rounded_down(seconds: float, text: str) -> None:
    assert span(seconds) == text
