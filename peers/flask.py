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
NO_SECRET: Final = "no `SECRET_KEY` is needed: a session can be opened without it"

PEER = Peer(
    project="flask",
    how="`Lembro(app)` on every application with Flask's own session interface",
    tests=("tests",),
    install=install,
    differs={
        f"{BASIC}::test_missing_session": NO_SECRET,
        "tests/test_testing.py::test_session_transactions_no_null_sessions": NO_SECRET,
        f"{BASIC}::test_session_secret_key_fallbacks": (
            "the cookie is a session ID, which needs no signature, so a change of "
            "`SECRET_KEY` ends no session"
        ),
        f"{BASIC}::test_session_using_samesite_attribute": (
            "the cookie is `SameSite=Lax` unless another value is configured"
        ),
        f"{BASIC}::test_session_expiration": (
            "a permanent session's cookie has `Max-Age`, which browsers use, instead of `Expires`"
        ),
        f"{BASIC}::test_session_cookie_setting": (
            "a request that only reads extends a permanent session in the store, and sends no "
            "cookie"
        ),
        f"{BASIC}::test_session_refresh_vary": (
            "the response to a request that does not use the session has no `Vary`, also if"
            " the session is permanent"
        ),
        f"{BASIC}::test_session_using_session_settings": (
            "a session that has lost its last key keeps its cookie; a logout clears it"
        ),
        f"{BASIC}::test_app_freed_on_zero_refcount": (
            "the extension wraps `app.wsgi_app`, as Flask's documentation recommends for "
            "middlewares, so only the garbage collector frees an application"
        ),
    },
)
