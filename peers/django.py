"""Django: lembro's engine and middleware, in place of Django's own."""

from __future__ import annotations

from typing import Final

from peers.peer import Peer


def install() -> None:
    from django.contrib.sessions import middleware
    from django.contrib.sessions.backends import cache

    from lembro.integrations.django import SessionMiddleware, SessionStore

    cache.SessionStore = SessionStore
    middleware.SessionMiddleware = SessionMiddleware


MIDDLEWARE: Final = "sessions_tests.tests.SessionMiddlewareTests"
STORE: Final = "sessions_tests.tests.CacheSessionTests"
CLIENT: Final = "test_client.tests.ClientTest"

OF_THE_STORE: Final = {
    **dict.fromkeys(
        (
            f"{STORE}.test_create_and_save",
            f"{STORE}.test_create_and_save_async",
            f"{STORE}.test_default_cache",
            f"{STORE}.test_non_default_cache",
        ),
        "the test reads the cache of Django's cache engine",
    ),
    f"{STORE}.test_session_key_valid_string_saved": (
        "only lembro makes session IDs: no other text is accepted"
    ),
    **dict.fromkeys(
        (
            "auth_tests.test_middleware.TestLoginRequiredMiddleware."
            "test_protected_view_logged_in_performance",
            "admin_views.tests.AdminCustomQuerysetTest.test_changelist_view_count_queries",
            "admin_views.tests.AdminSearchTest.test_no_total_count",
            "admin_views.tests.AdminSearchTest.test_reset_link",
            "admin_views.tests.GroupAdminTest.test_group_permission_performance",
            "admin_views.tests.UserAdminTest.test_user_permission_performance",
        ),
        "the test counts a query for the session, which is not in the database",
    ),
    "auth_tests.test_views.LoginTest.test_session_key_flushed_on_login_after_password_change": (
        "each login has a new session ID, also a second login of the same user"
    ),
}
"""With the engine, under either middleware."""

PEER = Peer(
    project="django",
    how=(
        "`SESSION_ENGINE` and the middleware are lembro's; `CacheSessionTests` run on lembro's "
        "`SessionStore`"
    ),
    folder="tests",
    child="peers.django_child",
    tests=(
        "sessions_tests",
        "auth_tests",
        "messages_tests",
        "csrf_tests",
        "test_client",
        "test_client_regress",
        "admin_views",
        "flatpages_tests",
        "async",
    ),
    install=install,
    differs={
        **OF_THE_STORE,
        **dict.fromkeys(
            (
                f"{MIDDLEWARE}.test_empty_session_saved",
                f"{MIDDLEWARE}.test_save_every_request_with_non_empty_session_renews_session_cookie",
            ),
            "the test passes one request through the middleware twice: at the second time "
            "its session is saved already",
        ),
        **dict.fromkeys(
            (
                f"{MIDDLEWARE}.test_session_delete_on_end",
                f"{MIDDLEWARE}.test_session_delete_on_end_with_custom_domain_and_path",
            ),
            "only the request that ended the session clears the cookie, not one with an unknown ID",
        ),
        **dict.fromkeys(
            (
                f"{CLIENT}.test_logout_cookie_sessions",
                f"{CLIENT}.test_sessions_app_is_not_installed",
                f"{CLIENT}.test_view_with_login_when_sessions_app_is_not_installed",
                "test_client_regress.tests.SessionEngineTests.test_login",
            ),
            "the middleware accepts no other engine, and raises an error when it is created",
        ),
    },
)
