"""The cookie: found in raw header bytes, signed, rendered."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro import CookieOptions
from lembro._http.cookie import (
    ABSENT,
    DUPLICATE,
    FORGED,
    MALFORMED,
    MOST_VALUES,
    SessionCookie,
    find,
)
from lembro.ids import is_id, new_id

ID = "a" * 42 + "_"
SECRET, OLDER = "correct horse battery staple, 1234", "the one that was used before, 5678"


def read(cookie: SessionCookie, header: str | bytes, *, https: bool = False) -> Any:
    raw = header.encode("latin-1") if isinstance(header, str) else header
    return cookie.read([raw], https=https)


# -- finding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        b"n=v",
        b"a=b; n=v",
        b"n=v; a=b",
        b"a=b;n=v;c=d",
        b"  n=v  ",
        b"a=b;\tn=v\t;",
        b";;; n=v ;;",
        b"a; n=v",
        b"n=v; n=v",
        b"nn=x; n=v; N=x; n2=x",
        b"a=\xff\x00; n=v",
        b'a="; n=v; "',
    ],
)
def test_the_cookie_is_found(header: bytes) -> None:
    assert find([header], b"n") == [b"v"]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"n",
        b"; n ;",
        b"N=v",
        b"nn=v",
        b"xn=v",
        b"a=n=v",
        b"=n=v",
        b"a=b, n=v",
        b"a=b\nn=v",
        b"a=b\rn=v",
        b"\x00n=v",
        b"\x0bn=v",
        b"\x0cn=v",
        b"\xa0n=v",
        b"\xe2\x80\x80n=v",
        b"\x1cn=v",
        b'"n"=v',
        b"$Version=1,n=v",
        b"$Version=1; $n=v",
        b"~n=v",
        b"n~=v",
    ],
)
def test_no_other_cookie_is_found(header: bytes) -> None:
    assert find([header], b"n") == []


def test_the_search_stops_when_there_are_too_many_values() -> None:
    many = [b"%d" % number for number in range(20)]
    assert find([b"; ".join(b"n=" + value for value in many)], b"n") == many[: MOST_VALUES + 1]
    assert find([b"n=1; n=2; n=3"], b"n") == [b"1", b"2", b"3"]
    assert find([b"n=1", b"a=b", b"n=2"], b"n") == [b"1", b"2"]
    assert find([b"n=; n=1"], b"n") == [b"", b"1"]


def test_a_value_may_contain_separators() -> None:
    assert find([b"n=a=b=c"], b"n") == [b"a=b=c"]
    assert find([b'n="v"'], b"n") == [b'"v"']
    assert find([b"n=~v~"], b"n") == [b"~v~"]


@pytest.mark.parametrize(
    "header",
    [
        b"n=" + b"\\" * 65536,
        b'n="' + b'\\"' * 32768,
        b"; ".join(b"c%d=%d" % (i, i) for i in range(10_000)),
        b"n" * 65536,
        b"=" * 65536,
        b";" * 65536,
        b" " * 65536 + b"=",
        b"n=" + b"\t " * 32768,
    ],
    ids=range(8),
)
def test_long_headers_take_linear_time(header: bytes) -> None:
    """A header of four times the length takes four times the work, not sixteen times.

    The work is counted, not timed.
    """
    assert len(find([header], b"n")) <= 1
    cookie = SessionCookie(CookieOptions(name="n"))
    assert cookie.read([header], https=False).id is None


@given(st.lists(st.binary(max_size=80), max_size=4), st.booleans(), st.booleans())
def test_reading_never_raises(headers: list[bytes], https: bool, signed: bool) -> None:
    cookie = SessionCookie(CookieOptions(name="n"), (SECRET,) if signed else ())
    for given_ in (headers, [b"n=" + header for header in headers]):
        presented = cookie.read(given_, https=https)
        assert presented.id is None or len(presented.id) in (40, 43)


# -- reading ---------------------------------------------------------------------------------------


def test_the_id_and_the_value_are_read() -> None:
    cookie = SessionCookie(CookieOptions())
    assert read(cookie, "") is ABSENT
    assert (ABSENT.id, ABSENT.value, ABSENT.problem) == (None, b"", "")
    assert read(cookie, f"sid={ID}").id == ID
    assert read(cookie, f"sid={ID}; sid={ID}").id == ID


def test_several_ids_are_read() -> None:
    cookie = SessionCookie(CookieOptions())
    other = new_id()
    for first, second in ((ID, other), (other, ID)):
        presented = read(cookie, f"sid={first}; sid={second}; sid=x")
        assert (presented.id, presented.problem) == (None, "")
        assert [each.id for each in presented.several] == [first, second]
        assert first not in repr(presented)
    many = [f"sid={new_id()}" for _ in range(MOST_VALUES + 1)]
    assert len(read(cookie, "; ".join(many[:-1])).several) == MOST_VALUES
    assert read(cookie, "; ".join(many)) is DUPLICATE
    assert "rename one" in DUPLICATE.problem


def test_values_that_were_not_issued_do_not_count() -> None:
    cookie = SessionCookie(CookieOptions())
    for header in (f"sid=x; sid={ID}", f"sid={ID}; sid="):
        assert read(cookie, header).id == ID
    assert read(cookie, "sid=x; sid=y") is MALFORMED
    assert read(cookie, f"sid={ID}; sid={ID}.{'m' * 22}").id == ID  # one ID, with and without a MAC
    signed = SessionCookie(CookieOptions(), ("kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4",))
    value = signed.value(ID, None).decode()
    assert read(signed, f"sid={new_id()}; sid={value}").id == ID
    assert read(signed, f"sid={new_id()}; sid={ID}") is FORGED
    assert read(signed, f"sid={ID}; sid=x") is FORGED


@pytest.mark.parametrize(
    "value",
    [
        "",
        ID[:-1],
        ID + "a",
        f'"{ID}"',
        ID + ".",
        ID + "." + "m" * 21,
        ID + "." + "m" * 23,
        ID + ".." + "m" * 22,
        ID + "." + "s" * 22 + "." + "m" * 22 + ".x",
        ID[:-1] + "\u00e9",
        ID[:-1] + "%",
        ID[:-1] + "~",
    ],
)
def test_a_value_that_lembro_does_not_issue_is_malformed(value: str) -> None:
    assert read(SessionCookie(CookieOptions()), f"sid={value}") is MALFORMED


def test_only_the_name_for_the_scheme_is_read() -> None:
    cookie = SessionCookie(CookieOptions())
    assert read(cookie, f"sid={ID}", https=True) is ABSENT
    assert read(cookie, f"__Host-sid={ID}", https=True).id == ID
    assert read(cookie, f"__Host-sid={ID}", https=False) is ABSENT


def test_the_repr_of_a_read_cookie_hides_the_id() -> None:
    assert ID not in repr(read(SessionCookie(CookieOptions()), f"sid={ID}"))


# -- signing ---------------------------------------------------------------------------------------


def issue(cookie: SessionCookie, reputation: bytes | None = None) -> str:
    header = cookie.render(ID, reputation, https=False, max_age=None).decode()
    return header.partition("=")[2].partition(";")[0]


def test_without_a_secret_an_id_needs_no_signature() -> None:
    cookie = SessionCookie(CookieOptions())
    assert issue(cookie) == ID
    assert read(cookie, f"sid={ID}.{'m' * 22}").id == ID


def test_with_a_secret_a_forged_or_truncated_value_is_refused() -> None:
    cookie = SessionCookie(CookieOptions(), (SECRET,))
    value = issue(cookie)
    assert re.fullmatch(rf"{ID}\.[\w-]{{22}}", value)
    assert read(cookie, f"sid={value}").id == ID
    for forged in (ID, "b" + value[1:], value[:-2] + "AA", issue(SessionCookie(CookieOptions()))):
        assert read(cookie, f"sid={forged}") is FORGED
    assert read(cookie, f"sid={value[:-1]}") is MALFORMED


def test_a_secret_can_be_rotated() -> None:
    before = SessionCookie(CookieOptions(), (OLDER,))
    during = SessionCookie(CookieOptions(), (SECRET, OLDER))
    after = SessionCookie(CookieOptions(), (SECRET,))
    old, new = issue(before), issue(during)
    assert read(during, f"sid={old}").id == ID
    assert read(during, f"sid={new}").id == ID
    assert new == issue(after)
    assert read(after, f"sid={new}").id == ID
    assert read(after, f"sid={old}") is FORGED


REPUTATION = bytes(range(16))


@pytest.mark.parametrize("signing", [(), (SECRET,)])
def test_the_cookie_contains_the_reputation(signing: tuple[str, ...]) -> None:
    cookie = SessionCookie(CookieOptions(), signing)
    value = issue(cookie, REPUTATION)
    assert read(cookie, f"sid={value}").id == ID
    assert cookie.reputation(value.encode()) == REPUTATION
    id_, reputation, mac = value.split(".")
    for forged in (
        id_,
        f"{id_}.{mac}",
        f"{id_}.{'A' * 22}.{mac}",
        f"{'b' * 43}.{reputation}.{mac}",
        f"{id_}.{reputation}.{'A' * 22}",
        "nonsense",
    ):
        assert cookie.reputation(forged.encode()) is None
    assert SessionCookie(CookieOptions()).reputation(value.encode()) is None, "of another process"


@pytest.mark.parametrize("signing", [(), (SECRET,)])
def test_a_short_id_is_a_value_by_itself(signing: tuple[str, ...]) -> None:
    """A column of 40 characters holds it, and Django's test client sends it as the cookie."""
    cookie = SessionCookie(CookieOptions(), signing)
    short = new_id(cookie.short_id)
    assert is_id(short)
    assert len(short) == 40
    assert repr(short) == "<session ID>"
    for value in (
        short,
        cookie.value(short, None).decode(),
        cookie.value(short, REPUTATION).decode(),
    ):
        assert read(cookie, f"sid={value}").id == short
    assert cookie.reputation(cookie.value(short, REPUTATION)) == REPUTATION
    assert cookie.reputation(short.encode()) is None


