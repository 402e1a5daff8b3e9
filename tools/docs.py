"""Prepare the documentation: copy ``docs/`` to ``build/docs/`` and fill in the generated parts.

A page may contain these lines, each alone on its line:

    <!-- include: README.md -->                  a Markdown file of the repository, its links moved
    <!-- table: src/lembro/_core/lifecycle.py -->      the table in the docstring of a module
    <!-- adrs -->                                the list of the decisions in the page's folder
    <!-- help: sessions list -->                 the help of a command of ``lembro``
    <!-- tabs -->                                sections to show as tabs, up to <!-- /tabs -->

Each tab begins with a line that holds only its name in bold, such as ``**Flask**``. So the page can
be read as it is, too.

The marks around a measured number (``tools/measured.py``) and before a code block that is not run
are removed.

A table may be followed by a copy of it, up to a line ``<!-- /table -->``, for readers of the page
as it is. The copy is replaced.

This is a step before the generator, not a plugin of one, so that the generator can change. It also
fails if the navigation lacks a page, or has one that does not exist, because the generator does not
check this.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

ROOT = Path(__file__).resolve().parents[1]

_DIRECTIVE = re.compile(
    r"^<!-- (include|table|adrs|help)(?:: (\S+(?: \S+)?))? -->$"
    r"(?:\n\n?(?:\|.*\n)+\n?<!-- /table -->$)?",
    re.MULTILINE,
)
_MARK = re.compile(r"<!-- /?measured(?:: \S+)? -->|^<!-- not run -->\n", re.MULTILINE)
_TABS = re.compile(r"^<!-- tabs -->$\n(.*?)^<!-- /tabs -->$", re.MULTILINE | re.DOTALL)
_TAB = re.compile(r"^\*\*(.+)\*\*$", re.MULTILINE)
LOGO = Path("src/lembro/demo/static/icon.svg")
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*\])\(([^)\s]+)\)")
_ROLE = re.compile(r":\w+:`~?([^`]+)`")


class DocsError(Exception):
    """The documentation is inconsistent."""


def table_of(docstring: str) -> str:
    """Return the table of a docstring, as a Markdown table.

    It is the first one after the line ``<!-- table -->``, or after one that begins with "Decision
    table". It may be a Markdown table, or a grid table as in reStructuredText, whose cells have
    room for several lines.
    """
    lines = [line.strip() for line in docstring.splitlines()]
    starts = [i for i, line in enumerate(lines) if line == "<!-- table -->"] or [
        i for i, line in enumerate(lines) if line.lower().startswith("decision table")
    ]
    if not starts:
        raise DocsError("no line '<!-- table -->' in the docstring")
    table: list[str] = []
    for line in lines[starts[0] + 1 :]:
        if line.startswith(("|", "+")):
            table.append(line)
        elif table or line == "<!-- /table -->":
            break
    if not table:
        raise DocsError("no table after its marker in the docstring")
    if table[0].startswith("+"):
        table = _from_grid(table)
    return _ROLE.sub(r"`\1`", "\n".join(table))


def _from_grid(lines: list[str]) -> list[str]:
    edges = [i for i, sign in enumerate(lines[0]) if sign == "+"]
    rows: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("+"):
            if [i for i, sign in enumerate(line) if sign == "+"] != edges:
                raise DocsError(f"a cell of the grid table spans others: {line}")
            if rows[-1]:
                rows.append([])
            continue
        if len(line) != edges[-1] + 1 or any(line[edge] != "|" for edge in edges):
            raise DocsError(f"a line of the grid table has other columns: {line}")
        cells = [line[a + 1 : b].strip().replace("|", r"\|") for a, b in pairwise(edges)]
        above = rows[-1] or [""] * len(cells)
        rows[-1] = [f"{a} {b}".strip() for a, b in zip(above, cells, strict=True)]
    rows = [row for row in rows if row]
    rows.insert(1, ["---"] * (len(edges) - 1))
    return [f"| {' | '.join(row)} |" for row in rows]


def table_of_module(path: Path) -> str:
    if not path.is_file():
        raise DocsError(f"there is no {path}")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    try:
        return table_of(docstring or "")
    except DocsError as error:
        raise DocsError(f"{path}: {error}") from None


def move_links(text: str, source: str, page: str, homes: dict[str, str]) -> str:
    """Adjust the links of the repository's file ``source`` for the page that includes it.

    ``homes`` maps each included file to its page. A link to a file outside of the documentation
    (the licence, an example) is removed, and its text stays.
    """

    def moved(match: re.Match[str]) -> str:
        label, target = match.groups()
        if label.startswith("[!["):  # a picture inside a link: the picture first
            label = "[" + move_links(label[1:-1], source, page, homes) + "]"
        path, hash_, anchor = target.partition("#")
        if not path or ":" in path or path.startswith("//"):
            return f"{label}({target})"
        wanted = normpath(PurePosixPath(source).parent / path)
        if wanted in homes:
            wanted = homes[wanted]
        elif wanted.startswith("docs/"):
            wanted = wanted.removeprefix("docs/")
        else:
            return label[1:-1] if label.startswith("[") else ""
        return f"{label}({relpath(wanted, PurePosixPath(page).parent)}{hash_}{anchor})"

    return _LINK.sub(moved, text)


def decisions(folder: Path) -> str:
    """Return a list of the numbered pages of a folder, by their headings."""
    lines: list[str] = []
    for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]-*.md")):
        heading = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        if heading is None:
            raise DocsError(f"{path} has no heading")
        lines.append(f"- [{heading[1]}]({path.name})")
    return "\n".join(lines)


def help_of(command: str | None) -> str:
    """Return the help of a command of ``lembro``, as a code block."""
    done = subprocess.run(
        [sys.executable, "-m", "lembro", *(command or "").split(), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
    )
    if done.returncode:
        raise DocsError(f"the help of lembro {command} failed: {done.stderr}")
    return f"```text\n{done.stdout.strip()}\n```"


def with_tabs(text: str) -> str:
    """Return a page whose sections between ``<!-- tabs -->`` marks are tabs of PyMdown."""

    def tabs(match: re.Match[str]) -> str:
        before, *parts = _TAB.split(match[1])
        if before.strip() or not parts:
            raise DocsError(f"tabs must begin with a name in bold, got {before.strip()[:60]!r}")
        out = []
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            lines = [f"    {line}" if line else "" for line in body.strip().splitlines()]
            out.append(f'=== "{name}"\n\n' + "\n".join(lines))
        return "\n\n".join(out)

    return _TABS.sub(tabs, text)


def _pages_of(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for item in nav:
            yield from _pages_of(item)
    elif isinstance(nav, dict):
        for item in nav.values():
            yield from _pages_of(item)


def check_nav(root: Path, pages: set[str]) -> None:
    """Check that the pages and the navigation agree. A decision is reached by its list."""
    config = tomllib.loads((root / "zensical.toml").read_text(encoding="utf-8"))
    listed = {page for page in _pages_of(config["project"]["nav"]) if "://" not in page}
    problems = [f"the navigation has {page}, which does not exist" for page in listed - pages]
    problems += [
        f"docs/{page} is not in the navigation of zensical.toml"
        for page in pages - listed
        if not re.match(r"adr/\d{4}-", page)
    ]
    if problems:
        raise DocsError("\n".join(sorted(problems)))


def prepare(root: Path, out: Path) -> None:
    """Fill the folder ``out`` with the pages of the project at ``root``."""
    docs = root / "docs"
    texts = {
        path.relative_to(docs).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(docs.rglob("*.md"))
    }
    check_nav(root, set(texts))
    homes = {
        match[2]: page
        for page, text in texts.items()
        for match in _DIRECTIVE.finditer(text)
        if match[1] == "include"
    }
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(docs, out, ignore=shutil.ignore_patterns("__pycache__"))
    for page, text in texts.items():

        def filled(match: re.Match[str], page: str = page) -> str:
            if match[1] == "adrs":
                return decisions((docs / page).parent)
            if match[1] == "help":
                return help_of(match[2])
            if match[1] == "table":
                return table_of_module(root / match[2])
            return move_links((root / match[2]).read_text("utf-8"), match[2], page, homes)

        whole = _DIRECTIVE.sub(filled, text)
        (out / page).write_text(with_tabs(_MARK.sub("", whole)), encoding="utf-8")
    if (root / LOGO).is_file():
        (out / "images").mkdir(exist_ok=True)
        shutil.copy(root / LOGO, out / "images" / "logo.svg")


if __name__ == "__main__":
    try:
        prepare(ROOT, ROOT / "build" / "docs")
    except DocsError as error:
        sys.exit(f"docs: {error}")
