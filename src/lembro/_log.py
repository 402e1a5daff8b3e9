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
    """Log to stderr if the environment has ``DEBUG=lembro``. Called once, on import."""
    if {"lembro", "*"} & set(re.split(r"[\s,]+", os.environ.get("DEBUG", ""))):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
