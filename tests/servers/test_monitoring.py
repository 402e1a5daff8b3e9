"""The metrics, the alerts and the dashboard, with the programs of Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lembro import SessionManager
from lembro.metrics.prometheus import SessionCollector
from tests.support import ROOT, require_or_skip
from tests.support.servers import HOST, free_port, serve

FOLDER = ROOT / "examples" / "monitoring"
APP = [sys.executable, "-m", "uvicorn", "--port={port}", "examples.metrics_app:app"]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]


def program(name: str) -> str:
    """Return the path of a program. Skip the test if it is not installed."""
    found = shutil.which(name)
    if found is None:
        require_or_skip(f"no {name} on this machine (apt-get install prometheus)")
    return found


def promtool(*arguments: object, stdin: str = "") -> str:
    """Run promtool, and return its output. Fail the test if it finds a fault."""
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def query_of(expression: str) -> str:
    """Return an expression of the dashboard with the variables that Grafana fills in."""
    for variable, text in (("$__rate_interval", "1m"), ("$job", ".*"), ("$instance", ".*")):
        expression = expression.replace(variable, text)
    return expression.replace("$manager", ".*")


# -- the files


def test_the_alerts_are_valid_and_each_one_fires() -> None:
    promtool("check", "config", FOLDER / "prometheus.yml")
    promtool("test", "rules", FOLDER / "alerts_test.yml")
    alerts = set(re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text("utf-8")))
    tested = set(re.findall(r'alertname="(\w+)"', (FOLDER / "alerts_test.yml").read_text("utf-8")))
    assert alerts == tested


def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query_of(query)}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    promtool("check", "rules", file)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all("$manager" in query for query in QUERIES)


@pytest.mark.parametrize("name", ["alerts.yml", "alerts_test.yml", "grafana-dashboard.json"])
def test_every_metric_that_is_named_exists(name: str) -> None:
    registry = CollectorRegistry()
    SessionCollector(SessionManager(), registry)
    text = (FOLDER / name).read_text("utf-8")
    named = set(re.findall(r"\blembro_\w+", text))
    assert len(named) > 5
    assert named - set(registry._names_to_collectors) == set()


def test_the_dashboard_shows_every_metric() -> None:
    registry = CollectorRegistry()
    SessionCollector(SessionManager(), registry)
    shown = set(re.findall(r"lembro_\w+", " ".join(QUERIES)))
    missing = {
        metric.name
        for metric in registry.collect()
        if not any(name.startswith(metric.name) for name in shown)
    }
    assert missing == set()


# -- a real Prometheus


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    with serve(APP, ready="/metrics/") as server:
        client = httpx.Client(base_url=server.url)
        with client:
            client.post("/cart/bread").raise_for_status()
            client.post("/login/heidi").raise_for_status()
        yield server.url.removeprefix("http://")


def test_the_text_of_a_scrape_has_no_faults(app: str) -> None:
    lines = httpx.get(f"http://{app}/metrics/").text.splitlines(keepends=True)
    assert promtool("check", "metrics", stdin="".join(li for li in lines if "lembro_" in li)) == ""


def test_prometheus_scrapes_an_application(app: str, tmp_path: Path) -> None:
    text = (FOLDER / "prometheus.yml").read_text("utf-8")
    for old, new in (("15s", "200ms"), ("127.0.0.1:8000", app), ("alerts.yml", "")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "prometheus.yml").write_text(text.replace("rule_files:\n  - \n", ""), "utf-8")
    command = [
        program("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        "--web.listen-address=127.0.0.1:{port}",
    ]
    with serve(command, ready="/-/ready", timeout=60) as server, httpx.Client() as client:

        def result(query: str) -> list[Any]:
            url = f"{server.url}/api/v1/query"
            answer = client.get(url, params={"query": query}, timeout=30).json()
            assert answer["status"] == "success", answer
            found: list[Any] = answer["data"]["result"]
            return found

        deadline = time.monotonic() + 60
        while len(result("lembro_sessions[1m]")) < 5 and time.monotonic() < deadline:
            time.sleep(0.1)
        [target] = client.get(f"{server.url}/api/v1/targets").json()["data"]["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        [created] = result("lembro_sessions_created_total")
        assert (created["metric"]["job"], created["value"][1]) == ("shop", "1")
        assert [user["value"][1] for user in result('lembro_sessions{tier="4"}')] == ["1"]
        metadata = client.get(f"{server.url}/api/v1/metadata").json()["data"]
        assert metadata["lembro_sessions"][0]["type"] == "gauge"
        assert metadata["lembro_store_operation_duration_seconds"][0]["type"] == "histogram"
        for query in QUERIES:
            result(query_of(query))


# -- several workers

WORKERS_APP = """
from lembro import SessionManager
from lembro.metrics.prometheus import SessionCollector
from lembro.wsgi import SessionMiddleware

manager = SessionManager("sqlite:///sessions.db")
SessionCollector(manager)


def begin(environ, start_response):
    environ["lembro.session"]["cart"] = ["bread"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


app = SessionMiddleware(begin, manager)
"""


def two_ports() -> tuple[int, int]:
    """Return two free ports that follow each other."""
    for _ in range(50):
        first = free_port()
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, first + 1))
            return first, first + 1
    raise RuntimeError("no two free ports follow each other")


def test_each_worker_of_gunicorn_answers_on_its_own_port(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    [config] = re.findall(r'title="gunicorn.conf.py"\n(.*?)```', page, re.DOTALL)
    ports = two_ports()
    config = config.replace("9101", str(ports[0])).replace("workers = 4", "workers = 2")
    (tmp_path / "gunicorn.conf.py").write_text(config, "utf-8")
    (tmp_path / "shop.py").write_text(WORKERS_APP, "utf-8")
    command = [sys.executable, "-m", "gunicorn", "--bind=127.0.0.1:{port}", "shop:app"]
    with serve(command, cwd=tmp_path) as server:
        for _ in range(10):
            httpx.get(server.url).raise_for_status()
        texts = [httpx.get(f"http://{HOST}:{port}/metrics").text for port in ports]
    created = [
        float(re.findall(r"^lembro_sessions_created_total.* (.*)", t, re.M)[0]) for t in texts
    ]
    sessions = [float(re.findall(r"^lembro_sessions\{.* (.*)", t, re.M)[0]) for t in texts]
    begun = sum(created)
    assert begun >= 10  # those of the check that the server answers, too
    assert sessions == [begun, begun]
