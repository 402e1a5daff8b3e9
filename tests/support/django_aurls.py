"""The page of ``visits.py`` as an async view."""

from __future__ import annotations

from django.urls import re_path

from tests.support.django_urls import apage

urlpatterns = [re_path("", apage)]
