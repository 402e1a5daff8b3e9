"""The views of ``django_project``: the page of ``visits.py``, and the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path, re_path

from lembro.integrations.django import get_session
from tests.support.visits import BODY, HEADER, Visit, achunks, chunks, drive, visit_of


def page(request: Any) -> Any:
    visit = visit_of(request.headers[HEADER]).begin(get_session(request), sync=True)
    drive(visit.run())
    if visit.later is None:
        return _with_headers(HttpResponse(BODY, status=visit.status), visit)
    return _with_headers(StreamingHttpResponse(chunks(visit), status=visit.status), visit)


async def apage(request: Any) -> Any:
    visit = visit_of(request.headers[HEADER]).begin(get_session(request), sync=False)
    await visit.run()
    if visit.later is None:
        return _with_headers(HttpResponse(BODY, status=visit.status), visit)
    return _with_headers(StreamingHttpResponse(achunks(visit), status=visit.status), visit)


def _with_headers(response: Any, visit: Visit) -> Any:
    for name, value in visit.headers:
        if name.lower() == "set-cookie":
            key, _, content = value.partition("=")
            response.cookies[key] = content
        else:  # a response of Django's has one header of each name
            response[name] = f"{response[name]}, {value}" if name in response else value
    return response


urlpatterns = [path("admin/", admin.site.urls), re_path("", page)]
