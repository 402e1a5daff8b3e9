"""``manage.py check`` reports invalid and unsafe settings before the application starts."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from lembro import CookieOptions, MemoryStore, SessionManager
from tests.support.django_site import running
from tests.support.stores import BlockingAdapter

OURS = "lembro.integrations.django.SessionMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"
NAMED = SessionManager(MemoryStore("1M"), cookie=CookieOptions(name="sid"))


def found(**settings: Any) -> dict[str, str]:
    """Return the messages of the checks for the tests' project with these settings."""
    with running(**settings):
        return {m.id: f"{m.msg} {m.hint}" for m in run_checks() if m.id.startswith("lembro.")}


def test_valid_settings_have_no_message() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("settings", "number", "text"),
    [
        ({"LEMBRO": {"MAX_SISE": "64M"}}, "E001", "no key 'MAX_SISE'"),
        (
            {"LEMBRO": {"STORE": "tests.support.stores.BlockingAdapter"}},
            "E001",
            "a class that needs no arguments",
        ),
        ({"LEMBRO": {1: "64M"}}, "E001", "must be a dict"),
        (
            {"LEMBRO": {"IDLE_TIMEOUT": "8h"}},
            "E001",
            "idle_timeout must be seconds (int or float) or a timedelta, got '8h'",
        ),
        ({"SESSION_COOKIE_AGE": "8h"}, "E001", "SESSION_COOKIE_AGE must be seconds"),
        ({"SESSION_COOKIE_SAMESITE": "None"}, "E001", "needs secure=True"),
        (
            {"SESSION_ENGINE": "django.contrib.sessions.backends.db"},
            "E002",
            'Write SESSION_ENGINE = "lembro.integrations.django"',
        ),
        ({"SESSION_ENGINE": "no.such.engine"}, "E002", "must be lembro's"),
        ({"MIDDLEWARE": [OURS, DJANGOS]}, "E003", "several session middlewares"),
        ({"MIDDLEWARE": [DJANGOS]}, "W001", f"Write {OURS} in its place"),
        ({"LEMBRO": {"MANAGER": NAMED}}, "W002", "Write SESSION_COOKIE_NAME = 'sid'"),
        ({"SESSION_SERIALIZER": "some.PickleSerializer"}, "W004", "is not used"),
    ],
)
def test_each_invalid_setting_has_its_message(
    settings: dict[str, Any], number: str, text: str
) -> None:
    messages = found(**settings)
    assert list(messages) == [f"lembro.{number}"]
    assert text in messages[f"lembro.{number}"]


@pytest.mark.parametrize(
    ("name", "value", "several"),
    [
        ("WEB_CONCURRENCY", "4", True),
        ("WEB_CONCURRENCY", "1", False),
        ("WEB_CONCURRENCY", "auto", False),
        ("UWSGI_PROCESSES", "2", True),
        ("GUNICORN_CMD_ARGS", "--bind :80 -w 4", True),
        ("GUNICORN_CMD_ARGS", "--workers=2 --threads=8", True),
        ("GUNICORN_CMD_ARGS", "--workers 2 -w1", False),
        ("GUNICORN_CMD_ARGS", "--threads 8", False),
    ],
)
def test_several_workers_have_a_warning(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, several: bool
) -> None:
    monkeypatch.setenv(name, value)
    messages = found()
    assert list(messages) == (["lembro.W003"] if several else [])
    if several:
        assert "Use one worker process" in messages["lembro.W003"]
    assert found(LEMBRO={"STORE": BlockingAdapter(MemoryStore("1M"))}) == {}, (
        "processes share the store"
    )


def test_djangos_own_checks_accept_the_middleware() -> None:
    """The admin requires Django's middleware, of which lembro's is a subclass."""
    with running():
        call_command("check", verbosity=0)


def test_an_error_ends_the_command() -> None:
    with running(LEMBRO={"MAX_SIZE": "1"}), pytest.raises(SystemCheckError, match=r"lembro\.E001"):
        call_command("check", verbosity=0)
