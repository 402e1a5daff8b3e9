"""The page of sessions in the admin of Django: permissions, attacks, and what it ends."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import override_settings

from lembro import Event, MemoryStore
from lembro.dashboard.listing import PAGE
from tests.support.django_site import Site, database, running

# Models can be imported once the settings are there.
from django.contrib.admin.models import LogEntry  # isort: skip
from django.contrib.auth.models import Permission  # isort: skip
from lembro.integrations.django.admin import SessionAdmin  # isort: skip
from lembro.integrations.django.models import Session  # isort: skip

PASSWORD = "correct horse"
PAGE_OF_SESSIONS = "/admin/lembro/session/"


@pytest.fixture(scope="module", autouse=True)
def _database() -> None:
    database()


@pytest.fixture
def site() -> Iterator[Site]:
    with running() as site:
        yield site


def staff(name: str, *permissions: str) -> Any:
    """Return the client of a member of the staff with these permissions."""
    model = get_user_model()
    model.objects.filter(username=name).delete()
    user = model.objects.create_user(name, password=PASSWORD, is_staff=True)
    granted = Permission.objects.filter(content_type__app_label="lembro")
    user.user_permissions.set(granted.filter(codename__in=permissions))
    client: Any = Client(enforce_csrf_checks=True)
    client.force_login(user)
    client.user = user
    return client


@pytest.fixture
def ada(site: Site) -> Any:
    return staff("ada", "view_session", "delete_session")


def post(client: Any, **form: str) -> Any:
    """Send a form with the token of the page."""
    page = client.get(PAGE_OF_SESSIONS).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    return client.post(PAGE_OF_SESSIONS, {"csrfmiddlewaretoken": token[1], **form})


def test_the_index_links_to_the_page(site: Site, ada: Any) -> None:
    page = ada.get("/admin/").content.decode()
    assert f'href="{PAGE_OF_SESSIONS}"' in page
    assert f"{PAGE_OF_SESSIONS}add/" not in page


def test_the_page_needs_its_permission(site: Site) -> None:
    visitor: Any = Client()
    clerk = staff("clerk")
    for path in ("", "stats", "live.js"):
        assert visitor.get(PAGE_OF_SESSIONS + path)["Location"].startswith("/admin/login/")
        assert clerk.get(PAGE_OF_SESSIONS + path).status_code == 403
    assert PAGE_OF_SESSIONS not in clerk.get("/admin/").content.decode()


def test_ending_needs_another_permission(site: Site) -> None:
    reader = staff("reader", "view_session")
    site.manager.create({"a": 1}, user_id="heidi")
    page = reader.get(PAGE_OF_SESSIONS)
    assert page.status_code == 200
    assert 'name="action"' not in page.content.decode()
    token = re.search(
        r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode()
    )  # of the form of the logout
    assert token is not None
    form = {"csrfmiddlewaretoken": token[1], "action": "user", "user": "heidi", "confirm": "yes"}
    assert reader.post(PAGE_OF_SESSIONS, form).status_code == 403
    assert len(site.manager.user_sessions("heidi")) == 1


def test_a_form_of_another_site_ends_nothing(site: Site, ada: Any) -> None:
    site.manager.create({"a": 1}, user_id="heidi")
    form = {"action": "user", "user": "heidi", "confirm": "yes"}
    assert ada.post(PAGE_OF_SESSIONS, form).status_code == 403
    assert len(site.manager.user_sessions("heidi")) == 1


def test_a_page_shows_names_and_no_data(site: Site, ada: Any) -> None:
    site.manager.create({"token": "s3cret"}, user_id="<script>alert(1)</script>\n")
    site.manager.create({"a": 1})
    site.manager.create({"a": 1}, user_id="9" * 40)  # no primary key
    page = ada.get(PAGE_OF_SESSIONS).content.decode()
    assert "<bdi>ada</bdi>" in page
    assert f"?user={ada.user.pk}" in page
    assert "visitor" in page
    assert "<script>alert" not in page
    assert "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "s3cret" not in page
    assert ada.cookies["sessionid"].value not in page
    assert "4 sessions" in page


def test_a_search_knows_the_names_of_users(site: Site, ada: Any) -> None:
    site.manager.create({"a": 1}, user_id="heidi")
    assert "1 session with “AD”" in ada.get(PAGE_OF_SESSIONS, {"q": "AD"}).content.decode()
    page = ada.get(PAGE_OF_SESSIONS, {"user": "heidi"}).content.decode()
    assert "1 session of heidi" in page
    assert "End all of them" in page
    assert "0 sessions" in ada.get(PAGE_OF_SESSIONS, {"q": "<nobody>"}).content.decode()


def test_there_are_pages(site: Site, ada: Any) -> None:
    for number in range(PAGE):
        site.manager.create({"a": number}, user_id=f"user {number}")
    first = ada.get(PAGE_OF_SESSIONS).content.decode()
    following = re.search(r'href="\./(\?[^"]+)" rel="next"', first)
    assert following is not None
    second = ada.get(PAGE_OF_SESSIONS + following[1].replace("&amp;", "&")).content.decode()
    assert second.count('title="The handle') == 1
    assert "First page" in second


def test_sessions_are_ended_after_a_confirmation(site: Site, ada: Any) -> None:
    ended: list[Event] = []
    site.manager.on("destroyed", ended.append)
    for _ in range(3):
        site.manager.create({"a": 1}, user_id="heidi & peter")
    handle = site.manager.user_sessions("heidi & peter")[0].handle
    form = {"action": "session", "handle": handle, "user": "heidi%20%26%20peter"}
    asked = post(ada, **form).content.decode()
    assert f"End the session {handle} of heidi &amp; peter?" in asked
    assert len(ended) == 0
    answer = post(ada, **form, confirm="yes")
    assert (answer.status_code, answer["Location"]) == (302, "./")
    assert "The session has ended." in ada.get(PAGE_OF_SESSIONS).content.decode()
    post(ada, action="user", user="heidi%20%26%20peter", confirm="yes")
    assert site.manager.user_sessions("heidi & peter") == []
    assert {(event.user_id, event.reason) for event in ended} == {
        ("heidi & peter", "in the dashboard, by ada")
    }
    assert len(ended) == 3
    noted = [*LogEntry.objects.filter(user=ada.user).order_by("pk")]
    assert [entry.change_message for entry in noted] == [
        "The session has ended.",
        "2 sessions have ended.",
    ]
    assert [entry.get_admin_url() for entry in noted] == [None, None]
    assert ada.get("/admin/").status_code == 200  # it lists these actions


def test_nul_characters_never_reach_the_database(
    site: Site, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As parameters, PostgreSQL's driver refuses them, and the page would be an error."""

    def execute(execute: Any, sql: str, values: Any, many: bool, context: Any) -> Any:
        assert "\0" not in "".join(map(str, values or ()))
        return execute(sql, values, many, context)

    # A primary key of text accepts NUL.
    monkeypatch.setattr(get_user_model()._meta.pk, "clean", lambda value, _: value)
    site.manager.create({"a": 1}, user_id="he\0idi")
    with connection.execute_wrapper(execute):
        assert "1 session with" in ada.get(PAGE_OF_SESSIONS, {"q": "he\0"}).content.decode()
        assert ada.get(PAGE_OF_SESSIONS, {"q": "\0\0"}).status_code == 200
        form = {"action": "user", "user": "he%00idi", "confirm": "yes"}
        assert post(ada, **form).status_code == 302
        form = {"action": "session", "handle": "\0", "confirm": "yes"}
        assert post(ada, **form).status_code == 302
    assert site.manager.user_sessions("he\0idi") == []
    assert LogEntry.objects.filter(object_id="he\ufffdidi").exists()


