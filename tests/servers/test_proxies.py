"""The configuration files of the deployment guides, in the real proxies, with TLS.

A test replaces only what belongs to the machine: ports, certificates, and Caddy's automatic ones.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest
from websockets.sync.client import connect

from tests.support import ROOT, require_or_skip
from tests.support.servers import HOST, Server, free_port, serve

DEPLOY: Final = ROOT / "examples" / "deploy"
BROWSER: Final = "127.0.0.2"
"""The address that the browser has, other than the proxy's."""
TIMEOUT: Final = 30.0

PYTHON: Final = [sys.executable, "-m"]
SHOP: Final = [*PYTHON, "uvicorn", "app:app", "--port", "{port}"]
APPS: Final = {
    "FastAPI": SHOP,
    "FastAPI below /shop": [*SHOP, "--root-path", "/shop"],
    "Flask below /shop": [
        *(*PYTHON, "gunicorn", "flask_app:app", "--bind", HOST + ":{port}"),
        *("--threads", "4", "--access-logfile", "-"),
    ],
}
"""The commands of the guides."""

NGINX: Final = """
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events {} http { access_log off; types {} default_type text/plain;
client_body_temp_path t/b; proxy_temp_path t/p; fastcgi_temp_path t/f; uwsgi_temp_path t/u;
scgi_temp_path t/s; %s }
"""
CADDY: Final = """
{
    admin off
    auto_https disable_redirects
    default_bind 127.0.0.1
}
%s
"""


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Return a file with other places. Each of these must be in it."""
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text)
        assert count, pattern
    return text


def nginx_site(name: str, port: int, app: int, certificate: Path) -> str:
    text = changed(
        (DEPLOY / "nginx" / name).read_text("utf-8"),
        (r"\blisten 443 ssl;", f"listen {HOST}:{port} ssl;"),
        (r"ssl_certificate /\S+;", f"ssl_certificate {certificate}/cert.pem;"),
        (r"ssl_certificate_key /\S+;", f"ssl_certificate_key {certificate}/key.pem;"),
        (r"127\.0\.0\.1:8000", f"{HOST}:{app}"),
    )
    return text.replace("listen 80;", f"listen {HOST}:{free_port()};")


def caddy_site(name: str, port: int, app: int, certificate: Path) -> str:
    return changed(
        (DEPLOY / "caddy" / {"shop.conf": "Caddyfile"}.get(name, "subpath.Caddyfile")).read_text(
            "utf-8"
        ),
        (
            r"\n(\w+\.example) \{\n",
            rf"\nhttps://\1:{port} {{\ntls {certificate}/cert.pem {certificate}/key.pem\n",
        ),
        (r"127\.0\.0\.1:8000", f"{HOST}:{app}"),
    )


SITES: Final[dict[str, Callable[[str, int, int, Path], str]]] = {
    "nginx": nginx_site,
    "caddy": caddy_site,
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with a key and a certificate of the sites."""
    if shutil.which("openssl") is None:
        require_or_skip("no openssl on this machine")
    folder = tmp_path_factory.mktemp("tls")
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=shop.example"
    names = "subjectAltName=DNS:shop.example,DNS:www.example"
    subprocess.run(
        [*request.split(), "-addext", names, "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder


@pytest.fixture(scope="module")
def apps() -> Iterator[dict[str, Server]]:
    """Run the application of the guides by each command."""
    env = {"PYTHONPATH": f"{ROOT / 'src'}", "LEMBRO_STORE": "memory:1M"}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serve(command, env=env, timeout=60, cwd=DEPLOY))
            for name, command in APPS.items()
        }


