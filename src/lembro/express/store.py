"""The base class of the stores of Express."""

from __future__ import annotations

from typing import Any, Final

from ..stores.external.store import ExternalStore
from .users import PASSPORT, ReadUser, Users, WriteUser

DAY: Final = 24 * 60 * 60


class ExpressStore(ExternalStore):
    """A store that reads and writes the sessions of one store of Express.

    It works only with an :class:`~lembro.express.ExpressManager`. Unlike other stores, it holds the
    session IDs themselves, as Express does.
    """

    lifetime: float = DAY
    """The seconds that a session without a ``maxAge`` lives, as in the npm package."""

    users: Users

    def __init__(self, backend: Any, users: Users, **options: Any) -> None:
        self.users = users
        super().__init__(backend, **options)


def users_of(
    user: ReadUser | None, set_user: WriteUser | None, user_type: type[str] | type[int] | None
) -> Users:
    """Make the object that reads and writes the user, from the arguments of a store."""
    return Users(
        PASSPORT if user is None else user, set_user, str if user_type is None else user_type
    )
