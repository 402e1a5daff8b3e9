"""Call an ASGI or WSGI application as a server would."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread

from lembro import asgi
from lembro._threads import in_event_loop
from tests.support.messages import Answer, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

CLIENT: Final = "127.0.0.1"


async def fetch_asgi(app: asgi.ASGIApp, request: Request) -> Answer:
    """Call an ASGI application as a server would."""
    secure = "s" if request.https else ""
    scope: asgi.Scope = {
        "type": "websocket" if request.websocket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": f"{'ws' if request.websocket else 'http'}{secure}",
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": request.query.encode(),
        "headers": [
            (b"host", b"testserver"),
            *request.headers,
            *((b"cookie", cookie) for cookie in request.cookies),
        ],
        "client": (CLIENT, 50_000),
        "server": ("testserver", 443 if request.https else 80),
        "state": {},
    }
    if request.websocket:
        scope["subprotocols"] = []
    else:
        scope["method"] = "GET"
    answer = Answer()
    received = 0
    ended = anyio.Event()

    async def receive() -> asgi.Message:
        nonlocal received
        received += 1
        if received > 1:
            with anyio.fail_after(60):
                await ended.wait()
            return {"type": "websocket.disconnect" if request.websocket else "http.disconnect"}
        if request.websocket:
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: asgi.Message) -> None:
        if request.sending is not None:
            await request.sending()
        kind = message["type"]
        if kind in ("http.response.start", "websocket.accept"):
            assert not answer.status, "the response was started twice"
            answer.status = message.get("status", 101)
            answer.headers = list(message.get("headers", []))
        elif kind == "http.response.body":
            assert answer.status, "a body without a start"
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                ended.set()
        elif kind == "websocket.close" and answer.closed is None:
            answer.closed = message.get("code", 1000), message.get("reason") or ""
            ended.set()

    try:
        await app(scope, receive, send)
    except Exception as error:  # a server logs it, and responds with 500 if nothing was sent yet
        answer.error = error
        answer.status = answer.status or 500
    return answer


async def fetch_wsgi(app: WSGIApplication, request: Request) -> Answer:
    """Call a WSGI application as a server would: in a thread in which no event loop runs."""
    if in_event_loop():
        return await to_thread.run_sync(call_wsgi, app, request)
    return call_wsgi(app, request)


def call_wsgi(app: WSGIApplication, request: Request) -> Answer:
    """Call a WSGI application in this thread."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "443" if request.https else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": CLIENT,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if request.https else "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        environ["HTTP_" + name.decode().upper().replace("-", "_")] = value.decode("latin-1")
    if request.cookies:
        environ["HTTP_COOKIE"] = b"; ".join(request.cookies).decode("latin-1")
    answer = Answer()

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        assert not answer.status or exc_info, "the response was started twice"
        answer.status = int(status.split(maxsplit=1)[0])
        answer.headers = [(name.encode("latin-1"), v.encode("latin-1")) for name, v in headers]
        return write

    def write(data: bytes) -> None:
        answer.body += data

    body: Any = ()
    try:
        body = app(environ, start_response)
        for chunk in body:
            assert answer.status, "a body without a start"
            answer.body += chunk
    except Exception as error:
        answer.error = error
        answer.status = answer.status or 500
    finally:
        if hasattr(body, "close"):
            body.close()
    return answer
