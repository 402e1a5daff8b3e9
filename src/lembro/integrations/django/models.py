"""The model behind the page of sessions in the admin. It has permissions, and no table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:  # Django is not typed

    class _Model:
        _meta: Any
        _base_manager: Any

    class _Manager:
        def get_queryset(self) -> Any: ...
else:
    _Model, _Manager = models.Model, models.Manager


class NoRows(_Manager):
    """A manager without rows, so that commands such as ``dumpdata`` query no database."""

    def get_queryset(self) -> Any:
        """Return a queryset that is always empty."""
        return super().get_queryset().none()


class Session(_Model):
    """The sessions, for the permissions ``lembro.view_session`` and ``lembro.delete_session``."""

    handle: Any = models.CharField(max_length=12, primary_key=True)
    objects: Any = NoRows()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions: tuple[str, ...] = ("view", "delete")
        verbose_name = "session"
        verbose_name_plural = "sessions"
