"""The defaults of the readers of legacy sessions: those of the libraries that they read."""

from __future__ import annotations

from typing import Any

import pytest

from lembro.migrate import (
    BeakerCookieReader,
    BeakerReader,
    DjangoSessionReader,
    ExpressSessionReader,
    FlaskCookieReader,
    FlaskSessionReader,
    Reader,
    StarletteCookieReader,
    StoreReader,
)

DAY = 86400
SECRET = "a secret of the other library"


def load(key: str) -> None: ...


async def aload(key: str) -> None: ...


@pytest.mark.parametrize(
    ("reader", "cookie", "days", "blocking"),
    [
        (StarletteCookieReader(SECRET), "session", 14, False),
        (FlaskCookieReader(SECRET), "session", 31, False),
        (FlaskSessionReader(load), "session", 31, True),
        (BeakerReader(load), "beaker.session.id", 3650, True),
        (BeakerCookieReader(SECRET), "beaker.session.id", 3650, False),
        (DjangoSessionReader(), "sessionid", 14, True),
        (ExpressSessionReader(load, SECRET), "connect.sid", 1, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Reader) else "",
)
def test_a_reader_has_the_defaults_of_its_library(
    reader: Any, cookie: str, days: int, blocking: bool
) -> None:
    assert reader.cookie.name_over(https=True) == reader.cookie.name_over(https=False) == cookie
    assert reader.lifetime == days * DAY
    assert reader.blocking is blocking
    assert repr(reader) == f"<{type(reader).__name__} of the cookie {cookie!r}>"


def test_only_a_load_that_waits_in_its_thread_is_blocking() -> None:
    def reader(load: Any, **options: Any) -> StoreReader:
        return StoreReader(load, cookie="old", lifetime=DAY, **options)

    assert reader(load).blocking is True
    assert reader(load, blocking=False).blocking is False
    assert reader(aload).blocking is False
    assert (reader(load).asynchronous, reader(aload).asynchronous) == (False, True)
