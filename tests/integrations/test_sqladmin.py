"""sqladmin: its login and its flash messages, with lembro's session.

lembro replaces the session middleware that sqladmin installs by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqladmin import Admin, Flash, ModelView, action
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from lembro import MemoryStore, SessionManager
from lembro.integrations.starlette import SessionMiddleware, get_session


class Base(DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class BookAdmin(ModelView, model=Book):
    column_list = [Book.id, Book.title]  # noqa: RUF012 - as sqladmin documents it

    @action(name="lend")
    async def lend(self, request: Request) -> Response:
        Flash.success(request, f"lent {request.query_params['pks']}")
        return Response()


class AdminAuth(AuthenticationBackend):
    """The backend of sqladmin's documentation, with another middleware."""

    def __init__(self, manager: SessionManager) -> None:
        self.middlewares = [Middleware(SessionMiddleware, manager)]

    async def login(self, request: Request) -> bool:
        form = await request.form()
        if form["password"] != "open sesame":
            return False
        get_session(request).login(str(form["username"]))
        return True

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> bool:
        return get_session(request).user_id is not None


def whoami(request: Request) -> Response:
    return JSONResponse(get_session(request).user_id)


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture(params=["in the admin", "in both"])
def client(request: pytest.FixtureRequest, manager: SessionManager) -> Iterator[TestClient]:
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    outer = [Middleware(SessionMiddleware, manager)] if request.param == "in both" else []
    app = Starlette(routes=[Route("/whoami", whoami)] if outer else [], middleware=outer)
    admin = Admin(app, engine, authentication_backend=AdminAuth(manager))
    admin.add_view(BookAdmin)
    with TestClient(app) as client:
        yield client
    engine.dispose()


def log_in(client: TestClient, password: str = "open sesame") -> int:
    form = {"username": "heidi", "password": password}
    return client.post("/admin/login", data=form).status_code


def messages(client: TestClient) -> list[str]:
    page = client.get("/admin/book/list").text
    return re.findall(r'<div class="toast-body">(.*?)</div>', page)


def test_the_admin_requires_a_login(client: TestClient, manager: SessionManager) -> None:
    assert client.get("/admin/").url.path == "/admin/login"
    assert log_in(client, "guess") == 400
    assert manager.length() == 0
    assert log_in(client) == 200
    assert client.get("/admin/book/list").url.path == "/admin/book/list"
    assert len(manager.user_sessions("heidi")) == 1


def test_logout_ends_the_session(client: TestClient, manager: SessionManager) -> None:
    log_in(client)
    client.get("/admin/logout")
    assert client.get("/admin/").url.path == "/admin/login"
    assert manager.length() == 0
    assert "sid" not in client.cookies


def test_a_revoked_user_is_logged_out(client: TestClient, manager: SessionManager) -> None:
    log_in(client)
    manager.revoke_user("heidi")
    assert client.get("/admin/").url.path == "/admin/login"


def test_the_second_flash_message_is_kept(client: TestClient) -> None:
    # sqladmin appends to the list in the session, which Starlette's own session does not notice.
    log_in(client)
    client.get("/admin/book/action/lend?pks=1")
    client.get("/admin/book/action/lend?pks=2")
    assert messages(client) == ["lent 1", "lent 2"]
    assert messages(client) == []


def test_a_record_is_created(client: TestClient) -> None:
    log_in(client)
    response = client.post("/admin/book/create", data={"title": "Momo", "save": "Save"})
    assert response.status_code == 200
    assert "Momo" in client.get("/admin/book/list").text


@pytest.mark.parametrize("client", ["in both"], indirect=True)
def test_the_application_around_the_admin_shares_the_session(client: TestClient) -> None:
    log_in(client)
    assert client.get("/whoami").json() == "heidi"


def test_an_unchanged_admin_keeps_its_own_session(
    manager: SessionManager,
) -> None:
    class Plain(AuthenticationBackend):
        async def authenticate(self, request: Request) -> Response | bool:
            request.session["theirs"] = 1
            return RedirectResponse("/ours")

    def ours(request: Request) -> Response:
        request.session["ours"] = 1
        return JSONResponse(dict(request.session))

    engine = create_engine("sqlite://")
    app = Starlette(
        routes=[Route("/ours", ours)], middleware=[Middleware(SessionMiddleware, manager)]
    )
    Admin(app, engine, authentication_backend=Plain("secret"))
    client = TestClient(app)
    assert client.get("/admin/").json() == {"ours": 1}
    assert sorted(client.cookies) == ["session", "sid"]
    engine.dispose()
