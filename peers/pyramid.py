"""Pyramid: sessions of lembro's factory replace its own, and the dummy of ``pyramid.testing``."""

from __future__ import annotations

from typing import Any, Final

from peers.peer import Peer


def install() -> None:
    import pyramid.session
    import pyramid.testing
    from pyramid.request import Request

    from lembro import CookieOptions, MemoryStore
    from lembro.integrations.pyramid import LembroSessionFactory, PyramidSession

    store = MemoryStore("4M")

    def factory(*_: Any, **keywords: Any) -> Any:
        """Make a factory from the keywords of Pyramid's own factories."""
        options: dict[str, Any] = {}
        cookie = {
            {"cookie_name": "name"}.get(name, name): keywords[name]
            for name in ("cookie_name", "max_age", "path", "domain", "secure", "httponly")
            if keywords.get(name) is not None
        }
        if cookie:
            options["cookie"] = CookieOptions(**cookie)
        if keywords.get("timeout") is not None:
            options["idle_timeout"] = keywords["timeout"]
        return LembroSessionFactory(store=store, **options)

    class DummySession(PyramidSession):
        """A session without a request."""

        def __new__(cls) -> DummySession:
            made: Any = LembroSessionFactory(store=store)(Request.blank("/"))
            made.__class__ = cls
            return made  # type: ignore[no-any-return]

        def __init__(self) -> None:
            pass

    pyramid.session.BaseCookieSessionFactory = factory
    pyramid.session.SignedCookieSessionFactory = factory
    pyramid.testing.DummySession = DummySession


BASE: Final = "TestBaseCookieSession"
SIGNED: Final = "TestSignedCookieSession"
BOTH: Final = (BASE, SIGNED)

REASONS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "the test puts data into the cookie, which is a session ID here": {
        "test_ctor_with_cookie_still_valid": BOTH,
        "test_timeout_never": BOTH,
        "test_reissue_triggered": BOTH,
        "test_reissue_not_triggered": BOTH,
        "test_reissue_never": BOTH,
        "test_reissue_str_triggered": BOTH,
        "test_custom_salt": (SIGNED,),
        "test_custom_hashalg": (SIGNED,),
        "test_custom_serializer": (SIGNED,),
    },
    "the test uses private attributes of Pyramid's own class, `_set_cookie` or `_dirty`": {
        "test_changed": BOTH,
        "test__set_cookie_on_exception": BOTH,
        "test__set_cookie_on_exception_no_request_exception": BOTH,
        "test__set_cookie_cookieval_too_long": BOTH,
        "test__set_cookie_real_webob_response": BOTH,
        "test__set_cookie_options": BOTH,
    },
    "`set_on_exception` has no equivalent: a 5xx response drops the changes, other "
    "responses keep them": {
        "test_no_set_cookie_with_exception": BOTH,
    },
    "`reissue_time` has no equivalent: the cookie does not age": {
        "test_reissue_invalid": BOTH,
    },
    "a timeout is a number or a `timedelta`; text is accepted only in the settings,"
    " which `includeme` reads": {
        "test_timeout_str": BOTH,
    },
}

PEER = Peer(
    project="pyramid",
    how="`LembroSessionFactory` in place of the cookie factories and of `testing.DummySession`",
    tests=(
        "tests/test_session.py",
        "tests/test_csrf.py",
        "tests/test_testing.py",
        "tests/test_viewderivers.py",
        "tests/test_authentication.py",
    ),
    install=install,
    differs={
        f"tests/test_session.py::{case}::{test}": reason
        for reason, tests in REASONS.items()
        for test, cases in tests.items()
        for case in cases
    },
)
