"""``SessionData``: typed parts of the session for FastAPI."""

# ruff: noqa: B008 - a call as default is how FastAPI takes what is not Annotated

from __future__ import annotations

import enum
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field, computed_field

from lembro import ConfigError, MemoryStore, SessionManager
from lembro.integrations.fastapi import SessionData, SessionMiddleware, WebSessionDep


class Item(BaseModel):
    name: str
    count: int = 1


class Cart(BaseModel):
    items: list[Item] = Field(default_factory=list)
    coupon: str | None = None


@dataclass
class DataItem:
    name: str
    count: int = 1


@dataclass
class DataCart:
    items: list[DataItem] = field(default_factory=list)
    coupon: str | None = None


class StructItem(msgspec.Struct):
    name: str
    count: int = 1


class StructCart(msgspec.Struct):
    items: list[StructItem] = msgspec.field(default_factory=list)
    coupon: str | None = None


KINDS = [(Cart, Item), (DataCart, DataItem), (StructCart, StructItem)]


def client_of(
    kind: type[Any], item: type[Any], manager: SessionManager, **options: Any
) -> TestClient:
    """An application with a cart of this kind."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)
    part = SessionData("cart", kind, **options)

    @app.get("/look")
    def look(cart: Any = part) -> str:
        assert isinstance(cart, kind)
        return repr(cart)

    @app.get("/add/{name}")
    def add(name: str, cart: Any = part) -> int:
        for known in cart.items:
            if known.name == name:
                known.count += 1
                return len(cart.items)
        cart.items.append(item(name=name))
        return len(cart.items)

    @app.get("/raises")
    def raises(cart: Any = part) -> None:
        cart.coupon = "half done"
        raise RuntimeError

    @app.get("/twice")
    def twice(a: Any = part, b: Any = part) -> bool:
        return a is b

    @app.get("/leave")
    def leave(session: WebSessionDep) -> None:
        session.logout()

    @app.get("/logout")
    def logout(session: WebSessionDep, cart: Any = part) -> None:
        cart.coupon = "of a user who has left"
        session.logout()

    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture(params=KINDS, ids=["pydantic", "dataclass", "msgspec"])
def client(request: pytest.FixtureRequest, manager: SessionManager) -> TestClient:
    kind, item = request.param
    return client_of(kind, item, manager)


def cart_in(manager: SessionManager) -> Any:
    [session] = manager.all()
    return session.data["cart"]


def test_an_unchanged_default_is_not_stored(client: TestClient, manager: SessionManager) -> None:
    response = client.get("/look")
    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    assert manager.length() == 0


def test_a_change_and_a_nested_change_are_stored(
    client: TestClient, manager: SessionManager
) -> None:
    client.get("/add/bread")
    client.get("/add/butter")
    client.get("/add/bread")
    assert cart_in(manager) == {
        "items": [{"name": "bread", "count": 2}, {"name": "butter", "count": 1}],
        "coupon": None,
    }


def test_a_read_stores_nothing(
    client: TestClient, manager: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/add/bread")
    monkeypatch.setattr(manager.store, "set", None)  # would fail if the session were stored
    assert client.get("/look").status_code == 200
    assert client.get("/add/butter").status_code == 500


def test_a_handler_that_raises_changes_nothing(client: TestClient, manager: SessionManager) -> None:
    client.get("/add/bread")
    before = cart_in(manager)
    assert client.get("/raises").status_code == 500
    assert cart_in(manager) == before


def test_a_request_has_one_object(client: TestClient) -> None:
    assert client.get("/twice").json() is True


def test_a_change_before_a_logout_is_dropped(client: TestClient, manager: SessionManager) -> None:
    client.get("/add/bread")
    client.get("/logout")
    assert manager.length() == 0


@pytest.mark.parametrize(("kind", "item"), KINDS, ids=["pydantic", "dataclass", "msgspec"])
def test_a_default_may_be_a_function(kind: Any, item: Any, manager: SessionManager) -> None:
    client = client_of(kind, item, manager, default=lambda: kind(items=[item(name="gift")]))
    assert "gift" in client.get("/look").json()
    assert manager.length() == 0
    assert client.get("/add/bread").json() == 2
    assert [item["name"] for item in cart_in(manager)["items"]] == ["gift", "bread"]


def test_a_kind_that_needs_arguments_needs_a_default(manager: SessionManager) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/")
    def index(item: Item = SessionData("item", Item)) -> None: ...

    with pytest.raises(ConfigError, match="default=lambda"):
        TestClient(app).get("/")


# -- data of an older version ----------------------------------------------------------------------

OLD: Any = {"items": "bread, butter", "coupon": "SECRET"}


def holding(client: TestClient, manager: SessionManager, cart: Any) -> None:
    client.cookies.set("sid", manager.create({"cart": cart}))


def test_data_that_no_longer_fits_is_a_409_and_stays(
    client: TestClient, manager: SessionManager
) -> None:
    holding(client, manager, OLD)
    response = client.get("/add/butter")
    assert response.status_code == 409
    assert "another version of this application" in response.json()["detail"]
    assert cart_in(manager) == OLD


def test_the_fix_that_the_409_names_works(client: TestClient, manager: SessionManager) -> None:
    holding(client, manager, OLD)
    assert "Log out or delete the cookie" in client.get("/look").json()["detail"]
    assert client.get("/leave").status_code == 200
    assert client.get("/add/butter").json() == 1


def test_the_log_names_the_fields_and_the_remedy_but_no_stored_data(
    client: TestClient, manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    holding(client, manager, OLD)
    response = client.get("/look")
    [record] = [record for record in caplog.records if record.name == "lembro"]
    message = record.getMessage()
    assert "'cart' no longer fits" in message
    assert "items" in message
    assert "upgrade=f" in message
    for text in (message, response.text):
        assert "bread" not in text
        assert "SECRET" not in text


def test_the_log_names_no_field_if_all_of_it_does_not_fit(
    client: TestClient, manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    holding(client, manager, ["bread"])
    client.get("/look")
    assert re.search(r"no longer fits \w+: [A-Z]", caplog.text)


def test_a_stored_key_does_not_begin_a_line_of_the_log(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/")
    def index(counts: Any = SessionData("cart", dict[str, int])) -> None: ...

    client = TestClient(app)
    holding(client, manager, {"bread\nERROR all is lost": "many"})
    assert client.get("/").status_code == 409
    assert "\n" not in caplog.records[-1].getMessage()


@pytest.mark.parametrize(("kind", "item"), KINDS, ids=["pydantic", "dataclass", "msgspec"])
def test_upgrade_makes_the_new_object_of_the_old_data(
    kind: Any, item: Any, manager: SessionManager
) -> None:
    def split(old: Any) -> Any:
        names: str = old.pop("items")  # it gets a copy
        return kind(items=[item(name=name) for name in names.split(", ")])

    client = client_of(kind, item, manager, upgrade=split)
    holding(client, manager, OLD)
    assert "butter" in client.get("/look").json()
    assert cart_in(manager) == OLD  # like a default, it is stored once it is changed
    assert client.get("/add/butter").json() == 2
    assert cart_in(manager)["items"] == [
        {"name": "bread", "count": 1},
        {"name": "butter", "count": 2},
    ]


def test_upgrade_is_not_called_for_data_that_fits_or_is_missing(manager: SessionManager) -> None:
    client = client_of(Cart, Item, manager, upgrade=None)
    client.get("/add/bread")
    never = client_of(Cart, Item, manager, upgrade=lambda old: pytest.fail("it fits"))
    never.cookies = client.cookies
    assert never.get("/add/butter").json() == 2
    never.cookies.clear()
    assert never.get("/add/butter").json() == 1


def test_upgrade_may_return_a_new_object(manager: SessionManager) -> None:
    client = client_of(Cart, Item, manager, upgrade=lambda old: Cart())
    holding(client, manager, "what nobody knows any more")
    assert client.get("/add/bread").json() == 1
    assert len(cart_in(manager)["items"]) == 1


def test_upgrade_may_refuse_the_data(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    def only_two(old: Any) -> Cart:
        raise ValueError("version 1 is too old")

    client = client_of(Cart, Item, manager, upgrade=only_two)
    holding(client, manager, OLD)
    assert client.get("/look").status_code == 409
    assert "version 1 is too old" in caplog.text


# -- kinds of models -------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Everything(BaseModel):
    """A strict model without extra fields, and with aliases."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=str.upper)

    at: datetime = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    day: date = date(2026, 1, 2)
    took: timedelta = timedelta(minutes=3)
    number: uuid.UUID = uuid.UUID(int=5)
    price: Decimal = Decimal("1.10")
    colour: Colour = Colour.RED
    tags: set[str] = {"a"}
    pair: tuple[int, str] = (1, "b")
    raw: bytes = b"abc"
    by_number: dict[int, str] = {1: "one"}
    inner: Item = Item(name="bread")
    changes: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> Decimal:
        return self.price * 2


