"""The user of a session: read from a path or by a function, and written at a login."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import CodecError, ConfigError, UsageError
from lembro.express.users import Users


@pytest.mark.parametrize(
    ("data", "user"),
    [
        ({"passport": {"user": "ann"}}, "ann"),
        ({"passport": {"user": 42}}, "42"),
        ({"passport": {"user": {"id": 1}}}, None),
        ({"passport": {"user": True}}, None),
        ({"passport": {"user": ""}}, None),
        ({"passport": {"user": "x" * 300}}, None),
        ({"passport": {"user": None}}, None),
        ({"passport": {}}, None),
        ({"passport": ["user"]}, None),
        ({"passport": "user"}, None),
        ({}, None),
    ],
)
def test_the_user_is_read_from_a_path(data: Any, user: str | None) -> None:
    assert Users().read(data) == user


def test_a_login_is_written_at_the_path() -> None:
    data: dict[str, Any] = {"passport": {"flash": 1}, "a": {"b": "text"}}
    Users().write(data, "ann")
    Users("a.b.c").write(data, "ben")
    Users("id", user_type=int).write(data, "42")
    assert data == {
        "passport": {"flash": 1, "user": "ann"},
        "a": {"b": {"c": "ben"}},
        "id": 42,
    }


def test_functions_read_and_write_the_user() -> None:
    def write(data: dict[str, Any], user_id: str) -> None:
        data["account"] = {"key": f"user-{user_id}"}

    users = Users(lambda data: data["account"]["key"].removeprefix("user-"), write)
    data: dict[str, Any] = {}
    assert users.read(data) is None
    users.write(data, "ann")
    assert users.read(data) == "ann"


def test_a_login_needs_a_function_that_writes() -> None:
    with pytest.raises(UsageError, match="Give the manager a function too: set_user"):
        Users(lambda data: data["user"]).write({}, "ann")


def test_both_functions_must_agree() -> None:
    users = Users("id", lambda data, user_id: data.update(other=user_id))
    with pytest.raises(ConfigError, match="set_user must write the user that `user` reads"):
        users.write({}, "ann")


def test_an_id_of_another_type_is_refused() -> None:
    with pytest.raises(CodecError, match="because user_type is int, got 'ann'"):
        Users("id", user_type=int).write({}, "ann")
    with pytest.raises(ConfigError, match="set_user must write"):
        Users("id", user_type=int).write({}, "007")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"user": ""}, "user must be a path"),
        ({"user": "a..b"}, "user must be a path"),
        ({"user": 5}, "user must be a path"),
        ({"set_user": "x"}, "set_user must be a function"),
        ({"user_type": float}, "user_type must be str or int"),
    ],
)
def test_an_invalid_argument_is_refused(arguments: Any, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        Users(**arguments)