def test_all_sessions_are_ended(site: Site, ada: Any) -> None:
    heard: list[Event] = []
    site.manager.on("cleared", heard.append)
    assert "You are logged out too." in post(ada, action="all").content.decode()
    assert post(ada, action="all", confirm="yes").status_code == 302
    assert site.records() == []
    assert heard == [Event("cleared", reason="in the dashboard, by ada")]
    assert ada.get(PAGE_OF_SESSIONS)["Location"].startswith("/admin/login/")


def test_an_incomplete_form_or_wrong_method_is_refused(site: Site, ada: Any) -> None:
    assert post(ada, action="session").status_code == 400
    assert ada.get(PAGE_OF_SESSIONS, {"user": "x" * 257}).status_code == 400
    token = ada.cookies["csrftoken"].value
    for path in ("", "stats", "live.js"):
        answer = ada.put(PAGE_OF_SESSIONS + path, headers={"x-csrftoken": token})
        assert answer.status_code == 405


def test_statistics_and_files_are_served(site: Site, ada: Any) -> None:
    stats = json.loads(ada.get(PAGE_OF_SESSIONS + "stats").content)
    assert stats["sessions"] == 1
    for name in ("live.js", "charts.js", "charts.css", "list.css", "admin.css"):
        answer = ada.get(PAGE_OF_SESSIONS + name)
        assert answer["Content-Type"].startswith("text/")
    for name in ("live.html", "nowhere"):
        assert ada.get(PAGE_OF_SESSIONS + name).status_code == 404


def test_a_poll_does_not_extend_the_session(site: Site, ada: Any) -> None:
    site.clock.now += 3 * 86400
    (before,) = site.manager.user_sessions(ada.user.pk)
    ada.get(PAGE_OF_SESSIONS + "stats")
    (after,) = site.manager.user_sessions(ada.user.pk)
    assert after.expires_in == before.expires_in
    ada.get(PAGE_OF_SESSIONS)
    (after,) = site.manager.user_sessions(ada.user.pk)
    assert after.expires_in > before.expires_in


def test_the_named_keys_are_shown(site: Site, ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionAdmin, "show", ["cart"])
    site.manager.create({"cart": ["<b>"], "token": "s3cret"}, user_id="heidi")
    page = ada.get(PAGE_OF_SESSIONS).content.decode()
    assert "<b>cart</b> [&#x27;&lt;b&gt;&#x27;]" in page
    assert "s3cret" not in page


def test_a_store_without_statistics_has_no_charts(
    site: Site, ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(MemoryStore, "stats")
    assert "live.js" not in ada.get(PAGE_OF_SESSIONS).content.decode()
    assert ada.get(PAGE_OF_SESSIONS + "stats").status_code == 404


def test_djangos_own_sessions_may_be_in_use(site: Site) -> None:
    with override_settings(
        SESSION_ENGINE="django.contrib.sessions.backends.db",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
    ):
        assert staff("ada", "view_session").get(PAGE_OF_SESSIONS + "stats").status_code == 200


def test_the_model_has_no_table() -> None:
    assert [*Session.objects.all(), *Session._base_manager.all()] == []
    output = io.StringIO()
    call_command("dumpdata", "lembro", "--all", stdout=output)
    assert json.loads(output.getvalue()) == []
    call_command("makemigrations", "--check", "--dry-run", stdout=output)
    # Another test of this process may have configured the name of the cookie.
    with override_settings(SILENCED_SYSTEM_CHECKS=["lembro.W002"]):
        call_command("check", fail_level="WARNING", stdout=output, stderr=output)
