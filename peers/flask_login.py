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
    differs=dict.fromkeys(
        (
            f"{LOGIN}::test_needs_refresh_fires_flash_when_redirect_to_refresh_view",
            f"{LOGIN}::test_needs_refresh_flash_message_localized",
            f"{LOGIN}::test_unauthorized_flash_message_localized",
            f"{LOGIN}::test_unauthorized_flashes_message_with_login_view",
        ),
        "`get_flashed_messages()` after the response removes the messages from a "
        "session that is saved already: it raises `SessionCommitted`, so that the "
        "change is not lost silently",
    ),
)
