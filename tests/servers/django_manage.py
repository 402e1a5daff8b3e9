"""The management commands of the Django project: ``python -m tests.servers.django_manage``."""

from __future__ import annotations

import sys

from django.core.management import execute_from_command_line

from tests.servers import django_app

assert django_app  # it configures the settings

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
