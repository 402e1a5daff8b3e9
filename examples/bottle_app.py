"""A cart, a login and a list of the user's sessions, with Bottle.

    pip install 'lembro[bottle]'
    python -m bottle --bind 127.0.0.1:8000 examples.bottle_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import bottle

from lembro import MemoryStore, SessionManager
from lembro.integrations.bottle import Lembro, get_session

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app: Any = bottle.Bottle()
app.install(Lembro(manager))


def as_json(value: object) -> str:
    """Return a value as JSON. Bottle itself makes JSON only of a dict."""
    bottle.response.content_type = "application/json"
    return json.dumps(value)


@app.get("/me")
def me() -> dict[str, object]:
    session = get_session()  # request.session, typed
    return {"user": session.user_id, "cart": session.get("cart", [])}


@app.post("/cart/<item>")
def add_to_cart(item: str) -> str:
    cart: list[str] = get_session().setdefault("cart", [])
    cart.append(item)
    return as_json(cart)


@app.post("/login/<user>")
def login(user: str) -> str:
    get_session().login(user)  # a real login takes a form and checks a password
    return as_json(f"hello {user}")


@app.get("/sessions")
def my_sessions() -> str:
    mine = get_session().user_sessions()  # answers 401 if nobody is logged in
    return as_json([{"name": s.handle, "age": s.age, "this one": s.current} for s in mine])


@app.post("/logout")
def logout() -> str:
    get_session().logout()
    return as_json("bye")


@app.post("/logout-everywhere")
def logout_everywhere() -> str:
    get_session().logout_everywhere()
    return as_json("bye, everywhere")
