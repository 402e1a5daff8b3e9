"""The README that a package index shows: its relative links are made absolute, or dropped."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT
from tools.hatch_readme import VARIABLE, ReadmeHook, absolute_links

BASE = "https://code.invalid/lembro"


@pytest.mark.parametrize(
    ("markdown", "with_base", "without"),
    [
        ("[a](docs/b.md#c)", f"[a]({BASE}/blob/HEAD/docs/b.md#c)", "a"),
        ("![a\nb](docs/b.png)", f"![a\nb]({BASE}/raw/HEAD/docs/b.png)", ""),
        ("[a](https://x.invalid)", "[a](https://x.invalid)", "[a](https://x.invalid)"),
        ("[a](#b)", "[a](#b)", "[a](#b)"),
        ("[`a`](b)", f"[`a`]({BASE}/blob/HEAD/b)", "`a`"),
        ("```python\nx[a](b)\n```", "```python\nx[a](b)\n```", "```python\nx[a](b)\n```"),
    ],
)
def test_a_relative_link_is_made_absolute_or_dropped(
    markdown: str, with_base: str, without: str
) -> None:
    assert absolute_links(markdown, BASE + "/") == with_base
    assert absolute_links(markdown, "") == without


@pytest.mark.parametrize("base", ["", BASE])
def test_the_readme_has_no_relative_link(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, base)
    metadata: dict[str, dict[str, str]] = {}
    ReadmeHook(str(ROOT), {}).update(metadata)
    readme = metadata["readme"]
    assert readme["content-type"] == "text/markdown"
    targets = re.findall(r"\]\(([^)\s]+)\)", readme["text"])
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    assert (f"{BASE}/raw/HEAD/docs/images/demo.png" in targets) == bool(base)
