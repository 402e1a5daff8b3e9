"""A backend for CACHES on a bounded store: its own one, or that of the sessions."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.core.cache import caches
from django.http import (
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseNotFound,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template import Context, Template
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.test import Client
from django.test.utils import override_settings
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import cache_page

from lembro import CodecError, ConfigError
from lembro.caches import django as module
from lembro.integrations.django import SessionStore
from tests.support.django_site import Site, running

BACKEND = "lembro.integrations.django.LembroCache"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Django needs it


@pytest.fixture
def site() -> Iterator[Site]:
    with running(CACHES={"default": {"BACKEND": BACKEND}}) as site:
        yield site


@pytest.fixture
def cache(site: Site) -> Any:
    return caches["default"]


def test_the_cache_is_in_the_store_of_the_sessions(site: Site, cache: Any) -> None:
    session = SessionStore()
    session["a"] = 1
    session.save()
    cache.set("a", [1, {"b": (2, None)}])
    assert cache.get("a") == [1, {"b": (2, None)}]
    assert len(site.records()) == 2
    cache.clear()
    assert len(site.records()) == 1
    assert session.load() == {"a": 1}


def test_timeouts_work_as_in_django(site: Site, cache: Any) -> None:
    cache.set("usual", 1)
    cache.set("short", 1, 10)
    cache.set("never", 1, None)
    cache.set("gone", 1, 0)
    assert sorted(cache.get_many(["usual", "short", "never", "gone"])) == [
        *("never", "short", "usual")
    ]
    site.clock.advance(11)
    assert not cache.has_key("short")
    assert cache.touch("usual", 20)
    site.clock.advance(19)
    assert "usual" in cache
    site.clock.advance(1e6)
    assert cache.get_many(["usual", "never"]) == {"never": 1}


def test_add_get_or_set_and_delete_work(cache: Any) -> None:
    assert cache.add("a", 1)
    assert not cache.add("a", 2)
    assert cache.get_or_set("a", 3) == 1
    assert cache.get("b", "default") == "default"
    cache.set("none", None)
    assert cache.get("none", "default") is None
    assert cache.delete("a")
    assert not cache.delete("a")


def test_incr_and_decr_work(cache: Any) -> None:
    cache.set("n", 1)
    assert (cache.incr("n", 2), cache.decr("n")) == (3, 2)
    with pytest.raises(ValueError, match="not found"):
        cache.incr("missing")
    cache.set("none", None)
    with pytest.raises(TypeError, match="not a number"):
        cache.incr("none")


def test_versions_and_prefixes_separate_keys() -> None:
    settings = {
        "default": {"BACKEND": BACKEND},
        "prefixed": {"BACKEND": BACKEND, "KEY_PREFIX": "p"},
        "elsewhere": {"BACKEND": BACKEND, "LOCATION": "elsewhere"},
    }
    with running(CACHES=settings):
        caches["default"].set("a", 1)
        caches["default"].set("a", 2, version=2)
        assert caches["default"].get("a") == 1
        assert caches["default"].incr_version("a") == 2
        assert caches["default"].get("a") is None
        assert caches["prefixed"].get("a") is None
        caches["elsewhere"].set("a", 3)
        caches["default"].clear()
        assert caches["elsewhere"].get("a") == 3


def test_a_cache_may_have_its_own_store(site: Site) -> None:
    own = {"BACKEND": BACKEND, "LOCATION": "own", "OPTIONS": {"max_size": "128K"}}
    with override_settings(CACHES={"default": own}):
        cache = caches["default"]
        for number in range(1000):
            cache.set(str(number), "x" * 1000)
        assert cache.get("0") is None, "the oldest entry is evicted"
        assert cache.get("999") is not None
        assert site.records() == []
        _, store = module._stores["own"]
        assert store.stats().used <= 128 * 1024
    other = {**own, "OPTIONS": {"max_size": "256K"}}
    with (
        override_settings(CACHES={"default": other}),
        pytest.raises(ConfigError, match="LOCATION 'own' twice"),
    ):
        caches["default"].get("a")


def test_an_unknown_option_is_refused() -> None:
    with (
        running(CACHES={"default": {"BACKEND": BACKEND, "OPTIONS": {"max_sise": "1M"}}}),
        pytest.raises(ConfigError, match="unknown OPTIONS: max_sise"),
    ):
        caches["default"].get("a")


def test_a_cache_without_sessions_needs_a_size() -> None:
    backend = "lembro.caches.django.LembroCache"
    with (
        running(CACHES={"default": {"BACKEND": backend}}),
        pytest.raises(ConfigError, match=r"needs a size.*\"max_size\": \"64M\""),
    ):
        caches["default"].get("a")


def test_a_value_that_is_too_large_is_not_stored(
    cache: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As with memcached, the previous value is removed too."""
    cache.set("a", 1)
    cache.set("a", "x" * 100_000)
    assert cache.get("a") is None
    assert not cache.add("b", "x" * 100_000)
    assert "is not cached" in caplog.text


