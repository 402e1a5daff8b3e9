"""Authlib's OAuth client for Flask, which keeps the state of a login in ``flask.session``.

The test runs the whole authorization-code flow with PKCE against a small provider on this machine.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import flask
import httpx
import pytest
from authlib.integrations.base_client import MismatchingStateError
from authlib.integrations.flask_client import OAuth
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from lembro import MemoryStore, SessionManager
from lembro.integrations.flask import Lembro, session

HEIDI = {"sub": "248289", "name": "Heidi", "email": "heidi@example.org"}


def provider() -> Flask:
    """A provider with one user, who always consents."""
    app = Flask("provider")
    challenges: dict[str, str] = {}

    @app.get("/authorize")
    def authorize() -> Any:
        asked = flask.request.args
        code = secrets.token_hex(8)
        challenges[code] = asked["code_challenge"]
        answer = urlencode({"code": code, "state": asked["state"]})
        return flask.redirect(f"{asked['redirect_uri']}?{answer}")

    @app.post("/token")
    def token() -> Any:
        form = flask.request.form
        challenge = challenges.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if challenge != urlsafe_b64encode(digest).rstrip(b"=").decode():
            return {"error": "invalid_grant"}, 400
        return {"access_token": "heidis", "token_type": "Bearer", "expires_in": 3600}

    @app.get("/userinfo")
    def userinfo() -> Any:
        assert flask.request.headers["Authorization"] == "Bearer heidis"
        return HEIDI

    return app


@pytest.fixture(scope="module")
def provider_url() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, provider())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(60)
    server.server_close()


class Shop:
    """An application with a login at the provider."""

    def __init__(self, url: str) -> None:
        self.manager = SessionManager(MemoryStore())
        self.app = app = Flask(__name__)
        app.testing = True
        Lembro(app, self.manager)
        oauth: Any = OAuth(app)
        oauth.register(
            "heimdall",
            client_id="shop",
            client_secret="s3cret",
            authorize_url=f"{url}/authorize",
            access_token_url=f"{url}/token",
            userinfo_endpoint=f"{url}/userinfo",
            client_kwargs={"scope": "profile", "code_challenge_method": "S256"},
        )

        @app.get("/cart")
        def cart() -> str:
            flask.session.setdefault("cart", []).append("book")
            return "ok"

        @app.get("/login")
        def login() -> Any:
            return oauth.heimdall.authorize_redirect(flask.url_for("callback", _external=True))

        @app.get("/callback")
        def callback() -> Any:
            token = oauth.heimdall.authorize_access_token()
            user = oauth.heimdall.userinfo(token=token)
            session.login(user["sub"])
            session["user"] = user  # Authlib's UserInfo, a dict
            return flask.redirect("/me")

        @app.get("/me")
        def me() -> dict[str, Any]:
            return dict(session)


@pytest.fixture
def shop(provider_url: str) -> Shop:
    return Shop(provider_url)


def to_the_provider_and_back(browser: FlaskClient, url: str) -> str:
    """Begin a login. Return the path to which the provider redirects the browser."""
    there = browser.get("/login").headers["Location"]
    assert there.startswith(f"{url}/authorize")
    back = urlsplit(httpx.get(there).headers["Location"])
    return f"{back.path}?{back.query}"


def data_of(browser: FlaskClient) -> dict[str, Any]:
    data: dict[str, Any] = browser.get("/me").get_json()
    return data


def states_in(data: dict[str, Any]) -> list[str]:
    return [key for key in data if key.startswith("_state_")]


def test_the_authorization_code_flow_logs_in(shop: Shop, provider_url: str) -> None:
    browser = shop.app.test_client()
    browser.get("/cart")
    before = browser.get_cookie("sid")

    callback = to_the_provider_and_back(browser, provider_url)
    assert len(states_in(data_of(browser))) == 1

    assert browser.get(callback).headers["Location"] == "/me"
    assert data_of(browser) == {"cart": ["book"], "user": HEIDI}
    assert browser.get_cookie("sid") != before

    [info] = shop.manager.user_sessions(HEIDI["sub"])
    assert type(info.data["user"]) is dict
    assert shop.manager.length() == 1


def test_a_callback_works_once_and_in_one_browser(shop: Shop, provider_url: str) -> None:
    browser, victim = shop.app.test_client(), shop.app.test_client()
    callback = to_the_provider_and_back(browser, provider_url)
    with pytest.raises(MismatchingStateError):
        victim.get(callback)
    browser.get(callback)
    with pytest.raises(MismatchingStateError):
        browser.get(callback)
    assert data_of(browser) == {"user": HEIDI}
    assert data_of(victim) == {}
