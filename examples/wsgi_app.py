"""A cart, a login and a list of the user's sessions, as plain WSGI, without a framework.

    pip install lembro
    python examples/wsgi_app.py

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

from lembro import MemoryStore, Session, SessionManager
from lembro.wsgi import SessionMiddleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    status, answer = respond(
        environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["lembro.session"]
    )
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def respond(method: str, path: str, session: Session) -> tuple[str, object]:
    match method, *path.strip("/").split("/"):
        case "GET", "me":
            return "200 OK", {"user": session.user_id, "cart": session.get("cart", [])}
        case "POST", "cart", item:
            session.setdefault("cart", []).append(item)
            return "200 OK", session["cart"]
        case "POST", "login", user:  # a real login takes a form and checks a password
            session.login(user)
            return "200 OK", f"hello {user}"
        case "POST", "logout":
            session.logout()
            return "200 OK", "bye"
        case _ if session.user_id is None:
            return "401 Unauthorized", "log in first"
        case "GET", "sessions":
            mine = session.user_sessions()
            listed = [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]
            return "200 OK", listed
        case "POST", "logout-everywhere":
            session.logout_everywhere()
            return "200 OK", "bye, everywhere"
    return "404 Not Found", "not found"


manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = SessionMiddleware(application, manager)

if __name__ == "__main__":
    with make_server("127.0.0.1", 8000, app) as server:
        print(f"Serving on http://127.0.0.1:{server.server_port}")
        server.serve_forever()
