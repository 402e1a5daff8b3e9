"""A griffe extension for the API reference.

A role of a docstring, such as ``:class:`~lembro.Session```, becomes a link, and the value of a
field, such as ``field(default=None, repr=False)``, becomes its default.
"""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

_ROLE: Final = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`(~?)([\w.]+)`")


_FIELD: Final = re.compile(r"field\(.*?\bdefault(_factory)?=([\w.]+|\(\)).*\)", re.DOTALL)


def with_links(text: str) -> str:
    """Return a docstring whose roles are Markdown: a link to a full name, code for another."""

    def link(match: re.Match[str]) -> str:
        short, name = match.groups()
        shown = name.rpartition(".")[2] if short else name
        return f"[`{shown}`][{name}]" if name.startswith("lembro.") else f"`{shown}`"

    return _ROLE.sub(link, text)


def default_of(value: str) -> str:
    """Return the default of a dataclass field; another value stays as it is."""
    match = _FIELD.fullmatch(value)
    if match is None:
        return value
    factory, default = match.groups()
    return f"{default}()" if factory else default


class Reference(griffe.Extension):
    """Rewrites docstrings and the values of fields."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = with_links(obj.docstring.value)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Show the default of a field."""
        if str(attr.value).startswith("field("):
            attr.value = default_of(str(attr.value))
