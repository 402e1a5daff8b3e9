"""The parts of the documentation that are filled in before the build."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import lembro
from tests.support import ROOT
from tools.docs import (
    LOGO,
    DocsError,
    decisions,
    help_of,
    move_links,
    prepare,
    table_of,
    table_of_module,
    with_tabs,
)

ZENSICAL = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))

PIPES = "| a | b |\n|---|---|\n| `x` | y |"

GRID = """
+----------+-------------------+
| a        | b                 |
+==========+===================+
| one      | a long cell that  |
|          | goes on           |
+----------+-------------------+
| two      | ``x``, or         |
|          | :class:`~m.Thing` |
+----------+-------------------+
"""


@pytest.mark.parametrize(
    "docstring",
    [
        f"Head.\n\n<!-- table -->\n{PIPES}\n<!-- /table -->\n\nTail | with a bar.",
        f"Head.\n\nDecision table\n--------------\n\n{PIPES}\n\nTail.",
        f"Head.\n\n    <!-- table -->\n\n    {PIPES.replace(chr(10), chr(10) + '    ')}\n",
        f"| no | t |\n\n<!-- table -->\n{PIPES}\n\n| nor | this |",
    ],
)
def test_a_markdown_table_is_not_changed(docstring: str) -> None:
    assert table_of(docstring) == PIPES


def test_a_grid_table_becomes_a_markdown_table() -> None:
    assert table_of(f"<!-- table -->\n{GRID}") == (
        "| a | b |\n"
        "| --- | --- |\n"
        "| one | a long cell that goes on |\n"
        "| two | ``x``, or `m.Thing` |"
    )


@pytest.mark.parametrize(
    ("docstring", "reason"),
    [
        ("", "no line"),
        ("A table would be good.\n\n| a |\n", "no line"),
        ("<!-- table -->\nwords\n<!-- /table -->\n\n| a |", "no table"),
        ("<!-- table -->\n+---+---+\n| a | b |\n+---+---+\n| a     |\n+-------+", "other columns"),
        ("<!-- table -->\n+---+---+\n| a | b |\n+-------+", "spans"),
    ],
)
def test_text_without_a_table_is_refused(docstring: str, reason: str) -> None:
    with pytest.raises(DocsError, match=reason):
        table_of(docstring)


@pytest.mark.parametrize(
    ("link", "page", "moved"),
    [
        ("[a](docs/faq.md#why)", "index.md", "[a](faq.md#why)"),
        ("[a](docs/faq.md)", "adr/index.md", "[a](../faq.md)"),
        ("[a](CHANGELOG.md)", "index.md", "[a](changelog.md)"),
        ("[the licence](LICENSE)", "index.md", "the licence"),
        ("[`x.py`](examples/x.py)", "index.md", "`x.py`"),
        ("[a](https://example.org/b.md)", "index.md", "[a](https://example.org/b.md)"),
        ("[a](#below)", "index.md", "[a](#below)"),
        ("![drawing](docs/d.svg)", "index.md", "![drawing](d.svg)"),
        ("[![drawing](docs/d.svg)](docs/faq.md)", "index.md", "[![drawing](d.svg)](faq.md)"),
        ("![elsewhere](d.svg)", "index.md", ""),
    ],
)
def test_links_of_an_included_file_are_adjusted(link: str, page: str, moved: str) -> None:
    assert move_links(link, "README.md", page, {"CHANGELOG.md": "changelog.md"}) == moved


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "README.md": "# It\n\n[The table](docs/table.md), [licence](LICENSE)\n",
        "src/m.py": f'"""M.\n\n<!-- table -->\n{PIPES}\n"""\n',
        "docs/index.md": "<!-- include: README.md -->\n",
        "docs/table.md": "# Table\n\n<!-- table: src/m.py -->\n",
        "docs/adr/index.md": "# Decisions\n\n<!-- adrs -->\n",
        "docs/adr/0001-first.md": "# 1. First\n",
        "docs/adr/0002-second.md": "# 2. Second\n",
        "docs/picture.svg": "<svg/>",
        "zensical.toml": (
            '[project]\nnav = ["index.md", {T = "table.md"}, {P = [{A = "adr/index.md"}]}]\n'
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_prepare_fills_in_the_generated_parts(project: Path) -> None:
    out = project / "build" / "docs"
    out.mkdir(parents=True)
    (out / "old.md").touch()
    prepare(project, out)
    assert (out / "index.md").read_text() == "# It\n\n[The table](table.md), licence\n\n"
    assert (out / "table.md").read_text() == f"# Table\n\n{PIPES}\n"
    assert (out / "adr" / "index.md").read_text() == (
        "# Decisions\n\n- [1. First](0001-first.md)\n- [2. Second](0002-second.md)\n"
    )
    assert (out / "picture.svg").exists()
    assert not (out / "old.md").exists()


def test_a_copy_of_the_table_is_replaced(project: Path) -> None:
    page = "# Table\n\n<!-- table: src/m.py -->\n\n| old |\n|---|\n\n<!-- /table -->\n\nTail.\n"
    (project / "docs" / "table.md").write_text(page, encoding="utf-8")
    prepare(project, project / "out")
    assert (project / "out" / "table.md").read_text() == f"# Table\n\n{PIPES}\n\nTail.\n"


def test_the_marks_of_measured_numbers_are_removed(project: Path) -> None:
    page = "# It\n\nIt takes <!-- measured: a.b -->2 ms<!-- /measured -->, no more.\n"
    (project / "docs" / "table.md").write_text(page, encoding="utf-8")
    prepare(project, project / "out")
    assert (project / "out" / "table.md").read_text() == "# It\n\nIt takes 2 ms, no more.\n"


def test_a_page_that_is_not_in_the_navigation_is_an_error(project: Path) -> None:
    (project / "docs" / "lost.md").write_text("# Lost\n", encoding="utf-8")
    with pytest.raises(DocsError, match=r"docs/lost\.md is not in the navigation"):
        prepare(project, project / "out")


def test_a_page_that_is_only_in_the_navigation_is_an_error(project: Path) -> None:
    (project / "docs" / "table.md").unlink()
    with pytest.raises(DocsError, match=r"has table\.md, which does not exist"):
        prepare(project, project / "out")


def test_a_missing_module_is_an_error(project: Path) -> None:
    (project / "src" / "m.py").unlink()
    with pytest.raises(DocsError, match=r"there is no .*m\.py"):
        prepare(project, project / "out")


def test_each_decision_has_its_own_number() -> None:
    folder = ROOT / "docs" / "adr"
    numbers = [path.name[:4] for path in folder.glob("[0-9]*.md")]
    assert len(numbers) == len(set(numbers))
    assert decisions(folder).count("\n") + 1 == len(numbers)


def test_the_pages_of_lembro_can_be_prepared(tmp_path: Path) -> None:
    if not (ROOT / "src" / "lembro" / "_core" / "lifecycle.py").exists():
        pytest.xfail("the module with the table is still to come")
    prepare(ROOT, tmp_path / "docs")
    assert "<!-- table" not in (tmp_path / "docs" / "lifecycle.md").read_text(encoding="utf-8")


def test_the_copy_of_the_decision_table_equals_the_modules() -> None:
    page = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    [copy] = re.findall(r"^<!-- table: \S+ -->\n\n(.*?)\n\n<!-- /table -->$", page, re.M | re.S)
    assert copy == table_of_module(ROOT / "src" / "lembro" / "_core" / "lifecycle.py")


def test_the_landing_page_links_to_each_page() -> None:
    docs = ROOT / "docs"
    listed = re.findall(r"\]\(([\w/-]+\.md)\)", (docs / "index.md").read_text(encoding="utf-8"))
    pages = {path.name for path in docs.glob("*.md")} - {"index.md"}
    pages |= {"adr/index.md", "migrate/index.md", "reference/index.md"}
    assert pages - set(listed) == set()


def test_the_navigation_has_at_most_seven_groups_of_about_twelve() -> None:
    groups = ZENSICAL["project"]["nav"]
    assert len(groups) <= 7
    assert {
        name: len(pages) for group in groups for name, pages in group.items() if len(pages) > 13
    } == {}


def test_the_site_shows_the_version() -> None:
    assert ZENSICAL["project"]["site_name"] == f"lembro {lembro.__version__}"


def test_sections_become_tabs() -> None:
    page = """Before.

