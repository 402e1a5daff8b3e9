"""starlette-admin: its login and its flash messages, which have their own cookie."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.contrib.sqla import Admin, ModelView
from starlette_admin.exceptions import LoginFailed

from lembro import MemoryStore, SessionManager
from lembro.integrations.starlette import SessionMiddleware, get_session


class Base(DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


class Auth(AuthProvider):
    async def login(
        self, username: str, password: str, remember_me: bool, request: Request
    ) -> None:
        if password != "open sesame":
            raise LoginFailed("Invalid username or password")
        get_session(request).login(username, remember=remember_me)

    async def authenticate(self, request: Request) -> AdminUser | None:
        user = get_session(request).user_id
        return AdminUser(username=user) if user else None

    async def logout(self, request: Request) -> None:
        request.session.clear()


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture
def client(manager: SessionManager) -> Iterator[TestClient]:
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    Base.metadata.create_all(engine)
    app = Starlette()
    admin = Admin(
        engine,
        auth_provider=Auth(),
        secret_key="kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4",
        middlewares=[Middleware(SessionMiddleware, manager)],
    )
    admin.add_view(ModelView(Book))
    admin.mount_to(app)
    with TestClient(app) as client:
        yield client
    engine.dispose()


def csrf(page: str) -> dict[str, str]:
    [token] = set(re.findall(r'name="([\w-]*csrf[\w-]*)"[^>]*?(?:value|content)="([^"]+)"', page))
    return dict([token])


def log_in(client: TestClient, password: str = "open sesame", **more: str) -> int:
    form = {"username": "heidi", "password": password, **more}
    form |= csrf(client.get("/admin/login").text)
    return client.post("/admin/login", data=form).status_code


def test_the_admin_requires_a_login(client: TestClient, manager: SessionManager) -> None:
    assert client.get("/admin/").url.path == "/admin/login"
    assert log_in(client, "guess") == 400
    assert manager.length() == 0
    assert log_in(client) == 200
    assert client.get("/admin/").url.path == "/admin/"
    [session] = manager.user_sessions("heidi")
    assert session.data == {}


def test_remember_me_sets_a_persistent_cookie(client: TestClient) -> None:
    log_in(client, remember_me="on")
    [cookie] = [cookie for cookie in client.cookies.jar if cookie.name == "sid"]
    assert cookie.expires is not None


def test_logout_ends_the_session(client: TestClient, manager: SessionManager) -> None:
    log_in(client)
    client.post("/admin/logout", data=csrf(client.get("/admin/").text))
    assert client.get("/admin/").url.path == "/admin/login"
    assert manager.length() == 0


def test_flash_messages_are_shown(client: TestClient) -> None:
    log_in(client)
    form = {"title": "Momo", **csrf(client.get("/admin/book/create").text)}
    page = client.post("/admin/book/create", data=form).text
    assert "was added successfully" in page
    assert "was added successfully" not in client.get("/admin/book/create").text
