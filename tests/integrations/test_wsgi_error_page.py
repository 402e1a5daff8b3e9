"""WSGI: an error page around the middleware cannot access the session, so no cache keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import httpx
import pytest

from lembro import MemoryStore, SessionCommitted, SessionManager
from lembro.wsgi import SessionMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@pytest.mark.parametrize("looked", [True, False])
def test_a_first_access_in_an_error_page_around_the_middleware_raises(looked: bool) -> None:
    manager = SessionManager(MemoryStore())

    def fails(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if looked:
            assert environ["lembro.session"].user_id == "heidi"
        raise RuntimeError

    inner = SessionMiddleware(fails, manager)

    def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with pytest.raises(RuntimeError):
            inner(environ, start_response)
        session = environ["lembro.session"]
        with pytest.raises(SessionCommitted):
            session["failed"] = True
        with pytest.raises(SessionCommitted, match="wrap the whole application"):
            session.user_id  # noqa: B018
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b"sorry"]

    cookies = {"sid": manager.create(user_id="heidi")}
    transport = httpx.WSGITransport(page)
    with httpx.Client(transport=transport, base_url="http://test", cookies=cookies) as client:
        assert client.get("/").text == "sorry"
    assert manager.user_sessions("heidi")[0].data == {}
