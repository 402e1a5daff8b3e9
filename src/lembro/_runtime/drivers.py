"""Perform the store calls of a flow, sync or async: the only place where the two differ."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from .._core.effects import Call, Flow
from .._threads import in_asyncio, in_thread
from ..errors import SessionTooLarge, StoreError

T = TypeVar("T")

_THROWN = (StoreError, SessionTooLarge)  # errors of a store that a flow may handle


def run(flow: Flow[T], store: Any) -> T:
    """Run a flow on a store whose verbs are plain functions."""
    try:
        call = next(flow)
        while True:
            try:
                target = store if call.of is None else call.of
                result = getattr(target, call.verb)(*call.args, **call.keywords)
            except _THROWN as error:
                call = flow.throw(error)
            else:
                call = flow.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def arun(flow: Flow[T], perform: Callable[[Call], Awaitable[Any]]) -> T:
    """Run a flow whose calls are awaited."""
    try:
        call = next(flow)
        while True:
            try:
                waiting = perform(call) if call.of is None else call.of.aread(*call.args)
                result = await waiting
            except _THROWN as error:
                call = flow.throw(error)
            else:
                call = flow.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def sync_and_async(store: Any) -> tuple[Any, Any]:
    """Return the store for callers that may block, and the store whose verbs are awaited.

    An external store is both, unless you passed it a sync or an async client. Others are one.
    """
    if not hasattr(store, "blocking"):
        return None, store
    return getattr(store, "sync", store), getattr(store, "aio", None)


def performer(store: Any) -> Callable[[Call], Awaitable[Any]]:
    """Return the function that performs a call on this store in an event loop."""

    async def awaited(call: Call) -> Any:
        result = getattr(aio, call.verb)(*call.args, **call.keywords)
        if isinstance(result, AsyncIterator):
            return [item async for item in result]
        return await result

    async def threaded(call: Call) -> Any:
        return await in_thread(partial(_listed, store, call))

    async def at_once(call: Call) -> Any:
        return _perform(store, call)

    async def either(call: Call) -> Any:
        # Under trio the sync verbs run in a thread, because clients of databases need asyncio.
        return await (threaded(call) if sync is not None and not in_asyncio() else awaited(call))

    sync, aio = sync_and_async(store)
    if aio is None:
        return threaded if store.blocking else at_once
    return either


def _perform(store: Any, call: Call) -> Any:
    return getattr(store, call.verb)(*call.args, **call.keywords)


def _listed(store: Any, call: Call) -> Any:
    result = _perform(store, call)
    # An iterator would block at each item, outside of this thread.
    return list(result) if isinstance(result, Iterator) else result