def test_a_short_id_has_at_least_128_random_bits() -> None:
    cookie, signed = SessionCookie(CookieOptions()), SessionCookie(CookieOptions(), (SECRET,))
    zero = bytes(32)
    for byte in range(30):
        other = zero[:byte] + b"\x01" + zero[byte + 1 :]
        assert cookie.short_id(other) != cookie.short_id(zero)
        if byte < 16:
            assert signed.short_id(other)[:22] != signed.short_id(zero)[:22]
    assert signed.short_id(zero[:16] + b"\xff" * 16) == signed.short_id(zero)


def test_a_forged_short_id_is_refused_if_ids_are_signed() -> None:
    cookie = SessionCookie(CookieOptions(), (SECRET,))
    short = new_id(cookie.short_id)
    other = new_id(cookie.short_id)
    unsigned = new_id(SessionCookie(CookieOptions()).short_id)
    for forged in (unsigned, short[:22] + other[22:], other[:22] + short[22:], ID[:40], "A" * 40):
        assert read(cookie, f"sid={forged}") is FORGED
    assert read(cookie, f"sid={short}").id == short
    changed = SessionCookie(CookieOptions(), ("another secret of 32 bytes or more", SECRET))
    assert read(changed, f"sid={short}").id == short, "a secret that is being replaced"


