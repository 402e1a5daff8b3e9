"""The logger ``lembro``.

It has no NullHandler: where an application has not set up logging, Python writes warnings and
errors to stderr, and lembro's are worth reading (a second worker, a lost change, a failing store).
"""

from __future__ import annotations

import logging
import os
import re
import sys

log: logging.Logger = logging.getLogger("lembro")


def set_up() -> None:
    """Called once, on import. ``DEBUG=lembro`` (as for the Node package) writes to stderr."""
    if {"lembro", "*"} & set(re.split(r"[\s,]+", os.environ.get("DEBUG", ""))):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)


def loud(message: str) -> None:
    """A warning that is to be seen: on stderr if nobody has set up logging, as under most servers,
    where a NullHandler would swallow it."""
    log.warning(message)
    logger: logging.Logger | None = log
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return
        logger = logger.parent if logger.propagate else None
    if sys.stderr is not None:
        print(f"lembro: {message}", file=sys.stderr, flush=True)
