"""Authlib's OAuth client, which keeps the state of a login in ``request.session``.

The test runs the whole authorization-code flow with PKCE against a small provider in this process.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from authlib.integrations.base_client import MismatchingStateError
from authlib.integrations.starlette_client import OAuth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from lembro import MemoryStore, SessionManager
from lembro.integrations.starlette import SessionMiddleware, get_session

HEIDI = {"sub": "248289", "name": "Heidi", "email": "heidi@example.org"}


class Provider:
    """A provider with one user, who always consents."""

    def __init__(self) -> None:
        self.challenges: dict[str, str] = {}
        self.app = Starlette(
            routes=[
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/userinfo", self.userinfo),
            ]
        )

    async def authorize(self, request: Request) -> Response:
        asked = request.query_params
        code = secrets.token_hex(8)
        self.challenges[code] = asked["code_challenge"]
        answer = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{answer}")

    async def token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        challenge = self.challenges.pop(form["code"][0], None)
        digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        if challenge != urlsafe_b64encode(digest).rstrip(b"=").decode():
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"access_token": "heidis", "token_type": "Bearer", "expires_in": 3600})

    async def userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer heidis"
        return JSONResponse(HEIDI)


class Shop:
    """An application with a login at the provider."""

    def __init__(self, provider: Provider) -> None:
        self.manager = SessionManager(MemoryStore())
        self.provider = provider
        self.oauth = OAuth()
        self.oauth.register(
            "heimdall",
            client_id="shop",
            client_secret="s3cret",
            authorize_url="http://provider/authorize",
            access_token_url="http://provider/token",
            userinfo_endpoint="http://provider/userinfo",
            client_kwargs={
                "scope": "profile",
                "code_challenge_method": "S256",
                "transport": httpx2.ASGITransport(provider.app),
            },
        )
        self.app = Starlette(
            routes=[
                Route("/cart", self.cart),
                Route("/login", self.login),
                Route("/callback", self.callback),
                Route("/me", self.me),
            ],
            middleware=[Middleware(SessionMiddleware, self.manager)],
        )

    def browser(self) -> TestClient:
        return TestClient(self.app, base_url="https://shop", follow_redirects=False)

    async def cart(self, request: Request) -> Response:
        request.session.setdefault("cart", []).append("book")
        return Response()

    async def login(self, request: Request) -> Response:
        redirect: Response = await self.oauth.heimdall.authorize_redirect(
            request, request.url_for("callback")
        )
        return redirect

    async def callback(self, request: Request) -> Response:
        token = await self.oauth.heimdall.authorize_access_token(request)
        user = await self.oauth.heimdall.userinfo(token=token)
        session = get_session(request)
        session.login(user["sub"])
        session["user"] = user  # Authlib's UserInfo, a dict
        return RedirectResponse("/me")

    async def me(self, request: Request) -> Response:
        return JSONResponse(dict(request.session))


@pytest.fixture
def shop() -> Shop:
    return Shop(Provider())


def to_the_provider_and_back(shop: Shop, browser: TestClient) -> str:
    """Begin a login. Return the path to which the provider redirects the browser."""
    there = browser.get("/login")
    assert there.status_code == 302
    back = TestClient(shop.provider.app, base_url="http://provider", follow_redirects=False).get(
        there.headers["location"]
    )
    url = urlsplit(back.headers["location"])
    assert (url.scheme, url.netloc) == ("https", "shop")
    return f"{url.path}?{url.query}"


def states_in(data: dict[str, Any]) -> list[str]:
    return [key for key in data if key.startswith("_state_")]


def test_the_authorization_code_flow_logs_in(shop: Shop) -> None:
    browser = shop.browser()
    browser.get("/cart")
    before = browser.cookies["__Host-sid"]

    callback = to_the_provider_and_back(shop, browser)
    assert len(states_in(browser.get("/me").json())) == 1

    response = browser.get(callback)
    assert response.headers["location"] == "/me"
    assert browser.get("/me").json() == {"cart": ["book"], "user": HEIDI}
    assert browser.cookies["__Host-sid"] != before

    [session] = shop.manager.user_sessions(HEIDI["sub"])
    assert type(session.data["user"]) is dict
    assert shop.manager.length() == 1


def test_a_login_that_was_started_twice_keeps_one_state(shop: Shop) -> None:
    browser = shop.browser()
    to_the_provider_and_back(shop, browser)
    callback = to_the_provider_and_back(shop, browser)
    assert len(states_in(browser.get("/me").json())) == 1
    assert browser.get(callback).headers["location"] == "/me"
    assert states_in(browser.get("/me").json()) == []


def test_a_callback_works_once(shop: Shop) -> None:
    browser = shop.browser()
    callback = to_the_provider_and_back(shop, browser)
    browser.get(callback)
    with pytest.raises(MismatchingStateError):
        browser.get(callback)
    assert browser.get("/me").json() == {"user": HEIDI}


def test_a_callback_in_another_browser_is_refused(shop: Shop) -> None:
    callback = to_the_provider_and_back(shop, shop.browser())
    victim = shop.browser()
    with pytest.raises(MismatchingStateError):
        victim.get(callback)
    assert victim.get("/me").json() == {}
    assert shop.manager.user_sessions(HEIDI["sub"]) == []
