"""The configuration files of the deployment guides: they equal their pages, and are well-formed.

``tests/servers/test_proxies.py`` and ``test_systemd.py`` run what runs on this machine.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support import ROOT

DEPLOY: Final = ROOT / "examples" / "deploy"
PAGES: Final = sorted((ROOT / "docs" / "deploy").glob("*.md"))
BLOCKS: Final = [
    (page, match["title"], dedent(match["text"]))
    for page in PAGES
    for match in re.finditer(
        r'^ *```\w+ title="(?P<title>[^"\n]+)"\n(?P<text>.*?)^ *```$',
        page.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
]


@pytest.mark.parametrize(("page", "title", "text"), BLOCKS, ids=[block[1] for block in BLOCKS])
def test_a_file_is_shown_as_it_is(page: Path, title: str, text: str) -> None:
    assert text == (DEPLOY / title).read_text(encoding="utf-8"), page


def test_each_file_is_shown_on_a_page() -> None:
    files = {
        path.relative_to(DEPLOY).as_posix()
        for path in DEPLOY.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == {title for _, title, _ in BLOCKS}


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def test_the_routes_of_traefik_refer_to_existing_parts() -> None:
    [static], [routes] = documents("traefik/traefik.yml"), documents("traefik/shop.yml")
    http = routes["http"]
    assert set(http) == {"routers", "middlewares", "services"}
    for router in http["routers"].values():
        assert set(router["entryPoints"]) <= set(static["entryPoints"])
        assert set(router.get("middlewares", ())) <= set(http["middlewares"])
        assert router["service"] in http["services"]
        assert router["tls"]["certResolver"] in static["certificatesResolvers"]
    assert "forwardedHeaders" not in str(static)  # Traefik replaces the headers of clients


@pytest.mark.parametrize("name", ["memory", "redis"])
def test_the_pods_of_kubernetes_are_found_and_probed(name: str) -> None:
    deployment, service, *others = documents(f"kubernetes/{name}.yaml")
    spec = deployment["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    for other in others:
        assert other["spec"]["selector"]["matchLabels"] == labels
    [container] = spec["template"]["spec"]["containers"]
    [port] = container["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["containerPort"]
    paths = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if probe in container
    }
    assert paths.pop("startupProbe", "/readyz") == "/readyz"
    assert set(paths.values()) == {"/healthz"}  # a store that is down must not restart the pods
    in_memory = spec["strategy"]["type"] == "Recreate" and spec["replicas"] == 1
    assert in_memory is (name == "memory")


def test_the_services_of_compose_refer_to_existing_parts() -> None:
    [base], [more] = documents("docker/compose.yaml"), documents("docker/compose.redis.yaml")
    services = {**base["services"], **more["services"]}
    volumes = {**base["volumes"], **more["volumes"]}
    for service in (*base["services"].values(), *more["services"].values()):
        assert set(service.get("depends_on", ())) <= set(services)
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in volumes or (DEPLOY / "docker" / source).is_file()
    assert "ports" not in services["app"]  # it trusts each client that reaches it
    caddy = (DEPLOY / "docker" / "Caddyfile").read_text(encoding="utf-8")
    assert re.search(r"dynamic a \{\s+name app\s+port 8000\s", caddy)


def test_the_image_runs_the_server_without_a_shell_and_without_root() -> None:
    """A shell as process 1 would not pass SIGTERM on, and the last requests would be cut off."""
    text = (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = dict(line.split(maxsplit=1) for line in text.splitlines() if line)
    assert lines["CMD"].startswith('["uvicorn", "app:app",')
    assert lines["USER"].isdecimal()  # Kubernetes can see that it is not root
    assert "/healthz" in lines["HEALTHCHECK"]
