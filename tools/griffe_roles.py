"""A griffe extension: turn the roles of docstrings into links, for the API reference.

``:class:`~lembro.Session``` in a docstring becomes a link with the text ``Session``. A name of the
same class or module, as in ``:meth:`save```, becomes a link too.
"""

from __future__ import annotations

import re
from typing import Any, Final

import griffe

_ROLE: Final = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`(~?)([\w.]+)`")


def with_links(text: str, scope: str = "") -> str:
    """Return a docstring whose roles are links in Markdown.

    Args:
        text: The docstring.
        scope: The path of the class or module that names without a dot belong to.
    """

    def link(match: re.Match[str]) -> str:
        short, name = match.groups()
        shown = name.rpartition(".")[2] if short else name
        if name.startswith("lembro"):
            return f"[`{shown}`][{name}]"
        return f"[`{shown}`][{scope}.{name}]" if scope else f"`{shown}`"

    return _ROLE.sub(link, text)


class Roles(griffe.Extension):
    """Rewrites each docstring that griffe finds."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = with_links(obj.docstring.value)
