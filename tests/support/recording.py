"""A store that records its calls, and fails on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lembro import MemoryStore, StoreError
from lembro.ids import key_for
from lembro.stores.base import Found, Record
from lembro.testing import FakeClock


class Recorder(MemoryStore):
    """A MemoryStore on a fake clock that records which verbs are called.

    ``before[verb]`` is called once, before that verb is performed: a test makes another request
    there. Verbs in ``fail`` raise StoreError.
    """

    def __init__(self, max_size: str = "1M", **settings: Any) -> None:
        self.clock = FakeClock()
        super().__init__(max_size, clock=self.clock, **settings)
        self.verbs: list[str] = []
        self.before: dict[str, Callable[[], object]] = {}
        self.fail: set[str] = set()

    def _called(self, verb: str) -> None:
        self.verbs.append(verb)
        if verb in self.before:
            self.before.pop(verb)()
        if verb in self.fail:
            raise StoreError(f"{verb}: the backend is down")

    def corrupt(self, session_id: str) -> None:
        """Make the record of this session unreadable."""
        key = key_for(session_id)
        found = super().get(key)
        assert found is not None
        super().set(key, Record(b"broken"), expected=found.payload, idle=1000)

    def get(self, key: bytes) -> Found | None:
        self._called("get")
        return super().get(key)

    def add(self, *args: Any, **options: Any) -> bool:
        self._called("add")
        return super().add(*args, **options)

    def set(self, *args: Any, **options: Any) -> Found | None:
        self._called("set")
        return super().set(*args, **options)

    def replace(self, *args: Any, **options: Any) -> Found | None:
        self._called("replace")
        return super().replace(*args, **options)

    def touch(self, *args: Any, **options: Any) -> bool:
        self._called("touch")
        return super().touch(*args, **options)

    def destroy(self, *args: Any, **options: Any) -> Found | None:
        self._called("destroy")
        return super().destroy(*args, **options)

    def destroy_user(self, *args: Any, **options: Any) -> list[bytes]:
        self._called("destroy_user")
        return super().destroy_user(*args, **options)

    def of_user(self, user: str) -> list[tuple[bytes, Found]]:
        found = super().of_user(user)
        if "of_user" in self.before:  # the result may be out of date when it is used
            self.before.pop("of_user")()
        return found
