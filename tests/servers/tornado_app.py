"""An application for Tornado's own server: ``python -m tests.servers.tornado_app PORT``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from lembro.integrations.tornado import Lembro, SessionMixin
from lembro.stores import store_of
from tests.servers.count import count


class Page(SessionMixin, RequestHandler):
    def answer(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(value))


class Index(RequestHandler):
    def get(self) -> None:
        self.write("ok")


class Login(Page):
    def post(self, user: str) -> None:
        self.session.login(user)


class Do(Page):
    def post(self, what: str) -> None:
        {
            "logout": self.session.logout,
            "logout-everywhere": self.session.logout_everywhere,
            "rotate": self.session.regenerate_id,
        }[what]()


class Cart(Page):
    def post(self, item: str) -> None:
        self.session.setdefault("cart", []).append(int(item))
        self.session[f"item-{item}"] = int(item)


class Count(Page):
    async def post(self) -> None:
        self.answer(await self.session.aatomic(count))


class Me(Page):
    def get(self) -> None:
        self.answer({"user": self.session.user_id, "data": dict(self.session)})


class Stream(Page):
    async def get(self) -> None:
        self.write(f"{len(self.session)}\n")
        await self.flush()
        async with self.session.edit():
            self.session["streamed"] = True
        self.write("done\n")


class Fails(Page):
    def get(self) -> None:
        self.session["failed"] = True
        self.set_status(500)


class Socket(SessionMixin, WebSocketHandler):
    """Store every message, and respond with the number of messages."""

    async def on_message(self, message: str | bytes) -> None:
        session = self.session
        async with session.edit():
            session["said"] = [*session.get("said", []), message]
        await self.write_message(f"{session.user_id}: {len(session['said'])}")


def application() -> Application:
    app = Application(
        [
            ("/", Index),
            ("/login/(.*)", Login),
            ("/(logout|logout-everywhere|rotate)", Do),
            ("/cart/(.*)", Cart),
            ("/count", Count),
            ("/me", Me),
            ("/stream", Stream),
            ("/fails", Fails),
            ("/ws", Socket),
        ]
    )
    Lembro(app, store=store_of(None))
    return app


async def main(port: int) -> None:
    application().listen(port, "127.0.0.1")
    await asyncio.Event().wait()  # no limit: the server runs until it is killed


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
