"""74. An expired legacy session is accepted because its store does not check the expiry.

The tests run for each reader whose data or cookie contain the expiry.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import starsessions
from itsdangerous import TimestampSigner

from fuzz import legacy_cookies
from lembro.migrate import (
    BeakerReader,
    DjangoSessionReader,
    ExpressSessionReader,
    FlaskCookieReader,
    LegacySession,
    Reader,
    Refused,
    StarletteCookieReader,
    StarsessionsReader,
)
from lembro.migrate.source import Source

HOUR: Final = 3600.0
KEY: Final = legacy_cookies.KEY
ID: Final = "0123456789abcdef" * 2


def accepts(reader: Reader, value: str) -> bool:
    """Return whether a reader accepts a cookie. Raise any error that is not an expiry."""
    legacy = Source(reader).read(value.encode())
    if isinstance(legacy, LegacySession):
        return True
    assert "expired" in legacy.reason
    return False


def express(expires: Any, *, rolling: bool = False) -> bool:
    held = {"cookie": {"expires": expires}, "user": "ada"}
    reader = ExpressSessionReader(lambda key: held, KEY, rolling=rolling, blocking=False)
    return accepts(reader, legacy_cookies._by_express(ID.encode()).decode())


def in_javascript(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize(
    "form",
    [in_javascript, lambda when: when, lambda when: when.replace(tzinfo=None), datetime.isoformat],
    ids=["JavaScript", "datetime", "naive", "ISO"],
)
def test_express_session(form: Callable[[datetime], Any]) -> None:
    now = datetime.now(UTC)
    assert express(form(now + timedelta(hours=1)))
    assert not express(form(now - timedelta(seconds=1)))
    assert express(form(now - timedelta(seconds=1)), rolling=True)


def test_express_session_without_an_expiry() -> None:
    assert express(None)


@pytest.mark.parametrize("expires", [1, "tomorrow", [], {}, True])
def test_express_session_with_an_expiry_that_is_no_date(expires: Any) -> None:
    with pytest.raises((Refused, ValueError)):
        ExpressSessionReader(lambda key: None, KEY).made_of({"cookie": {"expires": expires}}, ID)


@pytest.mark.parametrize(
    ("last", "held"),
    [(60, True), (HOUR + 1, False), (None, False), ("x", False), (float("nan"), False)],
)
def test_beaker(last: Any, held: bool) -> None:
    moment = time.time() - last if isinstance(last, int | float) else last
    data = {"_accessed_time": moment, "user": "ada"}
    reader = BeakerReader({ID: data}.get, timeout=HOUR, blocking=False)
    assert accepts(reader, ID) == held
    assert accepts(BeakerReader({ID: data}.get, blocking=False), ID)


async def starsession(created: float, last_access: float, **options: Any) -> bool:
    now = time.time()
    times = {"lifetime": 0, "created": now - created, "last_access": now - last_access}
    store = starsessions.InMemoryStore()
    store.data[ID] = json.dumps({"a": 1, "__metadata__": times}).encode()
    legacy = await Source(StarsessionsReader(store, **options)).aread(ID.encode())
    return isinstance(legacy, LegacySession)


@pytest.mark.anyio
async def test_starsessions() -> None:
    """Its InMemoryStore keeps sessions that have expired."""
    assert await starsession(10, 10, lifetime=HOUR)
    assert not await starsession(HOUR + 1, 10, lifetime=HOUR)
    assert await starsession(HOUR + 1, 10, lifetime=HOUR, rolling=True)
    assert not await starsession(HOUR + 2, HOUR + 1, lifetime=HOUR, rolling=True)
    assert await starsession(10 * HOUR, 10 * HOUR)  # until the browser is closed


def test_starlette(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = TimestampSigner(KEY).sign(b"eyJhIjogMX0=").decode()
    reader = StarletteCookieReader(KEY, max_age=HOUR)
    assert accepts(reader, cookie)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + HOUR + 2)
    assert not accepts(reader, cookie)


def test_flask(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FlaskCookieReader(KEY, max_age=HOUR)
    cookie = reader._serializer.dumps({"_user_id": "ada"})
    assert accepts(reader, cookie)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + HOUR + 2)
    assert not accepts(reader, cookie)


@pytest.mark.parametrize(
    ("expiry", "held"),
    [
        (None, True),
        (0, True),
        (120, True),
        (30, False),
        (lambda now: (now + timedelta(seconds=60)).isoformat(), True),
        (lambda now: (now - timedelta(seconds=1)).isoformat(), False),
    ],
    ids=["none", "browser", "seconds", "seconds ago", "date", "date ago"],
)
def test_django_in_a_cookie(expiry: Any, held: bool) -> None:
    """Its signed cookies ignore ``set_expiry``."""
    from tests.support import django_project  # noqa: PLC0415

    assert django_project
    from django.core import signing  # noqa: PLC0415

    if callable(expiry):
        expiry = expiry(datetime.now(UTC))
    reader = DjangoSessionReader("django.contrib.sessions.backends.signed_cookies")
    signed_at = signing.b62_encode(int(time.time()) - 60)
    made = {"a": 1, "_session_expiry": expiry}
    if held:
        assert reader.made_of(made, f"data:{signed_at}:mac").identity == f"data:{signed_at}"
    else:
        with pytest.raises(Refused, match="expired"):
            reader.made_of(made, f"data:{signed_at}:mac")
