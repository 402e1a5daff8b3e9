"""A cart, a login and a list of the user's sessions, with Pyramid.

    pip install 'lembro[pyramid]' waitress
    waitress-serve --listen=127.0.0.1:8000 examples.pyramid_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

from lembro.integrations.pyramid import get_session


def me(request: Request) -> dict[str, object]:
    session = get_session(request)
    return {"user": session.user_id, "cart": session.get("cart", [])}


def add_to_cart(request: Any) -> list[str]:
    cart: list[str] = get_session(request).setdefault("cart", [])
    cart.append(request.matchdict["item"])
    return cart


def login(request: Any) -> str:  # a real login takes a form and checks a password
    user = request.matchdict["user"]
    get_session(request).login(user)
    return f"hello {user}"


def my_sessions(request: Request) -> list[dict[str, object]]:
    mine = get_session(request).user_sessions()  # answers 401 if nobody is logged in
    return [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]


def logout(request: Request) -> str:
    get_session(request).logout()
    return "bye"


def logout_everywhere(request: Request) -> str:
    get_session(request).logout_everywhere()
    return "bye, everywhere"


ROUTES = [
    ("GET", "/me", me),
    ("POST", "/cart/{item}", add_to_cart),
    ("POST", "/login/{user}", login),
    ("GET", "/sessions", my_sessions),
    ("POST", "/logout", logout),
    ("POST", "/logout-everywhere", logout_everywhere),
]


def main(global_config: object, **settings: object) -> Any:
    """Make the application, with the settings of ``[app:main]`` in an ini file."""
    with Configurator(settings=settings) as config:
        config.include("lembro.integrations.pyramid")
        for method, path, view in ROUTES:
            config.add_route(path, path)
            config.add_view(view, route_name=path, request_method=method, renderer="json")
        return config.make_wsgi_app()


app = main({}, **{"lembro.max_size": "64M", "lembro.idle_timeout": "28800"})
