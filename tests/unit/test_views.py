"""When a typed part is made again, which keys it owns, and how it is merged after an edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lembro import CodecError
from lembro._core.session import Session
from lembro._core.typed import converters, loader
from tests.support.site import Site


@dataclass
class Cart:
    items: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def begun(site: Site, cookie: str) -> tuple[Session, Cart]:
    """Return a session whose response has begun, and its cart from before."""
    session = site.open(cookie)
    cart = session.typed("cart", Cart)
    site.commit(session)
    return session, cart


def add_elsewhere(site: Site, cookie: str) -> None:
    with site.request(cookie) as r:
        r.session.typed("cart", Cart).items.append("theirs")


def test_a_part_is_one_object_until_the_response_begins(site: Site) -> None:
    with site.request(site.new(cart={"items": ["tea"]})) as r:
        cart = r.session.typed("cart", Cart)
        r.session["cart"] = {"items": ["milk"]}
        assert r.session.typed("cart", Cart) is cart


def test_a_part_that_another_request_has_changed_is_made_again_in_a_stream(site: Site) -> None:
    cookie = site.new(cart={"items": ["tea"]})
    session, cart = begun(site, cookie)
    assert session.typed("cart", Cart) is cart
    add_elsewhere(site, cookie)
    assert session.typed("cart", Cart) == Cart(["tea", "theirs"])


def test_a_part_with_late_changes_is_not_made_again_in_a_stream(site: Site) -> None:
    cookie = site.new(cart={"items": ["tea"]})
    session, cart = begun(site, cookie)
    cart.items.append("ours")
    add_elsewhere(site, cookie)
    assert session.typed("cart", Cart) is cart


def test_a_changed_part_drops_the_fields_that_its_kind_has_lost(site: Site) -> None:
    cookie = site.new(cart={"items": ["tea"], "coupon": "A1"})
    with site.request(cookie) as r:
        r.session.typed("cart", Cart).items.append("milk")
    assert site.data(cookie) == {"cart": {"items": ["tea", "milk"]}}


def test_the_whole_session_as_an_object_keeps_the_keys_that_it_does_not_know(site: Site) -> None:
    cookie = site.new(items=["tea"], other=1)
    load, dump = loader("session", Cart), converters("session", Cart)[1]
    with site.request(cookie) as r:
        r.session._typed_view(None, load, dump).items.append("milk")
    assert site.data(cookie) == {"items": ["tea", "milk"], "other": 1}


def test_the_changes_of_an_edit_come_before_those_of_an_older_object(site: Site) -> None:
    cookie = site.new(cart={"items": ["tea"]})
    session, cart = begun(site, cookie)
    with site.edit(session):
        cart.items.append("older")
        session.typed("cart", Cart).items.append("edit")
    assert site.data(cookie) == {"cart": {"items": ["tea", "edit", "older"]}}


def test_a_failed_edit_drops_the_late_changes_of_all_parts(site: Site) -> None:
    cookie = site.new(one=[], two=[])
    session = site.open(cookie)
    one: list[Any] = session._typed_view("one", list, list)
    two: list[Any] = session._typed_view("two", list, list)
    site.commit(session)
    one.append(object())
    two.append("late")
    with pytest.raises(LookupError), site.edit(session):
        raise LookupError
    one.clear()
    with site.edit(session):
        session["n"] = 1
    assert site.data(cookie) == {"one": [], "two": [], "n": 1}


def test_an_error_at_the_commit_names_the_whole_session(site: Site) -> None:
    session = site.open(site.new(n=1))
    whole: dict[str, Any] = session._typed_view(None, dict, dict)
    whole["x"] = object()
    with pytest.raises(CodecError) as refused:
        session.save()
    assert refused.value.path == "session.x"
