"""An application for WSGI servers, without a framework."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lembro import Session
from lembro.wsgi import KEY, SessionMiddleware
from tests.servers.count import count, make_manager

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


manager = make_manager()


def _add(session: Session, item: str) -> None:
    session.setdefault("cart", []).append(int(item))
    session[f"item-{item}"] = int(item)


def _fails(session: Session, _: str) -> str:
    session["failed"] = True
    return "500 Internal Server Error"


_PAGES: dict[str, Callable[[Session, str], Any]] = {
    "login": lambda session, user: session.login(user),
    "logout": lambda session, _: session.logout(),
    "logout-everywhere": lambda session, _: session.logout_everywhere(),
    "rotate": lambda session, _: session.regenerate_id(),
    "cart": _add,
    "count": lambda session, _: session.atomic(count),
    "fails": _fails,
    "worker": lambda *_: os.getpid(),
    "user": lambda _, user: len(manager.user_sessions(user)),
    "revoke": lambda _, user: manager.revoke_user(user),
}


def _stream(session: Session) -> Iterator[bytes]:
    yield b"0\n"
    with session.edit():
        session["streamed"] = True
    yield b"done\n"


def _application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    page, _, argument = environ["PATH_INFO"].strip("/").partition("/")
    session: Session = environ[KEY]
    status, body = "200 OK", b"null"
    if page == "me":
        body = json.dumps({"user": session.user_id, "data": dict(session)}).encode()
    elif page == "stream":
        len(session)
        start_response(status, [("Content-Type", "text/plain")])
        return _stream(session)
    elif page in _PAGES:
        result = _PAGES[page](session, argument)
        if page == "fails":
            status = result
        body = json.dumps(result).encode()
    start_response(status, [("Content-Type", "application/json")])
    return [body]


app = SessionMiddleware(_application, manager)
