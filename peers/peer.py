"""What a file in this folder says of its project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

PROJECTS: Final = (
    "django",
    "django_engine",
    "django_cache",
    "flask",
    "flask_login",
    "flask_wtf",
    "quart",
    "starlette",
    "litestar",
    "aiohttp_session",
    "pyramid",
    "cachelib",
    "flask_caching",
    "flask_session",
    "beaker",
)
"""The modules of this folder that have a ``PEER``, in the order of the report."""


def nothing() -> None:
    """Nothing to be put in place."""


def as_it_is(module: ModuleType) -> None:
    """A module of tests that needs no change."""


@dataclass(frozen=True)
class Peer:
    """A project whose tests are run with lembro in the place of its sessions."""

    project: str
    """As pip calls it."""
    how: str
    """How lembro takes its place, in a line for the documentation."""
    tests: tuple[str, ...]
    """What is run of the source distribution, as arguments of the test runner."""
    install: Callable[[], None] = nothing
    """Puts lembro in place, before any test is imported."""
    prepare: Callable[[ModuleType], None] = as_it_is
    """Puts lembro in place in a module of tests, once it is imported."""
    options: tuple[str, ...] = ()
    """What else the test runner is given; pytest loads no plugins but those named here."""
    differs: Mapping[str, str] = field(default_factory=dict)
    """The tests that fail and are meant to, each with the reason. A test without its parameters
    stands for all of them."""
    bare: bool = True
    """Whether its tests can be run without lembro too, to see what fails there as well."""
    child: str = "peers.pytest_child"
    """The module that runs the tests, in a process of its own."""
    folder: str = "."
    """Where they are run, within the source distribution."""
    part: str = ""
    """What is run, where a project has several files here."""
    without: str = ""
    """Why there is nothing to run, for a source distribution that has no tests."""