<!-- tabs -->

**One**

Text **in bold**.

```python
a = 1

b = 2
```

**Two**

More.

<!-- /tabs -->

**After**
"""
    assert (
        with_tabs(page)
        == """Before.

=== "One"

    Text **in bold**.

    ```python
    a = 1

    b = 2
    ```

=== "Two"

    More.

**After**
"""
    )


@pytest.mark.parametrize("body", ["", "text\n\n**One**\n\ntext\n"])
def test_tabs_begin_with_a_name(body: str) -> None:
    with pytest.raises(DocsError, match="tabs must begin with a name in bold"):
        with_tabs(f"<!-- tabs -->\n{body}<!-- /tabs -->\n")


def test_the_help_of_a_command_is_filled_in(project: Path) -> None:
    (project / "docs" / "table.md").write_text(
        "# Commands\n\n<!-- help -->\n\n<!-- help: sessions list -->\n", encoding="utf-8"
    )
    prepare(project, project / "out")
    page = (project / "out" / "table.md").read_text(encoding="utf-8")
    assert page.startswith("# Commands\n\n```text\nusage: lembro [-h]")
    assert "\n```\n\n```text\nusage: lembro sessions list [-h]" in page


def test_the_help_of_an_unknown_command_is_an_error() -> None:
    with pytest.raises(DocsError, match="the help of lembro nothing failed"):
        help_of("nothing")


def test_the_logo_is_the_cup_of_the_demo(project: Path) -> None:
    (project / LOGO).parent.mkdir(parents=True)
    (project / LOGO).write_text("<svg/>", encoding="utf-8")
    prepare(project, project / "out")
    assert (project / "out" / "images" / "logo.svg").read_text(encoding="utf-8") == "<svg/>"
    assert (ROOT / LOGO).is_file()


# -- the pages of the frameworks -------------------------------------------------------------------

INTEGRATIONS = ROOT / "src" / "lembro" / "integrations"
FRAMEWORKS = sorted(
    name
    for path in INTEGRATIONS.iterdir()
    if not (name := path.stem).startswith("_") and name != "beaker"
)
ORDER = [
    "Access the session",
    "Options",
    "Require a login",
    "When the session is stored",
    "WebSockets and streams",
    "Streams",
    "Differences from",
    "Test with a session",
    "Troubleshooting",
]
"""The headings that the pages of the frameworks share, each a heading or its beginning."""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_pages_of_the_frameworks_have_one_order(framework: str) -> None:
    text = (ROOT / "docs" / f"{framework}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    shared = [part for heading in headings for part in ORDER if heading.startswith(part)]
    assert shared == sorted(shared, key=ORDER.index)
    assert headings[:2] == ORDER[:2]
    assert {"Require a login", "When the session is stored", "Troubleshooting"} <= set(headings)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_page_of_a_framework_begins_with_a_login_and_a_logout(framework: str) -> None:
    text = (ROOT / "docs" / f"{framework}.md").read_text(encoding="utf-8")
    first = text.partition("\n## ")[0]
    assert f"pip install 'lembro[{framework}]'" in first
    assert re.search(r"\.login\(", first)
    assert re.search(r"\.logout\(", first)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_page_of_a_framework_shows_how_to_log_a_test_client_in(framework: str) -> None:
    text = (ROOT / "docs" / f"{framework}.md").read_text(encoding="utf-8")
    section = text.partition("\n## Test with a session\n")[2].partition("\n## ")[0]
    assert re.search(r"^    .*\ba?log_in\(", section, re.MULTILINE)
    assert "def test_" in section


# -- links to headings -----------------------------------------------------------------------------


def slug(heading: str) -> str:
    """The anchor of a heading, as the generator of the site makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    missing = []
    for path, anchor in re.findall(r"\]\(([\w./-]*\.md|)#([^)\s]+)\)", text):
        if "." in anchor:
            continue  # a name in the generated reference
        target = page.parent / path if path else page
        if anchor not in anchors(target):
            missing.append(f"{path}#{anchor}")
    assert not missing
