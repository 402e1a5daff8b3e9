"""The application of the guide docs/express.md, next to Express."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.support import ROOT
from tests.support.express import Express
from tests.support.servers import redis
from tests.unit.test_readme import run


def test_the_application_of_the_guide_has_the_login_of_express(
    node: Express, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, prefix = redis.shared().url, redis.new_prefix()
    monkeypatch.setenv("REDIS_URL", f"{url}?prefix={prefix}&timeout=10")
    page = ROOT / "docs" / "express.md"
    module = run(page, page.read_text(encoding="utf-8"))
    express = node.mount({"kind": "redis", "url": url, "prefix": prefix}, secret="keyboard cat")
    with TestClient(module.app) as client:
        assert client.post("/python/login/ann").json() == "hello ann"
        cookie = f"connect.sid={client.cookies['connect.sid']}"
        assert express.ask("/read", None, cookie).json["user"] == "ann"
        express.ask("/write", {"key": "cart", "value": ["bread"]}, cookie)
        assert client.get("/python/me").json() == {"user": "ann", "cart": ["bread"]}
        express.ask("/passport-logout", {}, cookie)
        assert client.get("/python/me").json() == {"user": None, "cart": []}