class Site:
    """An application behind a proxy, as a browser sees it."""

    def __init__(self, app: Server, host: str, port: int, certificate: Path) -> None:
        self.app = app
        self.host = host
        self.port = port
        self.tls = ssl.create_default_context(cafile=certificate / "cert.pem")

    def request(self, method: str, path: str, cookie: str = "", **headers: str) -> httpx.Response:
        """Send a request from the browser's address, with the name of the site."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            named["Cookie"] = cookie
        transport = httpx.HTTPTransport(verify=self.tls, local_address=BROWSER)
        with httpx.Client(transport=transport, timeout=TIMEOUT) as client:
            return client.request(
                method,
                f"https://{HOST}:{self.port}{path}",
                headers={"Host": self.host, **named},
                extensions={"sni_hostname": self.host},
            )

    def log_in(self, path: str, **headers: str) -> tuple[httpx.Response, str]:
        """Log in. Return the response, and the value of the Cookie header."""
        answer = self.request("POST", f"{path}/login/heidi", **headers)
        [cookie] = answer.headers.get_list("set-cookie")
        return answer, cookie.partition(";")[0]


@pytest.fixture(scope="module", params=SITES)
def sites(
    request: pytest.FixtureRequest,
    apps: dict[str, Server],
    certificate: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Site]]:
    """Run a proxy with the file for a whole host and, twice, the file for a subpath."""
    proxy: str = request.param
    program = shutil.which(proxy) or shutil.which(proxy, path="/usr/sbin")
    if program is None:
        require_or_skip(f"no {proxy} on this machine")
    folder = tmp_path_factory.mktemp(proxy)
    made: dict[str, Site] = {}
    texts: list[str] = []
    for name, app in apps.items():
        host, file = ("shop.example", "shop.conf")
        if "below" in name:
            host, file = ("www.example", "subpath.conf")
        port = free_port()
        texts.append(SITES[proxy](file, port, app.port, certificate))
        made[name] = Site(app, host, port, certificate)
    config = folder / "config"
    if proxy == "nginx":
        (folder / "t").mkdir()
        config.write_text(NGINX % "\n".join(texts), encoding="utf-8")
        command = [program, "-p", str(folder), "-c", str(config)]
    else:
        config.write_text(CADDY % "\n".join(texts), encoding="utf-8")
        command = [program, "run", "--adapter", "caddyfile", "--config", str(config)]
    env = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with serve(command, env=env, port=next(iter(made.values())).port, cwd=folder, timeout=60):
        yield made


def test_caddy_accepts_the_file_of_compose() -> None:
    program = shutil.which("caddy")
    if program is None:
        require_or_skip("no caddy on this machine")
    file = DEPLOY / "docker" / "Caddyfile"
    command = [program, "adapt", "--adapter", "caddyfile", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert '"try_duration":15000000000' in done.stdout


@pytest.mark.parametrize("app", APPS)
def test_the_cookie_is_secure_and_the_redirect_stays_on_the_site(
    sites: dict[str, Site], app: str
) -> None:
    site = sites[app]
    path = "/shop" if "below" in app else ""
    answer, cookie = site.log_in(path)
    assert answer.status_code == 303
    assert answer.headers["location"] in (f"https://{site.host}{path}/me", f"{path}/me")
    [whole] = answer.headers.get_list("set-cookie")
    assert whole.startswith("__Host-sid=")
    assert whole.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert answer.headers["cache-control"] == "private, no-store"
    assert site.request("GET", f"{path}/me", cookie).json()["user"] == "heidi"
    assert site.request("GET", f"{path}/readyz").status_code == 200
    assert "lembro:" not in site.app.log  # no warning that the cookie was set over plain http


@pytest.mark.parametrize("app", APPS)
def test_the_address_is_the_browsers_and_cannot_be_forged(sites: dict[str, Site], app: str) -> None:
    site = sites[app]
    path = "/shop" if "below" in app else ""
    forged = {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Proto": "http"}
    answer, cookie = site.log_in(path, **forged)
    assert answer.headers["set-cookie"].startswith("__Host-sid=")
    addresses = site.request("GET", f"{path}/me", cookie).json()["addresses"]
    assert set(addresses) == {BROWSER}
    assert BROWSER in site.app.log
    assert "6.6.6.6" not in site.app.log


@pytest.mark.parametrize("app", ["FastAPI below /shop", "Flask below /shop"])
def test_the_path_of_an_application_needs_its_slash(sites: dict[str, Site], app: str) -> None:
    answer = sites[app].request("GET", "/shop")
    assert answer.status_code in (301, 302)
    assert answer.headers["location"].endswith("/shop/")
    assert sites[app].request("GET", "/shops").status_code != 303


def test_a_path_with_another_slash_is_redirected_within_the_subpath(sites: dict[str, Site]) -> None:
    answer = sites["FastAPI below /shop"].request("GET", "/shop/me/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "https://www.example/shop/me"


def test_a_websocket_has_the_session(sites: dict[str, Site]) -> None:
    site = sites["FastAPI"]
    _, cookie = site.log_in("")
    with connect(
        f"wss://{site.host}:{site.port}/live",
        sock=socket.create_connection((HOST, site.port), TIMEOUT),
        ssl=site.tls,
        additional_headers={"Cookie": cookie},
        proxy=None,
        open_timeout=TIMEOUT,
    ) as live:
        assert live.recv(TIMEOUT) == "hello heidi"
