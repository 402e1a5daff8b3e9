"""``LEMBRO["USER_ID"]``: the user's ID in lembro, where primary keys repeat between tenants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model, login
from django.test import Client

from lembro import ConfigError, SessionManager
from lembro.integrations.django import get_manager
from tests.support.django_site import Site, database, running

TENANT = ["acme"]


def user_id(pk: str) -> str:
    return f"{TENANT[0]}:{pk}"


@pytest.fixture
def site() -> Iterator[Site]:
    database()
    with running(LEMBRO={"USER_ID": f"{__name__}.user_id"}) as site:
        yield site


def test_users_of_two_tenants_with_one_primary_key_are_two_users(site: Site) -> None:
    model = get_user_model()
    model.objects.filter(username="ada").delete()
    ada = model.objects.create_user("ada")
    phone: Any = Client()
    try:
        site.visit(phone, lambda request: login(request, ada))
        TENANT[0] = "globex"
        site.visit(Client(), lambda request: login(request, ada))
    finally:
        TENANT[0] = "acme"
    assert len(site.manager.user_sessions(f"acme:{ada.pk}")) == 1
    assert site.manager.revoke_user(f"globex:{ada.pk}") == 1
    assert site.visit(phone, lambda request: request.user).result == ada


def test_a_removed_key_logs_the_user_of_the_tenant_out(site: Site) -> None:
    model = get_user_model()
    model.objects.filter(username="ada").delete()
    ada = model.objects.create_user("ada")
    client: Any = Client()
    site.visit(client, lambda request: login(request, ada))
    site.visit(client, lambda request: request.session.pop("_auth_user_id"))
    assert site.manager.user_sessions(f"acme:{ada.pk}") == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (7, r"LEMBRO\['USER_ID'\] must be a function .*, got 7"),
        ("shop.tenants.user_id", r"LEMBRO\['USER_ID'\].* cannot be imported"),
    ],
)
def test_a_user_id_that_is_no_function_is_refused(value: object, reason: str) -> None:
    with running(LEMBRO={"USER_ID": value}), pytest.raises(ConfigError, match=reason):
        get_manager()


def test_a_manager_of_the_settings_may_have_such_a_function() -> None:
    manager = SessionManager()
    with running(LEMBRO={"MANAGER": manager, "USER_ID": user_id}):
        assert get_manager() is manager
