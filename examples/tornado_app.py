"""A cart, a login and a list of the user's sessions, with Tornado.

    pip install 'lembro[tornado]'
    python -m examples.tornado_app

Then open http://127.0.0.1:8000/me. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

from tornado.web import Application, RequestHandler

from lembro import MemoryStore, SessionManager
from lembro.integrations.tornado import Lembro, SessionMixin


class Page(SessionMixin, RequestHandler):
    def answer(self, value: object) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(value))


class Me(Page):
    def get(self) -> None:
        self.answer({"user": self.session.user_id, "cart": self.session.get("cart", [])})


class Cart(Page):
    def post(self, item: str) -> None:
        cart: list[str] = self.session.setdefault("cart", [])
        cart.append(item)
        self.answer(cart)


class Login(Page):
    def post(self, user: str) -> None:  # a real login takes a form and checks a password
        self.session.login(user)
        self.answer(f"hello {user}")


class Sessions(Page):
    async def get(self) -> None:
        mine = await self.session.auser_sessions()  # answers 401 if nobody is logged in
        self.answer([{"name": s.handle, "age": s.age, "this one": s.current} for s in mine])


class Logout(Page):
    def post(self) -> None:
        self.session.logout()
        self.answer("bye")


class LogoutEverywhere(Page):
    def post(self) -> None:
        self.session.logout_everywhere()
        self.answer("bye, everywhere")


manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = Application(
    [
        ("/me", Me),
        ("/cart/(.*)", Cart),
        ("/login/(.*)", Login),
        ("/sessions", Sessions),
        ("/logout", Logout),
        ("/logout-everywhere", LogoutEverywhere),
    ]
)
Lembro(app, manager)


async def main(port: int = 8000) -> None:
    app.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
