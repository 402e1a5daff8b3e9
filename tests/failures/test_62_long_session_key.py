"""62. A session key that is too long for other tables: allauth.usersessions failed at each login.

Its column has 40 characters. ``integrations/test_django_keys.py`` has the other ways to a key.
"""

from __future__ import annotations

import pytest

from lembro.integrations.django import SessionStore
from lembro.stores import MemoryStore
from tests.support.django_site import running

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("secret", [None, SECRET])
def test_a_key_of_django_has_at_most_40_characters(secret: str | None) -> None:
    with running(LEMBRO={"STORE": MemoryStore("1M"), "SECRET": secret}):
        session = SessionStore()
        keys = []
        for act in (session.create, session.cycle_key, session.flush, session.create):
            act()
            keys.append(session.session_key or "")
        assert [len(key) for key in keys] == [40, 40, 0, 40]
        assert len(set(keys)) == 4
