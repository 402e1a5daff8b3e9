"""The readers of legacy sessions have the defaults of the libraries that they read."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import TimestampSigner

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


def test_only_a_load_that_waits_is_blocking() -> None:
    def reader(load: Any, **options: Any) -> StoreReader:
        return StoreReader(load, cookie="old", lifetime=DAY, **options)

    assert reader(load).blocking is True
    assert reader(load, blocking=False).blocking is False
    assert reader(aload).blocking is False
    assert (reader(load).asynchronous, reader(aload).asynchronous) == (False, True)


def starlette_value(user: str) -> str:
    data = b64encode(f'{{"user": "{user}"}}'.encode())
    return TimestampSigner(SECRET).sign(data).decode()


def flask_value(user: str) -> str:
    app = flask.Flask(__name__)
    app.secret_key = SECRET
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    value = serializer.dumps({"user": user})
    assert isinstance(value, str)
    return value


def express_value(user: str) -> str:
    signature = b64encode(hmac.digest(SECRET.encode(), user.encode(), "sha256")).rstrip(b"=")
    return f"s:{user}.{signature.decode()}"


@pytest.mark.parametrize(
    ("reader", "value_of"),
    [
        (StarletteCookieReader(SECRET, user="user"), starlette_value),
        (FlaskCookieReader(SECRET, user="user"), flask_value),
        (ExpressSessionReader(lambda key: {"user": key}, SECRET, prefix=""), express_value),
        (FlaskSessionReader(lambda key: {"user": key}, prefix=""), str),
        (BeakerReader(lambda key: {"user": key}), lambda user: user.encode().hex()[:32]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Reader) else "",
)
def test_two_visitors_have_two_identities(reader: Any, value_of: Callable[[str], str]) -> None:
    ada, bob = "ada-lovelace-1815", "bob-ross-19421942"
    legacy = {user: reader.read(value_of(user)) for user in (ada, bob)}
    assert legacy[ada].data != legacy[bob].data
    assert legacy[ada].identity != legacy[bob].identity
    assert legacy[ada].identity == reader.read(value_of(ada)).identity != ""


def test_the_metadata_for_express_is_not_adopted() -> None:
    shared = {"cookie": {}, "lembro": {"mark": "00"}, "user": "ann"}
    reader: Any = ExpressSessionReader(lambda key: dict(shared), SECRET)
    legacy = reader.read(express_value("ada-lovelace-1815"))
    assert legacy is not None
    assert legacy.data == {"user": "ann"}