def test_nothing_is_pickled(cache: Any) -> None:
    for value in (object(), Site, [lambda: 0]):
        with pytest.raises(CodecError):
            cache.set("a", value)


def test_safe_strings_stay_safe(cache: Any) -> None:
    cache.set("a", mark_safe("<b>"))
    assert isinstance(cache.get("a"), SafeString)
    assert cache.get("a") == "<b>"
    template = Template("{% load cache %}{% cache 500 part %}<i>{{ n }}</i>{% endcache %}")
    assert template.render(Context({"n": 1})) == "<i>1</i>"
    assert template.render(Context({"n": 2})) == "<i>1</i>"


@pytest.mark.parametrize("first", [b"lembro.django", "other"])
def test_a_tuple_stays_a_tuple(cache: Any, first: Any) -> None:
    cache.set("a", (first, "safe", "<b>"))
    assert cache.get("a") == (first, "safe", "<b>")
    assert type(cache.get("a")[2]) is str


def test_a_response_stays_a_response(cache: Any) -> None:
    response = HttpResponseNotFound(b"gone", headers={"X-One": "1", "Content-Type": "text/plain"})
    response.set_cookie("a", "1", max_age=60, httponly=True)
    cache.set("a", response)
    again = cache.get("a")
    assert (again.status_code, again.content, again.reason_phrase) == (404, b"gone", "Not Found")
    assert dict(again.items()) == {"Content-Type": "text/plain", "X-One": "1"}
    assert str(again.cookies) == str(response.cookies)


def rendered(kind: type) -> Any:
    response: Any = kind(None, "page.html")
    response.content = b"page"
    return response


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(b"page"),
        JsonResponse({"a": 1}),
        HttpResponseRedirect("/there"),
        HttpResponseNotAllowed(["GET"]),
        rendered(TemplateResponse),
    ],
    ids=lambda response: type(response).__name__,
)
def test_a_response_of_django_comes_back_as_what_it_was(cache: Any, response: Any) -> None:
    cache.set("a", response)
    again = cache.get("a")
    assert type(again) is type(response)
    assert again.content == response.content
    assert again.status_code == response.status_code
    assert dict(again.items()) == dict(response.items())
    if isinstance(again, HttpResponseRedirect):
        assert again.url == "/there"
    if isinstance(again, TemplateResponse):
        assert again.render().content == b"page"


class Page(HttpResponse):  # type: ignore[misc] # Django is not typed
    """A response of the application, with an attribute of its own."""

    note = "kept elsewhere"


def test_another_subclass_of_a_response_is_refused(cache: Any) -> None:
    with pytest.raises(
        CodecError, match=r"cannot store a Page.*store django\.http\.HttpResponse\("
    ):
        cache.set("a", Page(b"page"))
    page = Page(b"page", headers={"X-One": "1"})
    cache.set("a", HttpResponse(page.content, headers=page.headers))
    assert cache.get("a")["X-One"] == "1"


def test_a_class_with_the_name_of_djangos_is_refused(cache: Any) -> None:
    kind: Any = type("JsonResponse", (HttpResponse,), {})
    with pytest.raises(CodecError, match="cannot store a JsonResponse"):
        cache.set("a", kind(b"{}"))


def test_a_response_of_django_rest_framework_keeps_its_data(
    cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Response(SimpleTemplateResponse):  # type: ignore[misc] # Django is not typed
        def __init__(self, data: Any) -> None:
            super().__init__(None)
            self.data, self.exception, self.content_type = data, False, None

    module = ModuleType("rest_framework.response")
    vars(module)["Response"] = Response
    monkeypatch.setitem(sys.modules, "rest_framework", ModuleType("rest_framework"))
    monkeypatch.setitem(sys.modules, "rest_framework.response", module)
    response: Any = Response(OrderedDict(a=[1]))
    response.content = b'{"a": [1]}'
    cache.set("a", response)
    again = cache.get("a")
    assert type(again) is Response
    assert (again.data, again.exception, again.content) == ({"a": [1]}, False, response.content)
    assert again.is_rendered


def test_pages_are_cached(site: Site) -> None:
    numbers = iter(range(10))
    page = cache_page(60)(lambda request: HttpResponse(str(next(numbers)).encode()))
    answers = [site.visit(Client(), page) for _ in range(2)]
    assert [answer.content for answer in answers] == [b"0", b"0"]
    site.clock.advance(61)
    assert site.visit(Client(), page).content == b"1"


@pytest.mark.anyio
async def test_async_methods_work(cache: Any) -> None:
    await cache.aset("a", 1)
    assert await cache.aget("a") == 1
    assert await cache.aget("b", 2) == 2
    assert not await cache.aadd("a", 2)
    assert await cache.aincr("a") == 2
    assert await cache.adecr("a") == 1
    assert await cache.atouch("a", 10)
    assert await cache.ahas_key("a")
    assert await cache.adelete("a")
    await cache.aset("big", "x" * 100_000)
    assert not await cache.aadd("big", "x" * 100_000)
    await cache.aset("c", 1)
    await cache.aclear()
    assert await cache.aget("c") is None
