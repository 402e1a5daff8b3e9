"""A cart, a login and a list of the user's sessions, with Falcon.

    pip install 'lembro[falcon]' waitress
    waitress-serve --listen=127.0.0.1:8000 examples.falcon_app:app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.

An application with falcon.asgi.App and `async def` looks the same.
"""

from __future__ import annotations

from datetime import timedelta

import falcon

from lembro import MemoryStore, SessionManager
from lembro.integrations.falcon import Lembro, get_session

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = falcon.App()
Lembro(app, manager)


class Me:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        session = get_session(req)  # req.context.session, typed
        resp.media = {"user": session.user_id, "cart": session.get("cart", [])}


class Cart:
    def on_post(self, req: falcon.Request, resp: falcon.Response, item: str) -> None:
        cart: list[str] = get_session(req).setdefault("cart", [])
        cart.append(item)
        resp.media = cart


class Login:
    def on_post(self, req: falcon.Request, resp: falcon.Response, user: str) -> None:
        get_session(req).login(user)  # a real login takes a form and checks a password
        resp.media = f"hello {user}"


class Sessions:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        mine = get_session(req).user_sessions()  # answers 401 if nobody is logged in
        resp.media = [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]


class Logout:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        get_session(req).logout()
        resp.media = "bye"

    def on_post_everywhere(self, req: falcon.Request, resp: falcon.Response) -> None:
        get_session(req).logout_everywhere()
        resp.media = "bye, everywhere"


app.add_route("/me", Me())
app.add_route("/cart/{item}", Cart())
app.add_route("/login/{user}", Login())
app.add_route("/sessions", Sessions())
app.add_route("/logout", Logout())
app.add_route("/logout-everywhere", Logout(), suffix="everywhere")
