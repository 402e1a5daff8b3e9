"""A cart, a login and a list of the user's sessions, with Flask.

    pip install 'lembro[flask]'
    flask --app examples.flask_app run

Then open http://127.0.0.1:5000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from lembro import MemoryStore, SessionManager
from lembro.integrations.flask import Lembro, session

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = Flask(__name__)
Lembro(app, manager)


@app.get("/me")
def me() -> ResponseReturnValue:
    return {"user": session.user_id, "cart": session.get("cart", [])}


@app.post("/cart/<item>")
def add_to_cart(item: str) -> ResponseReturnValue:
    session.setdefault("cart", []).append(item)
    return jsonify(session["cart"])


@app.post("/login/<user>")  # a real login takes a form and checks a password
def login(user: str) -> ResponseReturnValue:
    session.login(user)
    return f"hello {user}"


@app.get("/sessions")
def my_sessions() -> ResponseReturnValue:
    mine = session.user_sessions()  # answers 401 if nobody is logged in
    return [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]


@app.post("/logout")
def logout() -> ResponseReturnValue:
    session.logout()
    return "bye"


@app.post("/logout-everywhere")
def logout_everywhere() -> ResponseReturnValue:
    session.logout_everywhere()
    return "bye, everywhere"
