"""The user who is logged in, in the data of a session of Express."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ..errors import CodecError, ConfigError, UsageError, printable
from ..ids import user_id_text

Data = dict[str, Any]
ReadUser: TypeAlias = str | Callable[[Data], Any]
WriteUser: TypeAlias = Callable[[Data, str], None]

PASSPORT: Final = "passport.user"

_DATA_FAULTS: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class Users:
    """Reads the user from the data of a session, and writes it at a login.

    Args:
        user: The path of the user ID in the data, such as ``passport.user``. Or a function that
            takes the data and returns the ID.
        set_user: A function that takes the data and the ID, and notes the login in the data. None:
            the ID is written at the path.
        user_type: The type of the ID at the path: str or int.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        user: ReadUser = PASSPORT,
        set_user: WriteUser | None = None,
        user_type: type[str] | type[int] = str,
    ) -> None:
        if not callable(user) and not (isinstance(user, str) and all(user.split("."))):
            raise ConfigError(
                f"user must be a path such as 'passport.user', or a function of the session's "
                f"data, got {user!r}. Example: user='userId'"
            )
        if set_user is not None and not callable(set_user):
            raise ConfigError(
                f"set_user must be a function of the session's data and the user ID, got "
                f"{set_user!r}. Leave it out if user is a path"
            )
        if user_type not in (str, int):
            raise ConfigError(f"user_type must be str or int, got {user_type!r}")
        self._read = user if callable(user) else None
        self._path: list[str] = [] if callable(user) else user.split(".")
        self._write = set_user
        self._type: Callable[[str], Any] = user_type

    def read(self, data: Data) -> str | None:
        """Return the user ID as text; None if nobody is logged in, or if it cannot be an ID."""
        try:
            found = self._at_path(data) if self._read is None else self._read(data)
            return None if found is None else user_id_text(found, "login")
        except _DATA_FAULTS:
            return None

    def write(self, data: Data, user_id: str) -> None:
        """Note a login in the data.

        Raises:
            UsageError: there is no ``set_user``, and no path.
            ConfigError: ``set_user`` writes another user than ``user`` reads.
            CodecError: the ID is not an int, and ``user_type`` is.
        """
        if self._write is not None:
            self._write(data, user_id)
        elif not self._path:
            raise UsageError(
                "session.login() cannot note the user for Express, because `user` is a function. "
                "Give the manager a function too: set_user(data, user_id)"
            )
        else:
            self._set_at_path(data, user_id)
        if self.read(data) != user_id:
            raise ConfigError(
                "the function set_user must write the user that `user` reads. After "
                "set_user(data, user_id), user(data) did not return user_id"
            )

    def _at_path(self, data: Any) -> Any:
        for part in self._path:
            data = data[part]
        return data

    def _set_at_path(self, data: Data, user_id: str) -> None:
        try:
            value = self._type(user_id)
        except ValueError:
            raise CodecError(
                f"login() must get a whole number, because user_type is int, got "
                f"{printable(user_id)!r}"
            ) from None
        *parents, last = self._path
        for part in parents:
            inner = data.get(part)
            if not isinstance(inner, dict):
                inner = data[part] = {}
            data = inner
        data[last] = value
