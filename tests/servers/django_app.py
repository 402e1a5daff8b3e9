"""A Django project for servers: ``wsgi`` with plain views, ``asgi`` with async ones."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import re_path

from lembro.integrations.django import get_session
from tests.servers.count import count

ASYNC: Final = "LEMBRO_ASYNC" in os.environ

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["lembro.integrations.django"],
    LEMBRO={"MAX_SIZE": "4M", "SNAPSHOT": os.environ.get("LEMBRO_TEST_SNAPSHOT")},
    MIDDLEWARE=["lembro.integrations.django.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only-for-tests" * 4,
    SESSION_COOKIE_NAME="sid",
    SESSION_ENGINE="lembro.integrations.django",
    SESSION_EXPIRE_AT_BROWSER_CLOSE=True,
)


def _add(request: Any, item: str) -> None:
    request.session.setdefault("cart", []).append(int(item))
    request.session[f"item-{item}"] = int(item)


def _fails(request: Any, _: str) -> None:
    request.session["failed"] = True
    raise RuntimeError("as the test asked")


_PAGES: dict[str, Callable[[Any, str], Any]] = {
    "": lambda request, _: None,
    "me": lambda request, _: {
        "user": get_session(request).user_id,
        "data": dict(request.session.items()),
    },
    "login": lambda request, user: get_session(request).login(user),
    "logout": lambda request, _: request.session.flush(),
    "logout-everywhere": lambda request, _: get_session(request).logout_everywhere(),
    "rotate": lambda request, _: request.session.cycle_key(),
    "cart": _add,
    "count": lambda request, _: get_session(request).atomic(count),
    "fails": _fails,
    "process": lambda *_: os.getpid(),
}


def view(request: Any, page: str, argument: str) -> Any:
    if page == "stream":
        request.session.get("streamed")
        return StreamingHttpResponse(_stream(request))
    if page not in _PAGES:
        return HttpResponse(b"", status=404)
    return JsonResponse(_PAGES[page](request, argument), safe=False)


async def aview(request: Any, page: str, argument: str) -> Any:
    if page == "stream":
        request.session.get("streamed")
        return StreamingHttpResponse(_astream(request))
    return view(request, page, argument)


def _stream(request: Any) -> Iterator[bytes]:
    yield b"0\n"
    with get_session(request).edit() as session:
        session["streamed"] = True
    yield b"done\n"


async def _astream(request: Any) -> AsyncIterator[bytes]:
    yield b"0\n"
    async with get_session(request).edit() as session:
        session["streamed"] = True
    yield b"done\n"


urlpatterns = [re_path("^(?P<page>[^/]*)/?(?P<argument>.*)$", aview if ASYNC else view)]
app = get_asgi_application() if ASYNC else get_wsgi_application()
