"""The page of sessions in the admin: the dashboard, with the permissions of Django."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from ...dashboard.handler import FILES, Action, RefusedError, query_of
from ...dashboard.listing import Directory
from ...dashboard.page import LIVE, address, heading, next_fields
from ...dashboard.samples import STATIC
from .config import get_manager, user_id_of
from .engine import SessionStore, get_session
from .models import Session

if TYPE_CHECKING:  # Django is not typed

    class _Base:
        def __init__(self, model: Any, admin_site: Any) -> None: ...

        admin_site: Any

        def has_view_permission(self, request: Any) -> bool: ...

        def has_delete_permission(self, request: Any) -> bool: ...

        def message_user(self, request: Any, message: str, level: int) -> None: ...
else:
    _Base = admin.ModelAdmin

__all__ = ["SessionAdmin"]

_NUL: Final = "\0"  # PostgreSQL cannot store it, and the database layer raises an error
_MAX_FOUND: Final = 100  # users whose name contains the text of a search


class SessionAdmin(_Base):
    """Lists all sessions in the admin and ends them.

    The permission ``lembro.view_session`` shows the page, and ``lembro.delete_session`` ends
    sessions. The application ``"lembro.integrations.django"`` must be in INSTALLED_APPS.
    """

    show: Sequence[str] = ()
    """The keys of the session's data that the page shows. By default it shows none."""

    def get_urls(self) -> list[Any]:
        """Return the addresses of the page, its statistics and its files."""
        wrapped, listed = self.admin_site.admin_view, require_http_methods(["GET", "HEAD", "POST"])
        return [
            path("", wrapped(listed(self.changelist_view)), name="lembro_session_changelist"),
            path("stats", wrapped(require_safe(self.stats_view)), name="lembro_session_stats"),
            path("<str:name>", wrapped(require_safe(self.file_view)), name="lembro_session_file"),
        ]

    def has_add_permission(self, request: Any) -> bool:
        """Return False: a session begins with a visit."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        """Return False: a session can only be ended here."""
        return False

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        """Show the list of sessions, or end some of them."""
        self._check(request)
        request.current_app = self.admin_site.name
        try:
            return self._end(request) if request.method == "POST" else self._list(request)
        except RefusedError as refused:
            return HttpResponse(
                str(refused).encode(), status=refused.status, content_type="text/plain"
            )

    def stats_view(self, request: Any) -> Any:
        """Return the statistics of the store, for the charts."""
        self._check(request)
        directory = Directory(get_manager())
        if not directory.has_stats:
            raise Http404
        if isinstance(request.session, SessionStore):
            get_session(request).skip_touch()  # an open page polls
        return JsonResponse(directory.stats())

    def file_view(self, request: Any, name: str) -> Any:
        """Return a script or a style."""
        self._check(request)
        if name == "admin.css":
            kind = "text/css"
        elif name in FILES:
            kind = FILES[name]
        else:
            raise Http404
        return HttpResponse((STATIC / name).read_bytes(), content_type=kind)

    def _check(self, request: Any) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _list(self, request: Any) -> Any:
        query = query_of(request.GET.dict())
        if query.text:
            query = replace(query, users=_users_named(query.text))
        directory = Directory(get_manager(), self.show)
        listing = directory.find(query)
        following = next_fields(listing, query)
        names = _names_of(row.user for row in listing.rows if row.user is not None)
        context = {
            **self.admin_site.each_context(request),
            "title": heading(listing, query),
            "live": LIVE if directory.has_stats else "",
            "rows": [(row, names.get(row.user or "")) for row in listing.rows],
            "data": any(row.data for row in listing.rows),
            "query": query,
            "next": None if following is None else address(following),
            "may_end": self.has_delete_permission(request),
            "opts": Session._meta,
        }
        return TemplateResponse(request, "admin/lembro/session/list.html", context)

    def _end(self, request: Any) -> Any:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        form = request.POST.dict()
        action = Action.of(form)
        if form.get("confirm") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "title": action.question,
                "form": form,
                "opts": Session._meta,
            }
            return TemplateResponse(request, "admin/lembro/session/confirm.html", context)
        text = action.perform(Directory(get_manager()), request.user.get_username())
        LogEntry.objects.create(
            user_id=request.user.pk,
            content_type_id=ContentType.objects.get_for_model(Session).pk,
            object_id=(action.handle or action.user or "").replace(_NUL, "\ufffd"),
            object_repr=action.question[:200],
            action_flag=DELETION,
            change_message=text,
        )
        if action.name != "all":  # that has ended this session too
            self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect("./")


def _users_named(text: str) -> frozenset[str]:
    """Return the user IDs of users whose name contains a text."""
    if _NUL in text:
        return frozenset()
    model: Any = get_user_model()
    named = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__icontains": text})
    return frozenset(user_id_of(pk) for pk in named.values_list("pk", flat=True)[:_MAX_FOUND])


def _names_of(user_ids: Iterable[str]) -> dict[str, str]:
    """Return the names of users by their user IDs. IDs that are not primary keys are left out."""
    model: Any = get_user_model()
    keys = set()
    for user_id in user_ids:
        if _NUL in user_id:
            continue
        try:
            keys.add(model._meta.pk.clean(user_id, None))
        except ValidationError:
            continue
    users = model._default_manager.in_bulk(keys)
    return {user_id_of(pk): user.get_username() for pk, user in users.items()}


admin.site.register(Session, SessionAdmin)
