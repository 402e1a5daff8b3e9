"""The cookie of express-session: its signature, how it is read, and how it is rendered."""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest

from lembro import ConfigError
from lembro._http.cookie import ABSENT, FORGED
from lembro._http.signature import sign
from lembro.express import ExpressCookie
from lembro.express.cookie import UNSIGNED, SignedCookie, secrets_of
from lembro.express.ids import SentID

SID = "9w6PKbjSm_yO4gFfjC1SdA_6kzRQ7FwN"
SIGNED = "s%3A9w6PKbjSm_yO4gFfjC1SdA_6kzRQ7FwN.UFSA2IkR7Yas9eagzMAoQJRQYryi3ZXXCu48c5FJ8pI"
"""What express-session 1.19 has made of it with the secret "keyboard cat"."""


def cookie_of(*secrets: str, **options: Any) -> SignedCookie:
    return SignedCookie(ExpressCookie(**options), secrets_of(list(secrets) or "keyboard cat"))


def read(header: str, *secrets: str) -> Any:
    return cookie_of(*secrets).read([header.encode("latin-1")], https=False)


def value_of(session_id: str, secret: str = "keyboard cat") -> str:
    return cookie_of(secret).value(session_id, None).decode()


def test_a_value_is_signed_as_cookie_signature_signs_it() -> None:
    assert sign("hello", b"keyboard cat") == "xz6khi6+oL1pnNhBgjk3Nr1CX2sxTjJiO9pKXaHZ33E"
    assert value_of(SID) == SIGNED


def test_a_cookie_of_express_is_read() -> None:
    assert read(f"a=b; connect.sid={SIGNED}").id == SID
    assert read(f'connect.sid="{SIGNED}"').id == SID
    assert read(f"connect.sid={SIGNED.replace('%3A', ':')}").id == SID
    two = cookie_of().read([b"a=b", f"connect.sid={SIGNED}".encode()], https=False)
    assert two.id == SID
    assert read("a=b") is ABSENT


@pytest.mark.parametrize("session_id", ["a.b.c", "a b;c", "ü-é", "../../x", "sess:1", "a,b=c"])
def test_an_id_may_have_separators(session_id: str) -> None:
    assert read(f"connect.sid={value_of(session_id)}").id == session_id


@pytest.mark.parametrize(
    "value",
    ["", "x", SID, f"s:{SID}", "s:.", "s%3A.abc", f"j:{SID}.x", "s%3A%00.x", "%ff%fe", "s:" * 3000],
)
def test_a_value_that_nobody_signed_gives_no_id(value: str) -> None:
    assert read(f"connect.sid={value}") is UNSIGNED


def test_a_signed_id_must_be_printable_and_short() -> None:
    for session_id in ("a\0b", "a\nb", "x" * 257):
        signed = quote(f"s:{session_id}.{sign(session_id, b'keyboard cat')}")
        assert read(f"connect.sid={signed}") is UNSIGNED


def test_every_secret_verifies_and_the_first_signs() -> None:
    assert read(f"connect.sid={SIGNED}", "new", "keyboard cat").id == SID
    assert read(f"connect.sid={SIGNED}", "new", "other") is FORGED
    assert read(f"connect.sid={SIGNED[:-1]}J") is FORGED
    assert read("connect.sid=s:a.\xe9") is FORGED
    assert cookie_of("new", "keyboard cat").value(SID, None) == value_of(SID, "new").encode()


def test_several_values_are_read_as_by_lembros_own_cookie() -> None:
    same = read(f"connect.sid={SIGNED}; connect.sid={SIGNED.replace('%3A', ':')}")
    assert same.id == SID
    both = read(f"connect.sid={SIGNED}; connect.sid={value_of('other')}")
    assert [each.id for each in both.several] == [SID, "other"]
    assert read(f"connect.sid=x; connect.sid={SIGNED}").id == SID


def test_the_attributes_are_in_the_order_of_express() -> None:
    cookie = cookie_of(
        domain="example.com",
        path="/app",
        secure=True,
        samesite="none",
        partitioned=True,
        priority="high",
    )
    rendered = cookie.render(SID, None, https=True, max_age=60).decode()
    name, *attributes = rendered.split("; ")
    expires = attributes.pop(2)
    assert name == f"connect.sid={SIGNED}"
    assert attributes == [
        "Domain=example.com",
        "Path=/app",
        "HttpOnly",
        "Secure",
        "Partitioned",
        "Priority=High",
        "SameSite=None",
    ]
    format = "Expires=%a, %d %b %Y %H:%M:%S GMT"
    assert 58 <= time.mktime(time.strptime(expires, format)) - time.mktime(time.gmtime()) <= 61


def test_the_defaults_are_those_of_express() -> None:
    rendered = cookie_of().render(SID, None, https=True, max_age=None)
    assert rendered == f"connect.sid={SIGNED}; Path=/; HttpOnly".encode()
    auto = cookie_of(secure="auto", httponly=False)
    assert auto.render(SID, None, https=True, max_age=0).endswith(b"; Path=/; Secure")
    assert auto.render(SID, None, https=False, max_age=0).endswith(b"; Path=/")


def test_the_attributes_of_a_stored_session_go_before_the_options() -> None:
    sent = SentID(SID)
    sent.attributes = {"path": "/a", "sameSite": True, "priority": "LOW", "httpOnly": False}
    rendered = cookie_of(path="/b").render(sent, None, https=False, max_age=None)
    assert rendered.endswith(b"; Path=/a; Priority=Low; SameSite=Strict")
    assert "SID" not in repr(sent)


def test_a_stored_attribute_cannot_inject_a_header() -> None:
    sent = SentID(SID)
    sent.attributes = {"path": "/\r\nX: y", "domain": "a; b", "sameSite": 5, "priority": ["x"]}
    rendered = cookie_of().render(sent, None, https=False, max_age=None)
    assert rendered == f"connect.sid={SIGNED}".encode()


def test_an_id_for_django_is_short() -> None:
    assert cookie_of().short_id(bytes(range(32))) == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"


def test_the_signature_of_a_long_secret_is_that_of_hmac() -> None:
    secret = b"x" * 100
    expected = b64encode(hmac.digest(secret, b"hello", "sha256")).rstrip(b"=").decode()
    assert sign("hello", secret) == expected


def test_the_cleared_cookie_has_the_same_scope() -> None:
    cleared = cookie_of(path="/a", domain="example.com").render_cleared(https=False)
    assert cleared == (
        b"connect.sid=; Domain=example.com; Path=/a; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
        b"HttpOnly"
    )


@pytest.mark.parametrize("secret", [None, "", [], ["a", ""], b"secret", [b"x"], 5, [None]])
def test_a_missing_secret_is_refused(secret: Any) -> None:
    with pytest.raises(ConfigError, match="secret must be the secret of express-session"):
        secrets_of(secret)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"priority": "urgent"}, 'cookie priority must be "low"'),
        ({"samesite": "none"}, 'cookie samesite="none" needs secure=True'),
        ({"name": "a b"}, "cookie name must be"),
        ({"max_age": -1}, "max_age must be"),
    ],
)
def test_an_invalid_option_is_refused(options: Any, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ExpressCookie(**options)
    assert error in str(caught.value)
