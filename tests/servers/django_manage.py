"""The management commands of the Django project: ``python -m tests.servers.django_manage``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management import execute_from_command_line
from django.utils.autoreload import autoreload_started

from tests.servers import django_app

assert django_app  # it configures the settings


def _watch(sender: Any, **_: Any) -> None:
    if "LEMBRO_TEST_RELOADS" in os.environ:
        sender.extra_files.add(Path(os.environ["LEMBRO_TEST_RELOADS"]))


autoreload_started.connect(_watch)

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
