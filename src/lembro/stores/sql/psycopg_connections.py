"""Connections of psycopg with a deadline, and a pool that ends with its event loop."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final, Self

import psycopg
from psycopg import waiting
from psycopg_pool import AsyncConnectionPool
from psycopg_pool.pool_async import StopWorker

from ..._log import log

NAME: Final = "lembro-sessions"
"""The name of each pool."""


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection that gives up at a deadline."""

    deadline: float = math.inf
    """The time of ``time.monotonic()`` at which the running verb fails."""

    @classmethod
    def connect(cls, *arguments: Any, **keywords: Any) -> Self:
        note: Callable[[Exception], None] | None = keywords.pop("note", None)
        try:
            return super().connect(*arguments, **keywords)
        except Exception as error:
            if note is not None:
                note(error)
            raise

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            left = self.deadline - time.monotonic()
            return waiting.wait(gen, self.pgconn.socket, interval, _seconds(left))
        except BaseException as error:
            if not _is_reply(error):
                # A reply may still arrive, and the next verb would read it as its own.
                self.pgconn.finish()
            raise


class AsyncDeadlineConnection(psycopg.AsyncConnection[Any]):
    """A connection of an event loop that gives up at a deadline."""

    deadline: float = math.inf

    @classmethod
    async def connect(cls, *arguments: Any, **keywords: Any) -> Self:
        note: Callable[[Exception], None] | None = keywords.pop("note", None)
        try:
            return await super().connect(*arguments, **keywords)
        except Exception as error:
            if note is not None:
                note(error)
            raise

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            left = self.deadline - time.monotonic()
            return await waiting.wait_async(gen, self.pgconn.socket, interval, _seconds(left))
        except BaseException as error:
            if not _is_reply(error):
                self.pgconn.finish()
            raise


def _is_reply(error: BaseException) -> bool:
    """Return whether the server has answered with this error."""
    return isinstance(error, psycopg.Error) and error.sqlstate is not None


def _seconds(left: float) -> float | None:
    return None if left == math.inf else max(left, 0.0)


def is_alive(connection: Any) -> bool:
    """Return whether the server has kept an idle connection open.

    Because of this check, no verb fails after a restart of the server.
    """
    try:
        # Neither call waits. The first one may read why the server closes the connection, and the
        # second one then finds the end.
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.Error:
        connection.pgconn.finish()
        return False
    return True


class LoopPool(AsyncConnectionPool[Any]):
    """The pool of an event loop. Its tasks end when the loop cancels them.

    The tasks of psycopg's own pool continue if they are cancelled while they connect. Then
    ``asyncio.run()`` would wait for them forever.
    """

    @classmethod
    async def worker(cls, q: Any) -> None:
        task: Any = asyncio.current_task()
        while not task.cancelling():
            job = await q.get()
            if isinstance(job, StopWorker):
                return
            try:
                await job.run()
            except Exception as error:
                log.warning("lembro: %s failed: %s", job, error)


def _is_of_others(record: logging.LogRecord) -> bool:
    """Return whether a message of psycopg's pool is not about a pool of lembro.

    The pool logs each failed attempt to connect, while the breaker logs the first one only.
    """
    about = record.args[0] if isinstance(record.args, tuple) and record.args else None
    if isinstance(about, DeadlineConnection | AsyncDeadlineConnection):
        return False
    return not (isinstance(about, str) and about.startswith(NAME))


logging.getLogger("psycopg.pool").addFilter(_is_of_others)
