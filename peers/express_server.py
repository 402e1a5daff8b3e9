"""The server that has the sessions of ``node/suite.js``: an ExpressManager for each of its apps.

``python -m peers.express_server REDIS_URL`` prints its port. The application asks the handler of
the test, in Node, with the data of the session, and then does to the session what the handler did.
"""

from __future__ import annotations

import json
import sys
from http.client import HTTPConnection
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from lembro.express import ConnectRedis, ExpressCookie, ExpressManager
from lembro.wsgi import SessionMiddleware

HOST: Final = "127.0.0.1"
PATIENCE: Final = 20.0  # seconds
COOKIE: Final = {"path": "path", "domain": "domain", "httpOnly": "httponly", "secure": "secure"}


class Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread of its own."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Apps:
    """The WSGI application, which passes a request on to the app that it names."""

    def __init__(self, redis: str) -> None:
        self._redis = redis
        self._apps: dict[int, SessionMiddleware] = {}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        options = json.loads(environ["HTTP_X_OPTIONS"])
        if options.get("proxy"):  # what a server does that trusts its proxy
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "http").partition(",")[0]
            environ["wsgi.url_scheme"] = scheme
        environ["peers.options"] = options
        app = self._apps.get(options["app"])
        if app is None:
            app = self._apps[options["app"]] = SessionMiddleware(handle, self._manager(options))
        return app(environ, start_response)

    def _manager(self, options: Any) -> ExpressManager:
        given = options.get("cookie", {})
        cookie: dict[str, Any] = {COOKIE[name]: given[name] for name in COOKIE if name in given}
        if given.get("maxAge") is not None:
            cookie["max_age"] = given["maxAge"] / 1000
        store = ConnectRedis(self._redis, prefix=f"app{options['app']}:", timeout=PATIENCE)
        name = options.get("key", "connect.sid")
        return ExpressManager(
            store, secret=options["secret"], cookie=ExpressCookie(name=name, **cookie)
        )


def handle(environ: Any, start_response: Any) -> list[bytes]:
    session, options = environ["lembro.session"], environ["peers.options"]
    connection = HTTPConnection(HOST, options["handlers"], timeout=PATIENCE)
    asked = {"number": options["number"], "data": dict(session)}
    connection.request("POST", "/", json.dumps(asked))
    did = json.loads(connection.getresponse().read())
    connection.close()
    if did["ended"] == "destroy":
        session.logout()
    elif did["ended"] == "regenerate":
        session.regenerate_id()
    for key in set(session).difference(did["data"]):
        del session[key]
    for key, value in did["data"].items():
        if key not in session or session[key] != value:
            session[key] = value
    start_response(f"{did['status']} OK", [("Content-Type", "text/plain")])
    return [did["body"].encode()]


def main() -> None:
    with make_server(HOST, 0, Apps(sys.argv[1]), Server, Quiet) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
