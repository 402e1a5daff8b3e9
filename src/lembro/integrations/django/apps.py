"""``"lembro.integrations.django"`` in INSTALLED_APPS: the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from .checks import check_settings


class LembroConfig(AppConfig):  # type: ignore[misc]  # Django is not typed
    name = "lembro.integrations.django"
    label = "lembro"

    def ready(self) -> None:
        checks.register(check_settings)
