"""The dashboard in applications of FastAPI and Flask, mounted as in docs/dashboard.md."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from lembro import SessionManager
from lembro.dashboard import ASGIDashboard, WSGIDashboard
from lembro.integrations.fastapi import SessionMiddleware, WebSessionDep
from lembro.integrations.flask import Lembro, session

ADMIN = "ada"
HOSTILE = "<script>document.title='hacked'</script>"

manager = SessionManager(os.environ["LEMBRO_TEST_STORE"], store_address=True)

# -- FastAPI ---------------------------------------------------------------------------------------

fastapi = FastAPI()


def fastapi_allows(scope: Any) -> str | None:
    return ADMIN if scope["session"].user_id == ADMIN else None


@fastapi.get("/login/{user:path}")
def fastapi_login(user: str, request_session: WebSessionDep) -> dict[str, str]:
    request_session["cart"] = ["<b>bread</b>"]
    request_session["token"] = "s3cret"
    request_session.login(user)
    return {}


@fastapi.get("/")
def fastapi_home(request_session: WebSessionDep) -> dict[str, str | None]:
    return {"user": request_session.user_id}


fastapi.mount("/sessions", ASGIDashboard(manager, allow=fastapi_allows, show=["cart"]))
fastapi.add_middleware(SessionMiddleware, manager)

# -- Flask -----------------------------------------------------------------------------------------

flask = Flask(__name__)
Lembro(flask, manager)


def flask_allows(environ: Any) -> str | None:
    with flask.request_context(environ):
        return ADMIN if session.user_id == ADMIN else None


@flask.get("/login/<path:user>")
def flask_login(user: str) -> dict[str, str]:
    session["cart"] = ["<b>bread</b>"]
    session["token"] = "s3cret"
    session.login(user)
    return {}


@flask.get("/")
def flask_home() -> dict[str, str | None]:
    return {"user": session.user_id}


dashboard = WSGIDashboard(manager, allow=flask_allows, show=["cart"])
flask.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
    flask.wsgi_app, {"/sessions": dashboard}
)
