"""The application ``"lembro.integrations.django"`` in INSTALLED_APPS: the system checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.core import checks

from .checks import check_settings

if TYPE_CHECKING:  # Django is not typed

    class _Base: ...
else:
    _Base = AppConfig


class LembroConfig(_Base):
    """The configuration of the application."""

    name: str = "lembro.integrations.django"
    label: str = "lembro"

    def ready(self) -> None:
        """Register the system checks."""
        checks.register(check_settings)