class EverythingStruct(
    msgspec.Struct, rename="upper", forbid_unknown_fields=True, tag="everything"
):
    at: datetime = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    day: date = date(2026, 1, 2)
    number: uuid.UUID = uuid.UUID(int=5)
    price: Decimal = Decimal("1.10")
    colour: Colour = Colour.RED
    tags: set[str] = msgspec.field(default_factory=lambda: {"a"})
    pair: tuple[int, str] = (1, "b")
    raw: bytes = b"abc"
    by_number: dict[int, str] = msgspec.field(default_factory=lambda: {1: "one"})
    changes: int = 0


@pytest.mark.parametrize("kind", [Everything, EverythingStruct], ids=["pydantic", "msgspec"])
def test_a_loaded_value_equals_the_stored_one(kind: Any, manager: SessionManager) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/")
    def index(everything: Any = SessionData("everything", kind)) -> int:
        plain = kind()
        plain.changes = everything.changes
        assert everything == plain
        everything.changes += 1
        changes: int = everything.changes
        return changes

    client = TestClient(app)
    assert [client.get("/").json() for _ in range(3)] == [1, 2, 3]


def test_a_list_of_models_works(manager: SessionManager) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/{name}")
    def index(name: str, items: Any = SessionData("items", list[Item])) -> int:
        items.append(Item(name=name))
        return len(items)

    client = TestClient(app)
    assert [client.get("/bread").json() for _ in range(3)] == [1, 2, 3]


