"""The description of a project in a file of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

PROJECTS: Final = (
    "django",
    "django_engine",
    "django_cache",
    "django_allauth",
    "djangorestframework",
    "channels",
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
    "express_suite",
)
"""The modules of this folder that have a ``PEER``, in the order of the report."""


def nothing() -> None:
    """Put nothing in place."""


def as_it_is(module: ModuleType) -> None:
    """A module of tests that needs no change."""


@dataclass(frozen=True)
class Peer:
    """A project whose tests run with lembro in the place of its sessions."""

    project: str
    """Its name for pip."""
    how: str
    """How lembro takes its place, in a line for the documentation."""
    tests: tuple[str, ...]
    """The tests of the source distribution, as arguments of the test runner."""
    install: Callable[[], None] = nothing
    """Puts lembro in place, before any test is imported."""
    prepare: Callable[[ModuleType], None] = as_it_is
    """Puts lembro in place in a module of tests, once it is imported."""
    options: tuple[str, ...] = ()
    """Further arguments of the test runner. pytest loads only the plugins that are named here."""
    differs: Mapping[str, str] = field(default_factory=dict)
    """The tests that are expected to fail, each with the reason.

    A test without its parameters stands for all of them.
    """
    bare: bool = True
    """Whether its tests can run without lembro too, to find the failures that are not lembro's."""
    child: str = "peers.pytest_child"
    """The module that runs the tests, in a separate process."""
    folder: str = "."
    """The working folder, within the source distribution."""
    part: str = ""
    """The name of the part, if a project has several files here."""
    without: str = ""
    """The reason why nothing is run, for a source distribution without tests."""
