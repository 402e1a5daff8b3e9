"""Flask-WTF, whose CSRF tokens are in Flask's sessions."""

from __future__ import annotations

from peers import flask
from peers.peer import Peer

PEER = Peer(
    project="flask-wtf",
    how="as for Flask",
    tests=("tests",),
    install=flask.install,
    differs={
        "tests/test_csrf_extension.py::test_same_origin": (
            "over https the cookie has another name (`__Host-...`), and a cookie of plain "
            "http is not read"
        )
    },
)
