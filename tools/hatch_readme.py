"""A metadata hook of hatchling: the README as a package index shows it.

A package index has no files of this repository, so relative links do not work there. With the
environment variable ``LEMBRO_REPOSITORY_URL`` (for example ``https://host/owner/lembro``) they get
this address. Without it, a link keeps its text only, and a picture is left out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE: Final = "LEMBRO_REPOSITORY_URL"
_LINK: Final = re.compile(r"(!?)\[([^\[\]]*)\]\((?![a-z][a-z0-9+.-]*:|#)([^()\s]+)\)")
_FENCE: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


class ReadmeHook(MetadataHookInterface):
    """Sets the field ``readme`` of the metadata."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the readme, its links made absolute or dropped."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        base = os.environ.get(VARIABLE, "")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute_links(text, base),
        }


def absolute_links(text: str, base: str) -> str:
    """Return Markdown without relative links.

    Args:
        text: The Markdown. Its code blocks stay as they are.
        base: The address of the repository, or "" to drop the links.
    """

    def moved(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if not base:
            return "" if picture else label
        kind = "raw" if picture else "blob"
        return f"{picture}[{label}]({base.rstrip('/')}/{kind}/HEAD/{target})"

    parts = _FENCE.split(text)
    parts[::2] = [_LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)
