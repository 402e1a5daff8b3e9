"""Flask: the extension in every application that has Flask's own sessions."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from peers.peer import Peer


def install() -> None:
    import flask
    from flask.sessions import SecureCookieSessionInterface

    from lembro import MemoryStore
    from lembro.integrations.flask import Lembro

    plain = flask.Flask.__init__
    store = MemoryStore("4M")

    @wraps(plain)
    def with_lembro(self: flask.Flask, *args: Any, **keywords: Any) -> None:
        plain(self, *args, **keywords)
        if type(self.session_interface) is SecureCookieSessionInterface:
            Lembro(self, store=store)

    flask.Flask.__init__ = with_lembro  # type: ignore[method-assign]


BASIC: Final = "tests/test_basic.py"
NO_SECRET: Final = "no `SECRET_KEY` is needed, so every session can be opened"

PEER = Peer(
    project="flask",
    how="`Lembro(app)` on every application that has Flask's own session interface",
    tests=("tests",),
    install=install,
    differs={
        f"{BASIC}::test_missing_session": NO_SECRET,
        "tests/test_testing.py::test_session_transactions_no_null_sessions": NO_SECRET,
        f"{BASIC}::test_session_secret_key_fallbacks": (
            "the cookie is a session ID, which needs no signature, so a change of `SECRET_KEY` "
            "ends no session"
        ),
        f"{BASIC}::test_session_using_samesite_attribute": (
            "the cookie is `SameSite=Lax` unless another one is configured"
        ),
        f"{BASIC}::test_session_expiration": "the cookie of a permanent session has `Max-Age`, "
        "which browsers prefer, and no `Expires`",
        f"{BASIC}::test_session_cookie_setting": (
            "a request that only reads extends a permanent session in the store, and sends no "
            "cookie"
        ),
        f"{BASIC}::test_session_refresh_vary": (
            "a response has no `Vary` if the session was not accessed, also if it is permanent"
        ),
        f"{BASIC}::test_session_using_session_settings": (
            "a session keeps its cookie when its last key is deleted; a logout clears the cookie"
        ),
        f"{BASIC}::test_app_freed_on_zero_refcount": (
            "the extension wraps `app.wsgi_app`, as Flask's documentation tells middlewares to, so "
            "the garbage collector frees an application"
        ),
    },
)
