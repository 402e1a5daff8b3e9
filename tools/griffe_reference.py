"""A griffe extension for the API reference.

A role of a docstring, such as ``:class:`~lembro.Session```, becomes a link. The value of a field,
such as ``field(default=None, repr=False)``, becomes its default. A class or a method without a
docstring gets that of its base class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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


def inherit(cls: griffe.Class) -> None:
    """Give a class, and its methods, the docstrings of its base classes where they have none."""
    bases = [base for base in cls.mro() if base.path.startswith("lembro.")]
    for base in bases:
        cls.docstring = cls.docstring or base.docstring
        for name, member in cls.members.items():
            inherited = base.members.get(name)
            if not member.is_alias and inherited is not None and not inherited.is_alias:
                member.docstring = member.docstring or inherited.docstring


def classes(scope: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    """Yield the classes of a module and of its submodules."""
    for member in scope.members.values():
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, griffe.Class | griffe.Module):
            yield from classes(member)


class Reference(griffe.Extension):
    """Rewrites docstrings and the values of fields."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Let the classes of a package inherit docstrings."""
        for cls in classes(pkg):
            inherit(cls)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = with_links(obj.docstring.value)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Show the default of a field."""
        if str(attr.value).startswith("field("):
            attr.value = default_of(str(attr.value))
