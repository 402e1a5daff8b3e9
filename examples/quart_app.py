"""A cart, a login and a list of the user's sessions, with Quart.

    pip install 'lembro[quart]'
    hypercorn examples.quart_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from quart import Quart

from lembro import MemoryStore, SessionManager
from lembro.integrations.quart import Lembro, session

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = Quart(__name__)
Lembro(app, manager)


@app.get("/me")
async def me() -> dict[str, Any]:
    return {"user": session.user_id, "cart": session.get("cart", [])}


@app.post("/cart/<item>")
async def add_to_cart(item: str) -> list[str]:
    cart: list[str] = session.setdefault("cart", [])
    cart.append(item)
    return cart


@app.post("/login/<user>")  # a real login takes a form and checks a password
async def login(user: str) -> str:
    session.login(user)
    return f"hello {user}"


@app.get("/sessions")
async def my_sessions() -> list[dict[str, Any]]:
    mine = await session.auser_sessions()  # answers 401 if nobody is logged in
    return [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]


@app.post("/logout")
async def logout() -> str:
    session.logout()
    return "bye"


@app.post("/logout-everywhere")
async def logout_everywhere() -> str:
    session.logout_everywhere()
    return "bye, everywhere"
