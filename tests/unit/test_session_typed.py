"""``session.typed``, and the whole session as one model with FastAPI's ``SessionData(Model)``."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lembro import CodecError, ConfigError, MemoryStore, SessionManager
from lembro.integrations.fastapi import SessionData, SessionMiddleware, WebSessionDep
from tests.support.site import Site


@dataclass
class DataCart:
    items: list[str] = field(default_factory=list)
    since: date = date(2026, 1, 2)


class StructCart(msgspec.Struct):
    items: list[str] = []
    since: date = date(2026, 1, 2)


class StructKinds(msgspec.Struct, forbid_unknown_fields=True):
    kinds: list[str]


class ModelCart(pydantic.BaseModel):
    items: list[str] = []
    since: date = date(2026, 1, 2)


KINDS: list[Any] = [DataCart, StructCart, ModelCart]
STORED = {"items": ["tea"], "since": "2026-01-02"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_typed_part_is_stored_when_it_has_changed(site: Site, kind: Any) -> None:
    with site.request() as r:
        cart = r.session.typed("cart", kind)
        assert cart == kind()
        cart.items.append("tea")
        r.session["other"] = 1
    cookie = r.reply.id
    assert site.data(cookie) == {"cart": STORED, "other": 1}
    with site.request(cookie) as r:
        cart = r.session.typed("cart", kind)
        assert cart == kind(items=["tea"], since=date(2026, 1, 2))
        assert type(cart) is kind
        assert r.session.typed("cart", kind) is cart
    assert "set" not in r.reply.verbs
    with site.request(cookie) as r:
        r.session.typed("cart", kind).since = date(2027, 1, 1)
    assert "set" in r.reply.verbs
    assert site.data(cookie) == {"cart": {**STORED, "since": "2027-01-01"}, "other": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_an_unchanged_default_is_not_stored(site: Site, kind: Any) -> None:
    with site.request() as r:
        r.session.typed("cart", kind)
        r.session.typed("other", kind, default=lambda: kind(items=["tea"]))
    assert (r.reply.cookie, site.count) == ("", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_does_not_fit_is_upgraded(site: Site, kind: Any) -> None:
    cookie = site.new(cart=["tea"])
    with site.request(cookie) as r:
        cart = r.session.typed("cart", kind, upgrade=lambda stored: kind(items=stored))
        assert cart.items == ["tea"]
        cart.items.append("milk")
    assert site.data(cookie) == {"cart": {**STORED, "items": ["tea", "milk"]}}


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_does_not_fit_raises_and_stays(site: Site, kind: Any) -> None:
    cookie = site.new(cart={"items": "secret"})
    session = site.open(cookie)
    with pytest.raises(CodecError, match=f"'cart' no longer fits {kind.__name__}") as raised:
        session.typed("cart", kind)
    assert "secret" not in str(raised.value)
    assert raised.value.path == "cart"
    site.commit(session)
    assert site.data(cookie) == {"cart": {"items": "secret"}}


def test_a_default_that_needs_arguments_is_an_error(site: Site) -> None:
    class Needs(msgspec.Struct):
        name: str

    with pytest.raises(ConfigError, match="must be made without arguments"):
        site.open().typed("cart", Needs)
    assert site.open().typed("cart", Needs, default=lambda: Needs("ada")).name == "ada"


def test_a_kind_that_cannot_be_stored_is_an_error(site: Site) -> None:
    class Plain:
        pass

    with pytest.raises(ConfigError, match="must be a pydantic model, a dataclass, a msgspec"):
        site.open().typed("cart", Plain)


def test_two_changes_of_a_typed_part_are_merged(site: Site) -> None:
    cookie = site.new(cart={"items": ["tea"], "since": "2026-01-02"})
    one, other = site.open(cookie), site.open(cookie)
    one.typed("cart", DataCart).items.append("milk")
    other.typed("cart", DataCart).since = date(2027, 1, 1)
    site.commit(one)
    site.commit(other)
    assert site.data(cookie) == {"cart": {"items": ["tea", "milk"], "since": "2027-01-01"}}


def test_a_logout_drops_the_typed_parts(site: Site) -> None:
    cookie = site.new("ada", cart=STORED)
    with site.request(cookie) as r:
        r.session.typed("cart", DataCart).items.append("milk")
        r.session.logout()
        assert r.session.typed("cart", DataCart) == DataCart()
    assert (r.reply.cookie, site.count) == ("clear", 0)


def test_an_error_names_the_whole_session(site: Site) -> None:
    with site.request() as r, pytest.raises(CodecError) as error:
        r.session._typed_view(None, lambda value: value, lambda value: {"x": object()})
    assert error.value.path == "session.x"


def test_an_error_names_every_field_that_does_not_fit(site: Site) -> None:
    cookie = site.new(cart={"items": 1, "since": "soon"})
    with site.request(cookie) as r, pytest.raises(CodecError) as error:
        r.session.typed("cart", ModelCart)
    assert "items: Input should be a valid list; since: Input" in str(error.value)


def test_a_typed_part_is_reloaded_inside_edit(site: Site) -> None:
    cookie = site.new(cart=STORED)
    session = site.open(cookie)
    assert session.typed("cart", DataCart).items == ["tea"]
    site.commit(session)
    with site.request(cookie) as r:
        r.session.typed("cart", DataCart).items.append("theirs")
    with site.edit(session):
        cart = session.typed("cart", DataCart)
        assert cart.items == ["tea", "theirs"]
        cart.items.append("ours")
    assert site.data(cookie) == {"cart": {**STORED, "items": ["tea", "theirs", "ours"]}}


def test_atomic_and_a_typed_part_lose_no_update(site: Site) -> None:
    cookie = site.new(cart=STORED)
    with site.request(cookie) as r:
        r.session.typed("cart", DataCart).since = date(2027, 1, 1)
        site.atomic(r.session, lambda data: data["cart"]["items"].append("milk"))
    assert site.data(cookie) == {"cart": {"items": ["tea", "milk"], "since": "2027-01-01"}}


def test_save_and_a_typed_part_lose_no_update_of_another_request(site: Site) -> None:
    cookie = site.new(cart=STORED)
    one, other = site.open(cookie), site.open(cookie)
    cart = one.typed("cart", DataCart)
    other.typed("cart", DataCart).items.append("milk")
    site.commit(other)
    one["page"] = 1
    site.save(one)
    cart.since = date(2027, 1, 1)
    site.commit(one)
    assert site.data(cookie) == {
        "cart": {"items": ["tea", "milk"], "since": "2027-01-01"},
        "page": 1,
    }


def test_an_upgraded_part_is_stored_when_it_changes(site: Site) -> None:
    cookie = site.new(cart={"bought": "tea"})
    with site.request(cookie) as r:
        cart = r.session.typed(
            "cart", StructKinds, upgrade=lambda old: StructKinds(kinds=[old["bought"]])
        )
        cart.kinds.append("milk")
    assert site.data(cookie) == {"cart": {"kinds": ["tea", "milk"]}}


# -- the whole session, in FastAPI -----------------------------------------------------------------


class Model(pydantic.BaseModel):
    pages: list[str] = []
    seen: datetime | None = None


@dataclass
class Data:
    pages: list[str] = field(default_factory=list)
    seen: datetime | None = None


class Struct(msgspec.Struct):
    pages: list[str] = []
    seen: datetime | None = None


AT = datetime(2026, 1, 2, tzinfo=UTC)


WHOLE: list[Any] = [Model, Data, Struct]


@pytest.fixture(params=WHOLE)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def site_of(kind: Any, **options: Any) -> tuple[SessionManager, TestClient]:
    manager = SessionManager(MemoryStore("64K"))
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)
    dependency: Any = Annotated[kind, SessionData(kind, **options)]

    async def look(whole: Any) -> list[str]:
        return list(whole.pages)

    async def visit(page: str, whole: Any) -> list[str]:
        whole.pages.append(page)
        whole.seen = AT
        return list(whole.pages)

    async def plain(session: WebSessionDep) -> dict[str, Any]:
        session["pages"] = "no list"
        return dict(session)

    async def login(session: WebSessionDep) -> None:
        session.login("ada")

    # With the name of the model, FastAPI would look for the annotation in this module.
    for function in (look, visit):
        function.__annotations__["whole"] = dependency
    app.add_api_route("/look", look)
    app.add_api_route("/visit/{page}", visit)
    app.add_api_route("/plain", plain)
    app.add_api_route("/login", login, methods=["POST"])
    return manager, TestClient(app)


def test_the_whole_session_is_one_object(kind: Any) -> None:
    manager, client = site_of(kind)
    assert client.get("/look").json() == []
    assert manager.length() == 0
    assert client.get("/visit/a").json() == ["a"]
    assert client.get("/visit/b").json() == ["a", "b"]
    assert client.get("/look").json() == ["a", "b"]
    (info,) = manager.all()
    assert info.data["pages"] == ["a", "b"]
    assert set(info.data) == {"pages", "seen"}


def test_the_whole_session_of_a_user_without_data_is_the_default(kind: Any) -> None:
    manager, client = site_of(kind, default=lambda: kind(pages=["start"]))
    client.post("/login")
    assert client.get("/look").json() == ["start"]
    assert client.get("/visit/a").json() == ["start", "a"]
    (info,) = manager.user_sessions("ada")
    assert info.data["pages"] == ["start", "a"]


def test_a_whole_session_that_does_not_fit_is_a_conflict(kind: Any) -> None:
    manager, client = site_of(kind)
    assert client.get("/plain").json() == {"pages": "no list"}
    reply = client.get("/visit/a")
    assert reply.status_code == 409
    assert "no list" not in reply.text
    assert manager.all()[0].data == {"pages": "no list"}


def test_a_whole_session_that_does_not_fit_can_be_upgraded(kind: Any) -> None:
    manager, client = site_of(kind, upgrade=lambda stored: kind(pages=[stored["pages"]]))
    client.get("/plain")
    assert client.get("/visit/a").json() == ["no list", "a"]
    assert manager.all()[0].data["pages"] == ["no list", "a"]


def test_a_key_that_the_whole_session_has_lost_is_removed() -> None:
    manager = SessionManager(MemoryStore("1M"))
    session = manager.load(manager.create({"page": 1, "note": "a"}))
    whole: dict[str, Any] = session._typed_view(None, dict, dict)
    del whole["note"]
    session.save()
    assert manager.all()[0].data == {"page": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((7, DataCart), "key of a typed part must be a str, got 7. Example: SessionData"),
        (("cart",), "must be a pydantic model, a dataclass, .*, got 'cart'. Example: SessionData"),
    ],
)
def test_invalid_arguments_of_session_data_are_refused(
    arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        SessionData(*arguments)