def test_a_signed_cookie_without_a_reputation() -> None:
    cookie = SessionCookie(CookieOptions(), (SECRET,))
    assert cookie.reputation(issue(cookie).encode()) is None


def test_a_signature_is_the_same_in_every_release() -> None:
    """Otherwise an update of lembro would log all users out."""
    cookie = SessionCookie(CookieOptions(), (SECRET,))
    assert issue(cookie) == f"{ID}.Mhz50MTyNJqJiBL37ps1zA"
    assert issue(cookie, REPUTATION) == f"{ID}.AAECAwQFBgcICQoLDA0ODw.z2YezVA_clVcoeuKXSMCsg"


def test_without_a_secret_an_unsigned_reputation_does_not_affect_the_id() -> None:
    value = issue(SessionCookie(CookieOptions()), REPUTATION)
    assert read(SessionCookie(CookieOptions()), f"sid={value}").id == ID


# -- rendering -------------------------------------------------------------------------------------

RENDERED: list[tuple[CookieOptions, bool, str]] = [
    (CookieOptions(), True, "__Host-sid={}; Path=/; Secure; HttpOnly; SameSite=Lax"),
    (CookieOptions(), False, "sid={}; Path=/; HttpOnly; SameSite=Lax"),
    (
        CookieOptions(secure=True),
        False,
        "__Host-sid={}; Path=/; Secure; HttpOnly; SameSite=Lax",
    ),
    (CookieOptions(secure=False), True, "sid={}; Path=/; HttpOnly; SameSite=Lax"),
    (
        CookieOptions(path="/app"),
        True,
        "__Secure-sid={}; Path=/app; Secure; HttpOnly; SameSite=Lax",
    ),
    (
        CookieOptions(domain="example.com", samesite="strict"),
        True,
        "__Secure-sid={}; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Strict",
    ),
    (
        CookieOptions(prefix=None, httponly=False),
        True,
        "sid={}; Path=/; Secure; SameSite=Lax",
    ),
    (
        CookieOptions(name="shop"),
        True,
        "__Host-shop={}; Path=/; Secure; HttpOnly; SameSite=Lax",
    ),
    (CookieOptions(name="shop"), False, "shop={}; Path=/; HttpOnly; SameSite=Lax"),
    (
        CookieOptions(secure=True, prefix=None),
        False,
        "sid={}; Path=/; Secure; HttpOnly; SameSite=Lax",
    ),
    (
        CookieOptions(prefix="secure", secure=True),
        False,
        "__Secure-sid={}; Path=/; Secure; HttpOnly; SameSite=Lax",
    ),
    (
        CookieOptions(secure=True, samesite="none", partitioned=True),
        True,
        "__Host-sid={}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
    ),
    (
        CookieOptions(prefix="host", secure=True),
        False,
        "__Host-sid={}; Path=/; Secure; HttpOnly; SameSite=Lax",
    ),
    (
        CookieOptions(prefix="secure", secure=True, path="/a b", max_age=60),
        True,
        "__Secure-sid={}; Max-Age=60; Path=/a b; Secure; HttpOnly; SameSite=Lax",
    ),
]


