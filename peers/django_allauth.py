"""django-allauth: accounts, social logins, MFA and the lists of a user's sessions."""

from __future__ import annotations

from typing import Final

from peers.peer import Peer

HEADLESS: Final = "tests/apps/headless"
TOKENS: Final = f"{HEADLESS}/tokens/test_jwttokenstrategy.py::test_access_token_query_counts"
ACTIVITY: Final = f"{HEADLESS}/usersessions/test_activity.py::test_authentication_query_counts"

PEER = Peer(
    project="django-allauth",
    how="`SESSION_ENGINE` and the middleware are lembro's, in all tests",
    tests=("tests",),
    options=(
        *("-p", "pytest_django.plugin", "-p", "pytest_asyncio.plugin"),
        "--ds=peers.django_allauth_settings",
    ),
    differs={
        **dict.fromkeys(
            (
                f"{TOKENS}[app-url1-True-2]",
                f"{TOKENS}[app-url3-True-2]",
                f"{ACTIVITY}[False-True-2-headless_rest_framework_jwt_resource]",
                f"{ACTIVITY}[False-True-2-headless_ninja:jwt_resource]",
                f"{ACTIVITY}[True-True-7-headless_rest_framework_jwt_resource]",
                f"{ACTIVITY}[True-True-7-headless_ninja:jwt_resource]",
            ),
            "the test counts a query for the session, and lembro needs none",
        ),
        f"{HEADLESS}/account/test_reset_password_by_code.py::test_password_reset_flow[app-False]": (
            "the test accesses the session for the first time after the response, which has no "
            "`Vary: Cookie`, and lembro raises `SessionCommitted`"
        ),
    },
)
