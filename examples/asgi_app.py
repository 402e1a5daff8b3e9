"""A cart, a login and a list of the user's sessions, as plain ASGI, without a framework.

    pip install lembro uvicorn
    uvicorn examples.asgi_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

import json
from datetime import timedelta

from lembro import MemoryStore, Session, SessionManager
from lembro.asgi import Receive, Scope, Send, SessionMiddleware


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    status, answer = await respond(scope["method"], scope["path"], scope["session"])
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def respond(method: str, path: str, session: Session) -> tuple[int, object]:
    match method, *path.strip("/").split("/"):
        case "GET", "me":
            return 200, {"user": session.user_id, "cart": session.get("cart", [])}
        case "POST", "cart", item:
            session.setdefault("cart", []).append(item)
            return 200, session["cart"]
        case "POST", "login", user:  # a real login takes a form and checks a password
            session.login(user)
            return 200, f"hello {user}"
        case "POST", "logout":
            session.logout()
            return 200, "bye"
        case _ if session.user_id is None:
            return 401, "log in first"
        case "GET", "sessions":
            mine = await session.auser_sessions()
            return 200, [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]
        case "POST", "logout-everywhere":
            session.logout_everywhere()
            return 200, "bye, everywhere"
    return 404, "not found"


manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = SessionMiddleware(application, manager)
