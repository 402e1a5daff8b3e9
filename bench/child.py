"""Measure in a separate process, for the resident memory and the garbage collector of one store.

    result = run("bench.memory:million", {"contender": "lembro"}, say)

The function gets its arguments and ``say``, whose texts the parent prints as progress. Its return
value is passed as JSON.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = os.sysconf("SC_PAGE_SIZE")

Say = Callable[[str], None]


class MissingError(Exception):
    """A peer cannot be installed or imported."""


def run(function: str, arguments: dict[str, Any], say: Say) -> Any:
    """Call ``module:function`` in a new process.

    Raises:
        MissingError: A package is missing.
    """
    command = [sys.executable, "-m", "bench.child", function, json.dumps(arguments)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, text=True
        ) as process,
    ):
        result = None
        assert process.stdout is not None
        for line in process.stdout:
            sign, _, text = line.rstrip("\n").partition(" ")
            if sign == "~":
                say(text)
            elif sign == "=":
                result = json.loads(text)
        code = process.wait(timeout=60)
        errors.seek(0)
        said = errors.read()
    if result is None:
        raise RuntimeError(f"{function} {arguments} ended with {code}:\n{said[-3000:]}")
    if "missing" in result:
        raise MissingError(result["missing"])
    return result["result"]


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        result = {"result": function(say=_say, **json.loads(sys.argv[2]))}
    except ImportError as error:
        result = {"missing": str(error)}
    print("= " + json.dumps(result), flush=True)
    os._exit(0)  # freeing a million sessions would only take time


def _say(text: str) -> None:
    print("~ " + text, flush=True)


# -- the memory of this process --------------------------------------------------------------------


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * PAGE


def available() -> int:
    """Return the bytes of memory that this machine could still provide."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        lines = dict(line.split(":") for line in meminfo)
    return int(lines["MemAvailable"].split()[0]) * 1024


def trim() -> bool:
    """Ask the C library to return free memory. False if it has no such call."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return False
    return True


def settled() -> int:
    """Return the resident bytes after a collection and ``trim``."""
    gc.collect()
    trim()
    return resident()


if __name__ == "__main__":
    main()
