"""FastAPI: ``WebSessionDep`` in every place for a dependency, and in every kind of response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.websockets import WebSocketDisconnect

from lembro import (
    ConfigError,
    LoginRequired,
    MemoryStore,
    Session,
    SessionCommitted,
    SessionGone,
    SessionManager,
)
from lembro.integrations.fastapi import (
    SessionMiddleware,
    WebSessionDep,
    current_session,
    get_session,
)


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture
def app(manager: SessionManager) -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.post("/set")
    async def set_values(session: WebSessionDep, values: dict[str, Any]) -> None:
        session.update(values)

    @app.get("/get")
    async def get_values(session: WebSessionDep) -> dict[str, Any]:
        return dict(session)

    @app.post("/login/{user}")
    async def login(user: str, session: WebSessionDep) -> None:
        session.login(user)

    @app.post("/logout")
    async def logout(session: WebSessionDep) -> None:
        session.logout()

    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def stored(client: TestClient) -> Any:
    return client.get("/get").json()


def the_user(session: WebSessionDep) -> str:
    if session.user_id is None:
        raise HTTPException(401)
    return session.user_id


async def count_visits(session: WebSessionDep) -> None:
    session["visits"] = session.get("visits", 0) + 1


# -- in signatures ---------------------------------------------------------------------------------


def test_request_session_and_the_dependency_are_the_same_object(
    app: FastAPI, client: TestClient
) -> None:
    @app.get("/same")
    def same(
        request: Request, session: WebSessionDep, other: Annotated[Session, Depends(get_session)]
    ) -> bool:
        return request.session is session is other

    assert client.get("/same").json() is True


def test_an_endpoint_without_a_response_model_may_return_the_session(
    app: FastAPI, client: TestClient
) -> None:
    @app.get("/whole", response_model=None)
    def whole(session: WebSessionDep) -> Any:
        return session

    @app.get("/part", response_model=None)
    def part(session: WebSessionDep) -> Any:
        return {"session": session}

    client.post("/set", json={"a": [1]})
    assert client.get("/whole").json() == {"a": [1]}
    assert client.get("/part").json() == {"session": {"a": [1]}}


def test_the_dependency_is_no_parameter_of_the_api(app: FastAPI, client: TestClient) -> None:
    operations = client.get("/openapi.json").json()["paths"]
    assert "parameters" not in operations["/get"]["get"]
    assert "requestBody" not in operations["/get"]["get"]


def test_a_plain_function_runs_in_a_thread(app: FastAPI, client: TestClient) -> None:
    @app.post("/count")
    def count(session: WebSessionDep) -> int:
        session["n"] = session.get("n", 0) + 1
        session.save()
        n: int = session["n"]
        return n

    assert [client.post("/count").json() for _ in range(3)] == [1, 2, 3]


def test_nested_dependencies_share_the_session(app: FastAPI, client: TestClient) -> None:
    @app.get("/me", dependencies=[Depends(count_visits)])
    def me(user: Annotated[str, Depends(the_user)]) -> str:
        return user

    assert client.get("/me").status_code == 401
    client.post("/login/heidi")
    assert client.get("/me").json() == "heidi"
    assert stored(client) == {"visits": 2}  # a 4xx is a normal response and keeps the changes


def test_the_dependency_can_be_overridden(app: FastAPI, client: TestClient) -> None:
    elsewhere = SessionManager(MemoryStore())
    testing = elsewhere.create({"a": "test"})
    app.dependency_overrides[current_session] = lambda: elsewhere.load(testing)
    assert stored(client) == {"a": "test"}


def test_without_a_middleware_the_error_names_the_one_of_fastapi() -> None:
    app = FastAPI()

    @app.get("/dependency")
    async def by_dependency(session: WebSessionDep) -> None: ...

    @app.get("/call")
    async def by_call(request: Request) -> None:
        get_session(request)

    for path in ("/dependency", "/call"):
        with pytest.raises(ConfigError, match=r"lembro\.integrations\.fastapi\.SessionMiddleware"):
            TestClient(app).get(path)


def test_a_recent_login_can_be_required(app: FastAPI) -> None:
    client = TestClient(app)

    @app.exception_handler(LoginRequired)
    async def to_login(request: Request, error: LoginRequired) -> PlainTextResponse:
        return PlainTextResponse(str(error), 401)

    @app.delete("/account")
    def delete(session: WebSessionDep) -> str:
        session.require_recent(60)
        return "deleted"

    assert client.delete("/account").text.startswith("a login within the last 60 s is required")
    client.post("/login/heidi")
    assert client.delete("/account").json() == "deleted"


# -- dependencies with yield -----------------------------------------------------------------------


def test_yield_changes_before_the_response_are_kept(app: FastAPI, client: TestClient) -> None:
    async def unit(session: WebSessionDep) -> AsyncIterator[None]:
        session["before"] = 1
        yield

    @app.get("/unit", dependencies=[Depends(unit)])
    def endpoint() -> None: ...

    client.get("/unit")
    assert stored(client) == {"before": 1}


def test_yield_with_function_scope_ends_before_the_response(
    app: FastAPI, client: TestClient
) -> None:
    async def unit(session: WebSessionDep) -> AsyncIterator[None]:
        yield
        session["after"] = 1

    @app.get("/unit", dependencies=[Depends(unit, scope="function")])
    def endpoint() -> None: ...

    client.get("/unit")
    assert stored(client) == {"after": 1}


def test_yield_changes_after_the_response_raise(app: FastAPI, client: TestClient) -> None:
    async def unit(session: WebSessionDep) -> AsyncIterator[None]:
        yield
        session["after"] = 1

    @app.get("/unit", dependencies=[Depends(unit)])
    def endpoint() -> None: ...

    client.post("/set", json={"a": 1})
    with pytest.raises(SessionCommitted, match=r"session\.edit\(\)"):
        client.get("/unit")
    assert stored(client) == {"a": 1}


def test_yield_edits_after_the_response_are_stored(app: FastAPI, client: TestClient) -> None:
    async def unit(session: WebSessionDep) -> AsyncIterator[None]:
        yield
        async with session.edit():
            session["after"] = 1

    @app.get("/unit", dependencies=[Depends(unit)])
    def endpoint() -> None: ...

    client.post("/set", json={"a": 1})
    client.get("/unit")
    assert stored(client) == {"a": 1, "after": 1}


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kept"), [(200, True), (302, True), (404, True), (503, False)])
def test_an_http_exception_keeps_changes_unless_it_is_a_5xx(
    app: FastAPI, client: TestClient, status: int, kept: bool
) -> None:
    @app.get("/raises")
    def raises(session: WebSessionDep) -> None:
        session["a"] = 1
        raise HTTPException(status, headers={"location": "/get"})

    client.get("/raises", follow_redirects=False)
    assert stored(client) == ({"a": 1} if kept else {})


def test_a_value_that_cannot_be_stored_is_logged_with_its_path(
    app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/nested")
    def nested(session: WebSessionDep) -> None:
        session["cart"]["at"] = object()

    client.post("/set", json={"cart": {}})
    response = client.get("/nested")
    assert response.status_code == 500
    assert "cart.at" in caplog.text
    assert stored(client) == {"cart": {}}


@pytest.mark.parametrize("looked", [True, False])
def test_an_error_page_of_the_application_reads_the_session(app: FastAPI, looked: bool) -> None:
    # It runs outside of every middleware, so a write could not be stored. It raises.
    raised: list[type[Exception]] = []

    @app.exception_handler(Exception)
    async def page(request: Request, error: Exception) -> PlainTextResponse:
        session = get_session(request)
        user = session.user_id
        try:
            session["failed"] = True
        except SessionCommitted as refused:
            raised.append(type(refused))
        return PlainTextResponse(f"sorry, {user}", 500)

    @app.get("/fails")
    def fails(session: WebSessionDep) -> None:
        if looked:
            assert session.user_id == "heidi"
        raise RuntimeError

    client = TestClient(app, raise_server_exceptions=False)
    client.post("/login/heidi")
    assert client.get("/fails").text == "sorry, heidi"
    assert raised == [SessionCommitted]
    assert stored(client) == {}


# -- after the response has begun ------------------------------------------------------------------


def test_a_background_task_reads_and_edits(app: FastAPI, client: TestClient) -> None:
    seen: list[str] = []

    async def work(session: Session) -> None:
        seen.append(session["name"])
        with pytest.raises(SessionCommitted):
            session["done"] = True
        async with session.edit():
            session["done"] = True

    def plain_work(session: Session) -> None:
        with session.edit():
            session["plain"] = True

    @app.get("/work")
    def start(session: WebSessionDep, tasks: BackgroundTasks) -> None:
        tasks.add_task(work, session)
        tasks.add_task(plain_work, session)

    client.post("/set", json={"name": "heidi"})
    client.get("/work")
    assert seen == ["heidi"]
    assert stored(client) == {"name": "heidi", "done": True, "plain": True}


def test_a_nested_change_in_a_background_task_is_logged(
    app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    def work(session: Session) -> None:
        session["cart"].append(1)

    @app.get("/work")
    def start(session: WebSessionDep, tasks: BackgroundTasks) -> None:
        assert session["cart"] == []
        tasks.add_task(work, session)

    client.post("/set", json={"cart": []})
    with caplog.at_level(logging.ERROR, "lembro"):
        client.get("/work")
    assert "changed after the response had begun" in caplog.text
    assert stored(client) == {"cart": []}


def test_a_background_task_of_an_ended_session_raises(app: FastAPI, client: TestClient) -> None:
    raised: list[type[Exception]] = []

    async def work(session: Session) -> None:
        # in another request
        await SessionManager(session._transport.runner.store).arevoke_user("heidi")
        try:
            async with session.edit():
                session["done"] = True
        except SessionGone as error:
            raised.append(type(error))

    @app.get("/work")
    def start(session: WebSessionDep, tasks: BackgroundTasks) -> None:
        assert session.user_id == "heidi"
        tasks.add_task(work, session)

    client.post("/login/heidi")
    client.get("/work")
    assert raised == [SessionGone]
    assert stored(client) == {}


def test_a_stream_reads_and_edits(app: FastAPI, client: TestClient) -> None:
    async def lines(session: Session) -> AsyncIterator[str]:
        yield session["name"]
        async with session.edit():
            session["lines"] = 1
        yield str(session["lines"])

    @app.get("/stream")
    async def stream(session: WebSessionDep) -> StreamingResponse:
        assert session
        return StreamingResponse(lines(session))

    client.post("/set", json={"name": "heidi"})
    response = client.get("/stream")
    assert response.text == "heidi1"
    assert stored(client) == {"name": "heidi", "lines": 1}


def test_a_stream_without_a_session_cannot_create_one(app: FastAPI, client: TestClient) -> None:
    async def lines(session: Session) -> AsyncIterator[str]:
        yield "begun"
        async with session.edit():
            session["lines"] = 1

    @app.get("/stream")
    async def stream(session: WebSessionDep) -> StreamingResponse:
        assert not session
        return StreamingResponse(lines(session))

    with pytest.raises(SessionCommitted, match="no cookie can be set"):
        client.get("/stream")


def test_server_sent_events_edit_the_session_for_each_event(
    app: FastAPI, client: TestClient
) -> None:
    sse = pytest.importorskip("fastapi.sse")  # old versions do not have it

    @app.get("/events", response_class=sse.EventSourceResponse)
    async def events(session: WebSessionDep) -> AsyncIterator[dict[str, int]]:
        for number in range(3):
            async with session.edit():
                session["seen"] = number
            yield {"number": number}

    client.post("/set", json={"name": "heidi"})
    response = client.get("/events")
    assert response.text.count("data:") == 3
    assert stored(client) == {"name": "heidi", "seen": 2}


# -- WebSockets ------------------------------------------------------------------------------------


def test_a_websocket_reads_and_edits(app: FastAPI, client: TestClient) -> None:
    @app.websocket("/ws")
    async def ws(websocket: WebSocket, session: WebSessionDep) -> None:
        await websocket.accept()
        await websocket.send_json(dict(session))
        async with session.edit():
            session["said"] = await websocket.receive_text()
        await websocket.send_json(dict(session))
        await websocket.close()

    client.post("/set", json={"name": "heidi"})
    with client.websocket_connect("/ws") as websocket:
        assert websocket.receive_json() == {"name": "heidi"}
        websocket.send_text("hello")
        assert websocket.receive_json() == {"name": "heidi", "said": "hello"}
    assert stored(client) == {"name": "heidi", "said": "hello"}


def test_a_websocket_sets_the_cookie_when_it_is_accepted(app: FastAPI, client: TestClient) -> None:
    @app.websocket("/ws")
    async def ws(websocket: WebSocket, session: WebSessionDep) -> None:
        session["before"] = 1
        await websocket.accept()
        await websocket.close()

    with client.websocket_connect("/ws") as websocket:
        headers: dict[bytes, bytes] = dict(websocket.extra_headers or [])
        assert headers[b"set-cookie"].startswith(b"sid=")


def test_a_websocket_whose_session_ends_elsewhere_raises(app: FastAPI, client: TestClient) -> None:
    @app.websocket("/ws")
    async def ws(websocket: WebSocket, session: WebSessionDep) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(str(session.user_id))
                await websocket.receive_text()
        except SessionGone:
            await websocket.close(4401)

    client.post("/login/heidi")
    with client.websocket_connect("/ws") as websocket:
        assert websocket.receive_text() == "heidi"
        client.post("/logout")
        websocket.send_text("next")
        with pytest.raises(WebSocketDisconnect) as closed:
            websocket.receive_text()
    assert closed.value.code == 4401


def test_a_websocket_may_be_refused(app: FastAPI, client: TestClient) -> None:
    @app.websocket("/ws")
    async def ws(websocket: WebSocket, session: WebSessionDep) -> None:
        if session.user_id is None:
            await websocket.close(4401)
            return
        await websocket.accept()
        await websocket.close()

    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/ws"):
        pass
    assert closed.value.code == 4401
    client.post("/login/heidi")
    with client.websocket_connect("/ws"):
        pass


# -- with other applications and middlewares -------------------------------------------------------


def test_a_mounted_application_shares_the_session(app: FastAPI, client: TestClient) -> None:
    sub = FastAPI()

    @sub.get("/visit")
    def visit(session: WebSessionDep) -> None:
        session["sub"] = True

    app.mount("/sub", sub)
    client.post("/set", json={"a": 1})
    client.get("/sub/visit")
    assert stored(client) == {"a": 1, "sub": True}


def test_http_middleware_around_and_inside_sees_the_session(manager: SessionManager) -> None:
    app = FastAPI()

    @app.middleware("http")  # inside: it was added before lembro's
    async def within(request: Request, call_next: Any) -> Any:
        request.session["seen"] = request.session.get("seen", 0) + 1
        return await call_next(request)

    app.add_middleware(SessionMiddleware, manager)

    async def around(request: Request, call_next: Any) -> Any:
        assert "session" not in request.scope
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=around)

    @app.get("/")
    def index(session: WebSessionDep) -> int:
        seen: int = session["seen"]
        return seen

    client = TestClient(app)
    assert [client.get("/").json() for _ in range(2)] == [1, 2]


def test_parallel_requests_keep_each_others_keys(app: FastAPI, manager: SessionManager) -> None:
    both_are_in = asyncio.Barrier(2)

    @app.post("/slow/{key}")
    async def slow(key: str, session: WebSessionDep) -> None:
        session.setdefault("all", []).append(key)
        session[key] = True
        await asyncio.wait_for(both_are_in.wait(), 60)

    async def run() -> dict[str, Any]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.post("/set", json={"all": []})
            await asyncio.gather(client.post("/slow/a"), client.post("/slow/b"))
            data: dict[str, Any] = (await client.get("/get")).json()
            return data

    data = asyncio.run(run())
    assert data.pop("all") in (["a", "b"], ["b", "a"])
    assert data == {"a": True, "b": True}
    assert manager.length() == 1
