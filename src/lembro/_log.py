"""The logger ``lembro``.

It has no NullHandler. If an application has not set up logging, Python writes warnings and errors
to stderr. They report, for example, a second worker, a lost change or a failing store. Every
message begins with "lembro:".
"""

from __future__ import annotations

import logging
import os
import re

log: logging.Logger = logging.getLogger("lembro")


def set_up() -> None:
    """Log to stderr if the environment has ``DEBUG=lembro``. Called once, on import.

    As with Node's ``debug``, ``*`` stands for any text, and ``-lembro`` excludes the name.
    """
    names = re.split(r"[\s,]+", os.environ.get("DEBUG", ""))
    excluded = any(_matches(name[1:]) for name in names if name.startswith("-"))
    if any(map(_matches, names)) and not excluded:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)


def _matches(pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), "lembro") is not None
