"""The values that a session cannot store: the reason, the remedy and the path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Final

SURROGATE: Final = "text with a lone surrogate cannot be stored, because UTF-8 cannot encode it"

_HINTS: Final = {
    "Enum": "store its .value",
    "Struct": "store msgspec.to_builtins(value)",
    "BaseModel": "store value.model_dump()",
    "SafeString": "store str.__str__(value), which templates escape",  # Django's str() keeps it
    "str": "store str(value)",
    "int": "store int(value)",
    "float": "store float(value)",
    "tuple": "store tuple(value)",
    "list": "store list(value)",
    "bytearray": "store bytes(value)",
    "memoryview": "store bytes(value)",
    "_Timestamp": "store value.to_pydatetime()",  # pandas, with nanoseconds
    "_Timedelta": "store value.to_pytimedelta()",
    **dict.fromkeys(("NaTType", "NAType"), "store None"),  # pandas
    "timedelta": "store timedelta(seconds=value.total_seconds())",  # pendulum's, with months
    "generic": "store value.item()",  # numpy's scalars
    "ndarray": "store value.tolist()",
    "PurePath": "store str(value)",
    "_IPAddressBase": "store str(value)",
    **dict.fromkeys(("_BaseUrl", "_BaseMultiHostUrl", "URL"), "store str(value)"),
    "__proxy__": "store str(value)",  # Django's lazy translation
    "LazyString": "store str(value)",  # Flask-Babel's
    # The models of Django, Flask-SQLAlchemy and SQLAlchemy, by name: lembro imports no framework.
    "Model": "store its primary key",
    "DeclarativeBase": "store its primary key",
    "QuerySet": "store list(value.values())",
    **dict.fromkeys(("deque", "range", "generator", "map", "filter", "zip"), "store list(value)"),
    **dict.fromkeys(("dict_keys", "dict_values", "dict_items"), "store list(value)"),
}


class Refused(Exception):  # noqa: N818 - it becomes a CodecError
    """A value that cannot be stored. The levels above add their parts of the path to it.

    Building the path of each value, in case it is refused, would take quadratic time: a long key
    would be copied for every value below it.
    """

    def __init__(self, message: str, *, is_value: bool = False) -> None:
        super().__init__(message)
        self.parts: list[str] = []  # the innermost first
        self._is_value = is_value  # the message names only the value

    def message(self, owner: str) -> str:
        """Return the reason. ``owner`` should have stored the value: a session or a cache."""
        return f"a {owner} cannot store {self}" if self._is_value else str(self)


def refusal(value: Any) -> str:
    """Return the kind of a value that cannot be stored, and what to store instead."""
    names = [base.__name__ for base in type(value).__mro__]
    hint = next((hint for name, hint in _HINTS.items() if name in names), None)
    if hint is None and not isinstance(value, type):
        hint = _hint_of_interface(value)
    if hint is None:
        hint = "store str, int, float, bool, None, bytes, list, tuple, dict, set, frozenset, "
        hint += "datetime, date, time, timedelta, UUID or Decimal"
    name = type(value).__name__
    if type(value).__module__ == "numpy":  # numpy.bool is another type than bool
        name = f"numpy.{name}"
    article = "an" if name.lower().startswith(("a", "e", "i", "o")) else "a"
    return f"{article} {name}; {hint}"


def _hint_of_interface(value: Any) -> str | None:
    """Return what to store instead of a value that is known by its methods."""
    for method in ("getlist", "getall"):  # multi-value dicts: forms and queries
        if hasattr(value, method) and isinstance(value, Mapping):
            return f"store {{key: value.{method}(key) for key in value}}"
    if isinstance(value, Mapping):
        return "store dict(value.items())"
    if is_dataclass(value):
        return "store dataclasses.asdict(value)"
    return None


def parts_of_surrogate(value: Any) -> list[str] | None:
    """Return the path to the text with a lone surrogate, the innermost part first."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return []
    elif isinstance(value, dict):
        for key, item in value.items():
            for part in (key, item):
                parts = parts_of_surrogate(part)
                if parts is not None:
                    return [*parts, f".{key}"]
    elif isinstance(value, list | tuple | set | frozenset):
        for i, item in enumerate(value):
            parts = parts_of_surrogate(item)
            if parts is not None:
                return [*parts, f"[{i}]"]
    return None
