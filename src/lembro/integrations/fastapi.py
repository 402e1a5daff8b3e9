"""FastAPI: the session, and typed parts of it, as dependencies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

from ..errors import CodecError, ConfigError
from ..logs import log
from ..session import Session
from ..state import MISSING

try:
    from fastapi import Depends, HTTPException
    from pydantic import TypeAdapter

    from .starlette import SessionMiddleware, get_session
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.fastapi needs FastAPI: pip install 'lembro[fastapi]'"
    ) from _missing

__all__ = ["SessionData", "SessionDep", "SessionMiddleware", "get_session"]

T = TypeVar("T")

SessionDep = Annotated[Session, Depends(get_session)]
"""``def page(session: SessionDep)``, for HTTP and WebSocket endpoints alike."""


def SessionData(  # noqa: N802 - named as what it stands for in a signature
    key: str, kind: type[T], *, default: Callable[[], T] | None = None
) -> Any:
    """A typed part of the session: ``CartDep = Annotated[Cart, SessionData("cart", Cart)]``.

    ``kind`` is a pydantic model, a dataclass or a msgspec Struct. What is stored under ``key`` is
    checked when it is loaded; the object is stored when the response begins, if it has changed.
    Without a stored one it is ``default()``, else ``kind()``. If what is stored no longer fits
    (the application has changed), the answer is 409, and what is stored stays.
    """
    load, dump = _converters(key, kind)
    make: Callable[[], T] = kind if default is None else default

    def loaded(value: Any) -> T:
        if value is MISSING:
            return _default(key, make)
        try:
            return load(value)
        except ValueError as error:
            log.warning("the session's %r no longer fits %s: %s", key, kind.__name__, error)
            raise HTTPException(
                409, f"The stored {key!r} no longer fits this application. Log in again."
            ) from None

    def part(session: SessionDep) -> T:
        return session._view(key, loaded, dump)

    return Depends(part)


def _converters(key: str, kind: type[T]) -> tuple[Callable[[Any], T], Callable[[T], Any]]:
    """How an object is made of what is stored, and the reverse."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return (lambda value: msgspec.convert(value, kind)), _dumper(key, msgspec.to_builtins)
    adapter: TypeAdapter[T] = TypeAdapter(kind)

    def load(value: Any) -> T:
        # By the fields' own names, and not strictly: a stored date is text, in a strict model too.
        return adapter.validate_python(value, strict=False, by_alias=False, by_name=True)

    def dump(value: T) -> Any:
        return adapter.dump_python(value, mode="json", by_alias=False, round_trip=True)

    return load, _dumper(key, dump)


def _dumper(key: str, dump: Callable[[T], Any]) -> Callable[[T], Any]:
    def dumped(value: T) -> Any:
        try:
            return dump(value)
        except (TypeError, ValueError) as error:
            raise CodecError(str(error), path=key) from None

    return dumped


def _default(key: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"SessionData({key!r}): {make!r} cannot be called without arguments ({error}); give "
            f"default=lambda: ..."
        ) from None
