"""12. Prefix smuggling (CVE-2023-23934): a cookie under another name is not the session cookie.

This includes names that a lenient parser would read as the session cookie's.
"""

from __future__ import annotations

import pytest

from tests.support.visits import COOKIE, SECURE_COOKIE, World, look, write
from tests.support.worlds import PARSER_KINDS, only

pytestmark = pytest.mark.anyio

NAME = SECURE_COOKIE.encode()

SMUGGLED = {
    "unicode space": b"\xe2\x80\x80" + NAME + b"=VALUE",
    "unicode space behind": NAME + b"\xe2\x80\x80=VALUE",
    "no-break space": b"\xc2\xa0" + NAME + b"=VALUE",
    "latin-1 no-break space": b"\xa0" + NAME + b"=VALUE",
    "next line": b"\x85" + NAME + b"=VALUE",
    "vertical tab": b"\x0b" + NAME + b"=VALUE",
    "form feed": b"\x0c" + NAME + b"=VALUE",
    "version": b"$Version=1," + NAME + b"=VALUE",
    "version and blank": b"$Version=1, " + NAME + b"=VALUE",
    "comma": b"a=b," + NAME + b"=VALUE",
    "nameless": b"=" + NAME + b"=VALUE",
    "nameless with blank": b" = " + NAME + b"=VALUE",
    "quoted": b'a="; ' + NAME[:-1] + b'"' + NAME[-1:] + b'=VALUE"',
    "quoted name": b'"' + NAME + b'"=%s',
    "percent": b"%5F" + NAME[1:] + b"=VALUE",
    "other case": NAME.lower().replace(b"__host", b"__HOST") + b"=VALUE",
    "array": NAME + b"[]=VALUE",
    "dot": NAME.replace(b"-", b".") + b"=VALUE",
    "nul": b"\0" + NAME + b"=VALUE",
}


@only(PARSER_KINDS)
@pytest.mark.parametrize("smuggled", SMUGGLED)
async def test_a_similar_name_is_not_accepted_as_the_cookie(world: World, smuggled: str) -> None:
    attacker = world.tab(https=True)
    await attacker.login("eve")
    assert attacker.cookie is not None
    raw = SMUGGLED[smuggled].replace(b"VALUE", attacker.cookie.encode())
    victim = world.tab(https=True)
    answer = await victim.visit(lambda visit: visit.session.user_id, cookies=[raw])
    assert answer.result is None
    assert answer.status == 200
    # Nor is it a second value that makes the right cookie ambiguous.
    await victim.login("ada")
    both = [raw + b"; " + NAME + b"=" + str(victim.cookie).encode()]
    answer = await victim.visit(lambda visit: visit.session.user_id, cookies=both)
    assert answer.result == "ada"


async def test_over_https_the_plain_name_is_not_read(world: World) -> None:
    plain = world.tab()
    await plain.write(owner="eve")
    secure = world.tab(https=True)
    raw = [f"{COOKIE}={plain.cookie}".encode()]
    assert (await secure.visit(look, cookies=raw)).result == {}
    answer = await secure.visit(write(card="4111"), cookies=raw)
    assert answer.sets_session
    assert await plain.read() == {"owner": "eve"}
    assert await secure.read() == {"card": "4111"}
