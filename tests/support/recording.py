"""Stores for tests: one that records what it is asked, and both kinds that are not in-process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from lembro import MemoryStore, StoreError
from lembro.ids import key_for
from lembro.stores.base import Found, Record
from lembro.testing import FakeClock


class Recorder(MemoryStore):
    """A MemoryStore on a fake clock that writes down which verbs are called.

    ``before[verb]`` is called once, before that verb is performed: there another request comes in
    between. Verbs in ``fail`` raise StoreError.
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
        if "of_user" in self.before:  # what it returns may be out of date when it is used
            self.before.pop("of_user")()
        return found


class AsyncAdapter:
    """A store as an AsyncStore: every verb gives way to other tasks before it acts, and after."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    async def _perform(self, verb: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        await anyio.sleep(0)
        result = getattr(self.store, verb)(*args, **options)
        await anyio.sleep(0)
        return result

    async def get(self, *args: Any, **options: Any) -> Any:
        return await self._perform("get", args, options)

    async def add(self, *args: Any, **options: Any) -> Any:
        return await self._perform("add", args, options)

    async def set(self, *args: Any, **options: Any) -> Any:
        return await self._perform("set", args, options)

    async def replace(self, *args: Any, **options: Any) -> Any:
        return await self._perform("replace", args, options)

    async def touch(self, *args: Any, **options: Any) -> Any:
        return await self._perform("touch", args, options)

    async def destroy(self, *args: Any, **options: Any) -> Any:
        return await self._perform("destroy", args, options)

    def __getattr__(self, name: str) -> Any:
        if name == "blocking" or name.startswith("_"):
            raise AttributeError(name)
        attribute = getattr(self.store, name)
        if not callable(attribute):
            return attribute

        async def optional(*args: Any, **options: Any) -> Any:
            return await self._perform(name, args, options)

        return optional


class Blocking:
    """A store as one whose verbs take their time: an async driver calls it in a thread."""

    blocking = True

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def get(self, *args: Any, **options: Any) -> Any:
        return self.store.get(*args, **options)

    def add(self, *args: Any, **options: Any) -> Any:
        return self.store.add(*args, **options)

    def set(self, *args: Any, **options: Any) -> Any:
        return self.store.set(*args, **options)

    def replace(self, *args: Any, **options: Any) -> Any:
        return self.store.replace(*args, **options)

    def touch(self, *args: Any, **options: Any) -> Any:
        return self.store.touch(*args, **options)

    def destroy(self, *args: Any, **options: Any) -> Any:
        return self.store.destroy(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.store, name)
