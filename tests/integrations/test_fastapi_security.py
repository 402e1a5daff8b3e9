"""FastAPI: the session in OpenAPI, and ``UserDep``."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.responses import RedirectResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from lembro import CookieOptions, LoginRequired, MemoryStore, SessionManager
from lembro.integrations.fastapi import (
    SessionData,
    SessionMiddleware,
    UserDep,
    WebSessionDep,
    current_user,
)


def app_with(**cookie: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(
        SessionMiddleware, SessionManager(MemoryStore(), cookie=CookieOptions(**cookie))
    )

    @app.get("/public")
    def public() -> None: ...

    @app.get("/visits")
    def visits(session: WebSessionDep) -> None: ...

    @app.get("/words")
    def words(words: Annotated[list[str], SessionData("words", list[str])]) -> None: ...

    @app.get("/me")
    def me(user: UserDep) -> str:
        return user

    @app.post("/login/{user}")
    def login(user: str, session: WebSessionDep) -> None:
        session.login(user)

    return app


def openapi(app: FastAPI, path: str = "/openapi.json") -> Any:
    return TestClient(app).get(path).json()


def scheme_in(document: Any) -> Any:
    return document["components"]["securitySchemes"]["session"]


# -- OpenAPI ---------------------------------------------------------------------------------------


def test_openapi_lists_the_operations_with_a_session() -> None:
    paths = openapi(app_with())["paths"]
    assert "security" not in paths["/public"]["get"]
    for path in ("/visits", "/words", "/me"):
        assert paths[path]["get"]["security"] == [{"session": []}]
        assert "parameters" not in paths[path]["get"]


def test_openapi_names_the_cookie_of_https() -> None:
    scheme = scheme_in(openapi(app_with()))
    assert scheme.pop("description").endswith("Over plain http its name is sid.")
    assert scheme == {"type": "apiKey", "in": "cookie", "name": "__Host-sid"}


@pytest.mark.parametrize(
    ("cookie", "name"),
    [
        ({"name": "shop", "prefix": None}, "shop"),
        ({"secure": False}, "sid"),
        ({"secure": True}, "__Host-sid"),
        ({"secure": True, "path": "/app"}, "__Secure-sid"),
    ],
)
def test_openapi_names_the_configured_cookie(cookie: dict[str, Any], name: str) -> None:
    scheme = scheme_in(openapi(app_with(**cookie)))
    assert scheme["name"] == name
    assert "plain http" not in scheme["description"]


def test_each_application_names_its_own_cookie() -> None:
    one, two, within = app_with(name="one"), app_with(name="two"), FastAPI()
    one.mount("/within", within)

    @within.get("/visits")
    def visits(session: WebSessionDep) -> None: ...

    assert scheme_in(openapi(two))["name"] == "__Host-two"
    assert scheme_in(openapi(one))["name"] == "__Host-one"
    assert scheme_in(openapi(one, "/within/openapi.json"))["name"] == "__Host-one"


def test_without_a_request_the_default_name_is_used() -> None:
    assert scheme_in(app_with(name="shop").openapi())["name"] == "__Host-sid"


# -- a login is required ---------------------------------------------------------------------------


def test_a_visitor_without_a_login_gets_a_401() -> None:
    client = TestClient(app_with())
    answer = client.get("/me")
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Not logged in"}
    # RFC 9110, 15.5.2 requires the header for a 401
    assert answer.headers["www-authenticate"] == "Cookie"
    assert answer.headers["vary"] == "Cookie"
    assert not answer.cookies


def test_a_logged_in_user_is_returned() -> None:
    client = TestClient(app_with())
    client.post("/login/heidi")
    assert client.get("/me").json() == "heidi"


def test_the_application_may_respond_to_login_required() -> None:
    app = app_with()

    @app.exception_handler(LoginRequired)
    async def to_login(request: Request, error: LoginRequired) -> RedirectResponse:
        return RedirectResponse("/login", 303)

    answer = TestClient(app).get("/me", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_router_may_require_a_login() -> None:
    app = app_with()
    router = APIRouter(prefix="/account", dependencies=[Depends(current_user)])

    @router.get("/orders")
    def orders() -> list[str]:
        return ["bread"]

    app.include_router(router)
    client = TestClient(app)
    assert client.get("/account/orders").status_code == 401
    client.post("/login/heidi")
    assert client.get("/account/orders").json() == ["bread"]
    assert "security" in openapi(app)["paths"]["/account/orders"]["get"]


def test_a_websocket_is_refused() -> None:
    app = app_with()

    @app.websocket("/ws")
    async def ws(socket: WebSocket, user: UserDep) -> None:
        await socket.accept()
        await socket.send_text(user)
        await socket.close()

    client = TestClient(app)
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws"):
        pass
    assert refused.value.status_code == 401
    client.post("/login/heidi")
    with client.websocket_connect("/ws") as socket:
        assert socket.receive_text() == "heidi"


def test_a_test_may_override_the_user() -> None:
    app = app_with()
    app.dependency_overrides[current_user] = lambda: "heidi"
    assert TestClient(app).get("/me").json() == "heidi"
