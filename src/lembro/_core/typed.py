"""Typed parts of a session: objects that are made from the value of a key, and stored again.

A part is a dataclass, a msgspec Struct, a pydantic model, a TypedDict, or a list of one of these.
If the kind is not a Struct and pydantic is installed, pydantic converts it; otherwise msgspec does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import lru_cache
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
import msgspec.inspect

from ..errors import LONGEST_REASON, CodecError, ConfigError, printable
from .state import MISSING, Upgraded

T = TypeVar("T")

# msgspec quotes a stored value in these two errors. The path behind it names fields only. The first
# such error compiles it, because that takes longer than importing this module.
_QUOTED: Final = r"(Invalid (?:enum )?value) .*?( - at `(?:key` in `)?\$[^'`]*`)?"


class Misfit(CodecError):  # noqa: N818 - named after the data
    """The stored data do not fit the kind of a typed part any more.

    Attributes:
        path: The key of the part.
        reason: The fields that do not fit, and why. It never quotes stored values.
    """

    def __init__(self, key: str, kind: object, reason: str) -> None:
        self.reason: str = printable(reason, LONGEST_REASON)
        super().__init__(
            f"the session's {key!r} no longer fits {getattr(kind, '__name__', kind)}: "
            f"{self.reason}. If an older version of the application has stored it, give upgrade=f: "
            f"f(stored) returns the object"
        )
        self.path = printable(key)


def converters(key: str, kind: type[T]) -> tuple[Callable[[Any], T], Callable[[T], Any]]:
    """Return the functions that convert a stored value to an object, and an object to a value.

    Args:
        key: The key of the part, for errors.
        kind: A dataclass, a msgspec Struct, a pydantic model, a TypedDict, or a list of one of
            these.

    Returns:
        ``load``, which raises ValueError if the data do not fit, and ``dump``, which raises
        CodecError if the object cannot be stored.

    Raises:
        ConfigError: ``kind`` is something else.
    """
    if not _has_struct(kind):
        found = _with_pydantic(key, kind)
        if found is not None:
            return found
        _check_known(key, kind)
    return (lambda value: msgspec.convert(value, kind)), _dumper(key, msgspec.to_builtins)


@lru_cache(maxsize=256)
def cached_converters(key: str, kind: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the cached result of :func:`converters`, which takes pydantic milliseconds."""
    return converters(key, kind)


def loader(
    key: str,
    kind: type[T],
    default: Callable[[], T] | None = None,
    upgrade: Callable[[Any], T] | None = None,
    *,
    load: Callable[[Any], T] | None = None,
) -> Callable[[Any], T | Upgraded]:
    """Return the function that makes the object from the stored value, or from ``MISSING``.

    Args:
        key: The key of the part.
        kind: A kind that :func:`converters` accepts.
        default: Makes the object if nothing is stored; ``kind`` itself if it is None.
        upgrade: Makes the object from a copy of a stored value that does not fit. It may raise
            ValueError to refuse it.
        load: The first function of :func:`converters`, if you have called it already.

    Returns:
        A function that returns the object, within :class:`Upgraded` if ``upgrade`` made it.
        It raises :class:`Misfit`, a CodecError, if the stored value does not fit, and ConfigError
        if the default cannot be made.
    """
    convert = converters(key, kind)[0] if load is None else load
    make: Callable[[], T] = kind if default is None else default

    def loaded(value: Any) -> T | Upgraded:
        if value is MISSING:
            return _default(key, make)
        try:
            return convert(value)
        except ValueError as error:
            if upgrade is None:
                raise Misfit(key, kind, _reason(error)) from None
        try:
            # It may change its argument, but not the stored value.
            return Upgraded(upgrade(deepcopy(value)))
        except ValueError as error:
            raise Misfit(key, kind, _reason(error)) from None

    return loaded


def _has_struct(kind: Any) -> bool:
    """Return whether ``kind`` is a msgspec Struct, or is made of one, such as ``list[Item]``."""
    return any(
        isinstance(part, type) and issubclass(part, msgspec.Struct)
        for part in (kind, get_origin(kind), *get_args(kind))
    )


def _with_pydantic(key: str, kind: type[T]) -> tuple[Callable[[Any], T], Callable[[T], Any]] | None:
    """Return the converters that pydantic makes; None if it is missing or leaves it to msgspec."""
    try:
        from pydantic import TypeAdapter  # noqa: PLC0415 - only if it is used
        from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        adapter: TypeAdapter[T] = TypeAdapter(kind)
    except PydanticSchemaGenerationError:
        raise _unknown(key, kind) from None
    except PydanticUserError as error:
        if error.code == "typed-dict-version":  # it requires typing_extensions' before Python 3.12
            return None
        raise

    def load(value: Any) -> T:
        # By the fields' own names, and not strictly: a stored date is text, in a strict model too.
        return adapter.validate_python(value, strict=False, by_alias=False, by_name=True)

    def dump(value: T) -> Any:
        return adapter.dump_python(value, mode="json", by_alias=False, round_trip=True)

    return load, _dumper(key, dump)


def _check_known(key: str, kind: Any) -> None:
    """Raise ConfigError for a kind that msgspec cannot convert."""
    try:
        info: Any = msgspec.inspect.type_info(kind)
    except TypeError:
        raise _unknown(key, kind) from None
    if isinstance(getattr(info, "item_type", info), msgspec.inspect.CustomType):
        raise _unknown(key, kind)


def _unknown(key: str, kind: object) -> ConfigError:
    return ConfigError(
        f"a typed part of the session must be a pydantic model, a dataclass, a msgspec Struct, a "
        f"TypedDict, or a list of one of these, got {kind!r} for {key!r}. Example: write "
        f"@dataclass above the class"
    )


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
            f"the default of the session's {key!r} must be made without arguments, got {make!r} "
            f"({' '.join(str(error).split())}). Example: default=lambda: ..."
        ) from None


def _reason(error: ValueError) -> str:
    """Return the fields that do not fit, without the stored values that an error may quote."""
    if isinstance(error, msgspec.ValidationError):
        quoted = re.fullmatch(_QUOTED, str(error), re.DOTALL)
        return str(error) if quoted is None else quoted[1] + (quoted[2] or "")
    errors: Any = getattr(error, "errors", None)
    if errors is not None:  # pydantic's ValidationError
        return "; ".join(_fields(errors(include_url=False, include_context=False)))
    return str(error)


def _fields(errors: list[Any]) -> Iterator[str]:
    """Describe each error of pydantic: the field, if there is one, and the reason."""
    for each in errors:
        message: str = each["msg"]
        if each["type"] == "union_tag_invalid":  # its message quotes the stored tag
            message = "Input tag does not match any of the expected tags"
        field = ".".join(map(str, each["loc"]))
        yield f"{field}: {message}" if field else message
