"""A Django site with one view, which each test passes, visited with Django's own test client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import django_project

__all__ = ["Site", "database", "urlpatterns"]

from django.contrib import admin
from django.core.management import call_command
from django.http import HttpResponse
from django.test.utils import override_settings
from django.urls import path

from lembro import MemoryStore, SessionManager
from lembro.integrations.django import get_manager
from lembro.stores.base import Found
from lembro.testing import FakeClock

Act = Callable[[Any], Any]

assert django_project


class Site:
    """The site that ``override_settings`` configures, over a store on a fake clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore("1M", clock=self.clock)

    @property
    def manager(self) -> SessionManager:
        return get_manager()

    def visit(self, client: Any, act: Act, **extra: Any) -> Any:
        """Request the view that calls ``act(request)``.

        Returns:
            The response. If ``act`` returned something else, it is the response's ``result``.
        """
        with acting(act) as results:
            response = client.get("/do", **extra)
        response.result = results[-1] if results else None
        return response

    async def avisit(self, client: Any, act: Act) -> Any:
        """Request an async view that awaits ``act(request)``. Returns the same as ``visit``."""
        with acting(act) as results:
            response = await client.get("/ado")
        response.result = results[-1] if results else None
        return response

    def records(self) -> list[Found]:
        return [found for _, found in self.store.all()]

    def only(self) -> Found:
        (found,) = self.records()
        return found


_acts: list[tuple[Act, list[Any]]] = []


@contextmanager
def acting(act: Act) -> Iterator[list[Any]]:
    results: list[Any] = []
    _acts.append((act, results))
    try:
        yield results
    finally:
        _acts.pop()


def do(request: Any) -> Any:
    act, results = _acts[-1]
    result = act(request)
    if isinstance(result, HttpResponse) or getattr(result, "streaming", False):
        return result
    results.append(result)
    return HttpResponse(b"done")


async def ado(request: Any) -> Any:
    act, results = _acts[-1]
    results.append(await act(request))
    return HttpResponse(b"done")


urlpatterns = [path("admin/", admin.site.urls), path("do", do), path("ado", ado)]


def database() -> None:
    """Create the tables, once."""
    call_command("migrate", run_syncdb=True, verbosity=0)


@contextmanager
def running(**settings: Any) -> Iterator[Site]:
    """Run a site with these settings."""
    site = Site()
    settings.setdefault("LEMBRO", {"STORE": site.store})
    with override_settings(ROOT_URLCONF=__name__, **settings):
        yield site
    site.store.close()