@pytest.mark.parametrize(("options", "https", "expected"), RENDERED)
def test_the_cookie_is_rendered(options: CookieOptions, https: bool, expected: str) -> None:
    cookie = SessionCookie(options)
    header = cookie.render(ID, None, https=https, max_age=None)
    assert header.decode() == expected.format(ID)
    pair = header.partition(b";")[0]
    assert cookie.read([pair], https=https).id == ID


@pytest.mark.parametrize(("options", "https", "expected"), RENDERED)
def test_the_cookie_is_cleared(options: CookieOptions, https: bool, expected: str) -> None:
    """A browser drops a cookie only if name, path and flags are the same."""
    header = SessionCookie(options).render_cleared(https=https).decode()
    name, _, attributes = expected.partition("={}")
    cleared = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert header == f"{name}={cleared}" + attributes.replace("; Max-Age=60", "")


@pytest.mark.parametrize(
    ("age", "rendered"),
    [(60, "60"), (59.9, "59"), (0.2, "1"), (float("inf"), "34560000"), (10**12, "34560000")],
)
def test_the_max_age_is_rendered(age: float, rendered: str) -> None:
    header = SessionCookie(CookieOptions()).render(ID, None, https=True, max_age=age)
    assert f"; Max-Age={rendered};" in header.decode()


def test_the_max_age_of_a_login_takes_precedence_over_the_options() -> None:
    cookie = SessionCookie(CookieOptions(max_age=60))
    assert b"Max-Age=90;" in cookie.render(ID, None, https=True, max_age=90)


@given(
    name=st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", fullmatch=True),
    reputation=st.none() | st.binary(min_size=16, max_size=16),
    signed=st.booleans(),
)
def test_name_and_value_are_never_too_long_and_can_be_read_again(
    name: str, reputation: bytes | None, signed: bool
) -> None:
    if name.lower().startswith(("__host-", "__secure-")):
        name = name[2:]
    cookie = SessionCookie(CookieOptions(name=name), (SECRET,) if signed else ())
    header = cookie.render(ID, reputation, https=True, max_age=1)
    pair = header.partition(b"; ")[0]
    assert len(pair) <= 4096
    assert cookie.read([b"other=1; " + pair], https=True).id == ID
