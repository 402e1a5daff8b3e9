"""A cart, a login and a list of the user's sessions, with Django, in one file.

    pip install 'lembro[django]' gunicorn
    gunicorn --threads 8 examples.django_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.

A real project has its settings in a module and CsrfViewMiddleware. For its users it has
django.contrib.auth, whose login() logs in to lembro, too.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, TypeAlias

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    INSTALLED_APPS=["lembro.integrations.django"],  # the system checks
    MIDDLEWARE=["lembro.integrations.django.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(),  # sessions do not depend on it
    SESSION_ENGINE="lembro.integrations.django",
    SESSION_EXPIRE_AT_BROWSER_CLOSE=True,
    LEMBRO={"MAX_SIZE": "64M", "IDLE_TIMEOUT": timedelta(hours=8)},
)

from lembro.integrations.django import get_session  # noqa: E402 - the settings come first

Request: TypeAlias = Any  # an HttpRequest: Django is not typed


def me(request: Request) -> JsonResponse:
    user = get_session(request).user_id
    return JsonResponse({"user": user, "cart": request.session.get("cart", [])})


def add_to_cart(request: Request, item: str) -> JsonResponse:
    cart: list[str] = request.session.setdefault("cart", [])
    cart.append(item)  # nested changes are stored, too
    return JsonResponse(cart, safe=False)


def login(request: Request, user: str) -> JsonResponse:
    """Log in. A real view takes a form and checks a password."""
    get_session(request).login(user)
    return JsonResponse(f"hello {user}", safe=False)


def my_sessions(request: Request) -> JsonResponse:
    mine = get_session(request).user_sessions()  # answers 401 if nobody is logged in
    listed = [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]
    return JsonResponse(listed, safe=False)


def logout(request: Request) -> JsonResponse:
    request.session.flush()
    return JsonResponse("bye", safe=False)


def logout_everywhere(request: Request) -> JsonResponse:
    get_session(request).logout_everywhere()
    return JsonResponse("bye, everywhere", safe=False)


urlpatterns = [
    path("me", me),
    path("cart/<item>", require_POST(add_to_cart)),
    path("login/<user>", require_POST(login)),
    path("sessions", my_sessions),
    path("logout", require_POST(logout)),
    path("logout-everywhere", require_POST(logout_everywhere)),
]
app = get_wsgi_application()
