"""Flask-Login, over Flask's sessions."""

from __future__ import annotations

from typing import Final

from peers import flask
from peers.peer import Peer

LOGIN: Final = "tests/test_login.py::LoginTestCase"

PEER = Peer(
    project="flask-login",
    how="as for Flask",
    tests=("tests",),
    options=("-W", "ignore:datetime.datetime.utcnow:DeprecationWarning"),
    install=flask.install,
    differs={
        f"{LOGIN}::test_fresh_login_required_decorator": "`session.clear()` is a logout, which "
        "removes the remember cookie too",
        f"{LOGIN}::test_session_protection_strong_deletes_session": "strong session protection "
        "finds another browser, perhaps a thief's, so the whole session ends",
        **dict.fromkeys(
            (
                f"{LOGIN}::test_needs_refresh_fires_flash_when_redirect_to_refresh_view",
                f"{LOGIN}::test_needs_refresh_flash_message_localized",
                f"{LOGIN}::test_unauthorized_flash_message_localized",
                f"{LOGIN}::test_unauthorized_flashes_message_with_login_view",
            ),
            "`get_flashed_messages()` after the response changes a session that is already "
            "stored, and lembro raises `SessionCommitted` for it",
        ),
    },
)
