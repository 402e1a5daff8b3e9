"""The same shop with Flask.

    pip install 'lembro[flask]' gunicorn
    gunicorn --threads 16 flask_app:app

The pages of docs/deploy/ use it.
"""

from __future__ import annotations

from flask import Flask, redirect, url_for
from flask.typing import ResponseReturnValue
from werkzeug.middleware.proxy_fix import ProxyFix

from lembro import SessionManager
from lembro.integrations.flask import Lembro, session

manager = SessionManager(store_address=True)  # LEMBRO_STORE names its store
app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_prefix=1)  # type: ignore[method-assign]
Lembro(app, manager)


@app.get("/healthz")
def healthz() -> str:
    """Respond with 200 if this process works."""
    return "ok"


@app.get("/readyz")
def readyz() -> str:
    """Respond with 200 if this process can use its sessions. If not, lembro responds with 503."""
    manager.ping()
    return "ok"


@app.post("/login/<user>")  # a real login takes a form and checks a password
def login(user: str) -> ResponseReturnValue:
    session.login(user)
    return redirect(url_for("me"), 303)


@app.get("/me")
def me() -> dict[str, object]:
    if session.user_id is None:
        return {"user": None}
    sessions = session.user_sessions()
    return {"user": session.user_id, "addresses": [each.address for each in sessions]}
