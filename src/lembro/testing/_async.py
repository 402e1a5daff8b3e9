"""The contract suite for stores whose verbs are ``async def``."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from ._contract import StoreContract


class Blocking:
    """A Store over an AsyncStore: each verb runs on a private event loop."""

    blocking = True

    def __init__(self, make: Callable[[], Any]) -> None:
        """Make the store. ``make()`` is called on the loop; it may return an awaitable."""
        self._runner = asyncio.Runner()
        self.store: Any = self._runner.run(self._make(make))

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.store, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **options: Any) -> Any:
            return self._runner.run(self._call(attribute, args, options))

        return call

    def close(self) -> None:
        """Close the store, if it can be closed (``aclose`` or ``close``), and the loop."""
        for name in ("aclose", "close"):
            if hasattr(self.store, name):
                self._runner.run(self._call(getattr(self.store, name), (), {}))
                break
        self._runner.close()

    @staticmethod
    async def _make(make: Callable[[], Any]) -> Any:
        made = make()
        return await made if inspect.isawaitable(made) else made

    @staticmethod
    async def _call(verb: Callable[..., Any], args: Any, options: Any) -> Any:
        result = verb(*args, **options)
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "__aiter__"):
            result = [item async for item in result]
        return result


class AsyncStoreContract(StoreContract):
    """The suite for an AsyncStore. Subclass it with ``make_async_store`` and ``advance``."""

    def make_async_store(self) -> Any:
        """Return a new, empty store, or an awaitable of one. It is called on the loop."""
        raise NotImplementedError(
            f"{type(self).__name__} needs make_async_store(self), which returns a new, empty store"
        )

    def make_store(self) -> Any:
        return Blocking(self.make_async_store)
