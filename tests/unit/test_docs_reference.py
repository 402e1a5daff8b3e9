"""The API reference has every public name, and each has a description."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from tests.support import ROOT, django_project

griffe = pytest.importorskip("griffe")
from tools.griffe_reference import default_of, with_links  # noqa: E402

assert django_project  # the admin of Django needs settings

LISTED = [
    name
    for path in sorted((ROOT / "docs" / "reference").glob("*.md"))
    for name in re.findall(r"^::: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
]
MODULES = [
    "lembro",
    "lembro.dashboard",
    "lembro.express",
    "lembro.migrate",
    "lembro.size",
    "lembro.testing",
    *(
        "lembro."
        + path.relative_to(ROOT / "src" / "lembro").with_suffix("").as_posix().replace("/", ".")
        for folder in ("integrations", "caches", "metrics")
        for path in sorted((ROOT / "src" / "lembro" / folder).glob("*.py"))
        if not path.stem.startswith("_")
    ),
    "lembro.integrations.aiohttp",
    "lembro.integrations.aiohttp.aiohttp_security",
    "lembro.integrations.aiohttp.aiohttp_session",
    "lembro.integrations.django",
    "lembro.integrations.litestar",
]
LEFT_OUT = {
    "lembro.size",  # a module: its functions are listed
    "lembro.integrations.beaker.KEY",  # "beaker.session", as on the page about Beaker
    "lembro.integrations.flask.LembroSessionInterface",  # Lembro makes it
    "lembro.integrations.quart.LembroSessionInterface",
}
IN_A_MODULE = {f"lembro.{name}" for name in ("AsyncStore", "Found", "Record", "Store")}
"""Names whose module is in the reference as a whole: lembro.stores.base."""

VERBS = ("get", "add", "set", "replace", "touch", "destroy")
BY_THE_CONTRACT = {
    f"lembro.stores.{store}.{verb}"
    for store in ("memory.store.MemoryStore", "moving.MovingStore")
    for verb in VERBS
}
"""Methods that the contract of the stores describes."""


def resolve(name: str) -> Any:
    """Import an object by its full name."""
    module, _, rest = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ImportError:
        return getattr(importlib.import_module(module), rest)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    listed = [resolve(name) for name in [*LISTED, *IN_A_MODULE]]
    names = importlib.import_module(module).__all__
    missing = [
        name
        for name in names
        if f"{module}.{name}" not in LEFT_OUT
        and not any(resolve(f"{module}.{name}") is known for known in listed)
    ]
    assert missing == []


def test_no_name_is_in_the_reference_twice() -> None:
    assert len(LISTED) == len(set(LISTED))


@pytest.fixture(scope="module")
def package() -> Any:
    extensions = griffe.load_extensions(str(ROOT / "tools" / "griffe_reference.py"))
    return griffe.load(
        "lembro", search_paths=[ROOT / "src"], resolve_aliases=True, extensions=extensions
    )


@pytest.mark.parametrize("name", LISTED)
def test_every_part_of_the_reference_is_described(package: Any, name: str) -> None:
    found = package[name.removeprefix("lembro.")]
    found = found.final_target if found.is_alias else found
    described = found.docstring is not None and "Attributes:" in found.docstring.value
    fields = "dataclass" in found.labels and not described
    parts = [
        part
        for key, part in found.members.items()
        if not (key.startswith(("_", "test_")) or part.is_alias or part.path in BY_THE_CONTRACT)
        and (part.is_function or fields)
    ]
    assert [part.path for part in [found, *parts] if not part.has_docstring] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see :class:`~lembro.Session`", "see [`Session`][lembro.Session]"),
        (":class:`lembro.Session`", "[`lembro.Session`][lembro.Session]"),
        ("see :meth:`save`", "see `save`"),
        ("``x`` stays", "``x`` stays"),
    ],
)
def test_a_role_becomes_markdown(text: str, expected: str) -> None:
    assert with_links(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("field(default=None, repr=False)", "None"),
        ("field(default=(), repr=False)", "()"),
        ("field(default_factory=CookieOptions)", "CookieOptions()"),
        ("field(init=False)", "field(init=False)"),
        ("30", "30"),
    ],
)
def test_the_value_of_a_field_is_its_default(value: str, expected: str) -> None:
    assert default_of(value) == expected
