"""Stores by URL."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from quart import Quart

from lembro import ConfigError, MemoryStore, SessionManager, asgi, wsgi
from lembro.integrations._pyramid_settings import read_settings
from lembro.integrations.django.config import store_from
from lembro.integrations.flask import Lembro
from lembro.integrations.quart import Lembro as QuartLembro
from lembro.stores import SQLiteStore, from_url, store_of, urls
from lembro.stores.urls import boolean, parameters, without_password


def test_a_url_makes_a_memory_store() -> None:
    store = from_url("memory:1M?interval=60&reduce_to=0.5")
    assert (store.max_size, store.interval, store.reduce_to) == (2**20, 60.0, 0.5)
    assert from_url("memory:").max_size == 4 * 2**20


def test_a_url_names_the_snapshot_of_a_memory_store(tmp_path: Path) -> None:
    url = f"memory:1M?snapshot={tmp_path}/a%20b.bin&snapshot_max_age=3600"
    store = from_url(url)
    store.get(bytes(32))
    store.close()
    assert (tmp_path / "a b.bin").exists()
    with pytest.raises(ConfigError, match="the parameter 'snapshot_max_age' of a memory: URL"):
        from_url(f"memory:?snapshot={tmp_path}/a.bin&snapshot_max_age=long")


def test_a_url_makes_an_sqlite_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a%20b.db?max_size=64M&timeout=0.5&interval=60&max_session_size=2K"
    store = from_url(url)
    assert isinstance(store, SQLiteStore)
    assert store.path == f"{tmp_path}/a b.db"
    assert (store.max_size, store.max_session_size) == (64 * 2**20, 2048)
    assert from_url("sqlite:///a.db?max_size=none").max_size is None
    assert not list(tmp_path.iterdir())  # nothing is opened before the first use


def test_a_relative_path_is_one_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_url("sqlite:///sessions.db").path == str(tmp_path / "sessions.db")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("redsi://h", "knows, got 'redsi:'. Did you mean 'redis:'? Examples: memory:64M, "),
        ("http://h", "must begin with a scheme that lembro knows, got 'http:'. Examples: "),
        ("sessions.db", "must begin with a scheme and a colon. Examples: "),
        ("hunter2!x:y", "must begin with a scheme and a colon. Examples: "),
        (b"sqlite:///x", "the store's URL must be a str, got bytes"),
        ("sqlite://sessions.db", "needs three slashes and a path"),
        ("sqlite://", "needs three slashes and a path"),
        ("sqlite:sessions.db", "needs three slashes and a path"),
        ("sqlite:///a#b.db", "cannot be read. Example: 'sqlite:///sessions.db'. Write special"),
        ("memory://256M", "a memory: URL has no slashes. Example: 'memory:64M'"),
        ("memory:/256M", "a memory: URL has no slashes"),
        (
            "sqlite:///x?max_sise=1M",
            "no parameter 'max_sise'; did you mean max_size? (parameters: ",
        ),
        ("sqlite:///x?zzz=1", "no parameter 'zzz' (parameters: max_size, "),
        ("sqlite:///x?timeout=1&timeout=2", "must contain the parameter 'timeout' only once. Rem"),
        ("sqlite:///x?timeout=soon", "'timeout' of a sqlite: URL must be a number, got 'soon'"),
        ("sqlite:///x?timeout=100", "timeout must be seconds"),
        ("postgresql://u:secret@h:port/d", "the store's URL cannot be read"),
        ("redis+cluster://u:12[secret@h1:1,h2:2", "the store's URL cannot be read"),
        ("redis://u:12#secret@h", "the store's URL cannot be read"),
        ("postgresql://u:12@secret@h/d", "cannot be read. Example"),
        ("postgresql://u:12/secret@h/d", "cannot be read. Example"),
        ("mysql://u:12@secret@h/d", "characters of a password as %XX, for example %40 for @"),
        ("sqlalchemy+mysql+no://u:secret@h/d", "no dialect and driver 'mysql+no'. Examples: "),
        ("django://u:secret@h", "needs a key of DATABASES only. Example: 'django://default'"),
        ("django://default/secret", "needs a key of DATABASES only"),
    ],
)
def test_an_invalid_url_is_refused(url: Any, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_url(url)
    assert error in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_scheme_without_a_store_of_this_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(urls.SCHEMES, "later", ("later.url", "later://"))
    with pytest.raises(ConfigError, match="this version of lembro has no store for later: URLs"):
        from_url("later://h1:1,h2:2/x")
    monkeypatch.setitem(urls.SCHEMES, "later", ("sql.url", "later://"))
    with pytest.raises(ConfigError, match="this version of lembro has no store for later: URLs"):
        from_url("later://h1:1,h2:2/x")


def test_another_missing_module_is_not_reported_as_a_missing_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(name: str, package: str) -> Any:
        raise ModuleNotFoundError("no driver", name="driver")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="no driver"):
        from_url("sqlite:///x")


def test_a_parameter_reader_may_explain_itself() -> None:
    def read(text: str) -> Any:
        raise ConfigError("one of a, b")

    with pytest.raises(ConfigError, match="one of a, b"):
        parameters(urlsplit("x://h?p=c"), {"p": read})


def test_a_boolean_is_true_false_1_or_0() -> None:
    assert [boolean(text) for text in ("true", "1", "False", "0")] == [True, True, False, False]
    with pytest.raises(ValueError, match="yes"):
        boolean("yes")


def test_a_url_is_shown_without_its_password() -> None:
    parts = urlsplit("redis://me:secret@host:1/2?password=secret")
    assert without_password(parts) == "redis://host:1/2"


# -- wherever a store is configured


def test_a_manager_takes_a_url(tmp_path: Path) -> None:
    manager = SessionManager(f"sqlite:///{tmp_path}/x.db")
    session_id = manager.create({"a": 1})

    async def use() -> None:
        assert await manager.aget(session_id) == {"a": 1}
        await manager.aclose()

    asyncio.run(use())


def test_the_environment_names_the_store_of_a_manager_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEMBRO_STORE", f"sqlite:///{tmp_path}/x.db")
    assert isinstance(SessionManager().store, SQLiteStore)
    assert isinstance(SessionManager(MemoryStore()).store, MemoryStore)
    monkeypatch.setenv("LEMBRO_STORE", "redsi://h")
    with pytest.raises(ConfigError, match="variable LEMBRO_STORE is invalid: the store's URL must"):
        SessionManager()
    monkeypatch.setenv("LEMBRO_STORE", "")
    assert isinstance(store_of(None), MemoryStore)


@pytest.mark.parametrize(("framework", "extension"), [(Flask, Lembro), (Quart, QuartLembro)])
def test_flask_and_quart_take_a_url(framework: Any, extension: Any, tmp_path: Path) -> None:
    app = framework(__name__)
    app.config["LEMBRO_STORE"] = f"sqlite:///{tmp_path}/x.db?max_size=2M"
    store: Any = extension(app).manager.store
    assert (type(store), store.max_size) == (SQLiteStore, 2**21)
    app = framework(__name__)
    app.config["LEMBRO_STORE"] = "redsi://:secret@h"
    with pytest.raises(ConfigError, match="got 'redsi:'") as caught:
        extension(app).manager  # noqa: B018
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("extension", [Lembro, QuartLembro])
def test_the_environment_names_the_store_of_flask_and_quart(
    extension: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEMBRO_STORE", "memory:2M")
    app: Any = Flask(__name__) if extension is Lembro else Quart(__name__)
    store: Any = extension(app).manager.store
    assert store.max_size == 2**21


@pytest.mark.parametrize("middleware", [asgi.SessionMiddleware, wsgi.SessionMiddleware])
def test_the_middlewares_take_a_url(middleware: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert middleware(print, store="memory:1M").manager.store.max_size == 2**20
    monkeypatch.setenv("LEMBRO_STORE", "memory:2M")
    assert middleware(print).manager.store.max_size == 2**21


def test_pyramid_takes_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    manager, _ = read_settings({"lembro.store": "memory:1M"})
    store: Any = manager.store
    assert store.max_size == 2**20
    monkeypatch.setenv("LEMBRO_STORE", "memory:2M")
    manager, _ = read_settings({})
    store = manager.store
    assert store.max_size == 2**21
    with pytest.raises(ConfigError, match="got 'redsi:'"):
        read_settings({"lembro.store": "redsi://h"})


def test_django_takes_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_from({"STORE": "memory:1M"}).max_size == 2**20
    with pytest.raises(ConfigError, match="got 'redsi:'"):
        store_from({"STORE": "redsi://:secret@h"})
    monkeypatch.setenv("LEMBRO_STORE", "memory:2M")
    assert store_from({}).max_size == 2**21
    assert store_from({"MAX_SIZE": "3M"}).max_size == 3 * 2**20
