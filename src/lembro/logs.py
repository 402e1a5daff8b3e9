"""The logger ``lembro``: silent unless the application sets up logging, or ``DEBUG=lembro``."""

from __future__ import annotations

import logging
import os
import re

log: logging.Logger = logging.getLogger("lembro")


def set_up() -> None:
    """Called once, on import. ``DEBUG=lembro`` (as for the Node package) writes to stderr."""
    log.addHandler(logging.NullHandler())
    if {"lembro", "*"} & set(re.split(r"[\s,]+", os.environ.get("DEBUG", ""))):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