def test_a_list_of_structs_works(manager: SessionManager) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/{name}")
    def index(name: str, items: Any = SessionData("items", list[StructItem])) -> list[str]:
        items.append(StructItem(name=name))
        return [item.name for item in items]

    client = TestClient(app)
    assert [client.get("/bread").json() for _ in range(2)] == [["bread"], ["bread", "bread"]]


def test_a_union_of_two_models_works(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    either: Any = Cart | Item

    @app.get("/")
    def index(it: Any = SessionData("cart", either, default=lambda: Item(name="a"))) -> str:
        return type(it).__name__

    client = TestClient(app)
    assert client.get("/").json() == "Item"
    holding(client, manager, {"items": []})
    assert client.get("/").json() == "Cart"
    client.cookies.clear()
    holding(client, manager, 5)
    assert client.get("/").status_code == 409
    assert "no longer fits" in caplog.text


def test_an_unknown_class_is_refused_at_the_configuration() -> None:
    class Plain:
        pass

    with pytest.raises(ConfigError, match="a pydantic model, a dataclass, a msgspec Struct"):
        SessionData("plain", Plain)


class Anything(BaseModel):
    thing: Any = None


def test_a_field_that_cannot_be_stored_is_a_500(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/")
    def index(it: Anything = SessionData("it", Anything)) -> None:
        it.thing = object()

    response = TestClient(app).get("/")
    assert response.status_code == 500
    assert "set-cookie" not in response.headers
    assert "it: " in caplog.text


def test_the_documented_annotation_works(manager: SessionManager) -> None:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/{name}")
    def index(name: str, cart: CartDep) -> int:
        cart.items.append(Item(name=name))
        return len(cart.items)

    client = TestClient(app)
    assert [client.get("/bread").json() for _ in range(3)] == [1, 2, 3]


CartDep = Annotated[Cart, SessionData("cart", Cart)]
