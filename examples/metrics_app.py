"""A page of metrics for Prometheus, with FastAPI.

    pip install 'lembro[fastapi,prometheus]' uvicorn
    uvicorn examples.metrics_app:app
    prometheus --config.file=examples/monitoring/prometheus.yml

Then open http://127.0.0.1:9090/alerts. examples/monitoring/grafana-dashboard.json is a dashboard.
"""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_client import make_asgi_app

from lembro import MemoryStore, SessionManager
from lembro.integrations.fastapi import SessionMiddleware, WebSessionDep
from lembro.metrics.prometheus import SessionCollector

manager = SessionManager(MemoryStore("64M"))
SessionCollector(manager)

app = FastAPI()
app.add_middleware(SessionMiddleware, manager, exclude=["/metrics"])
app.mount("/metrics", make_asgi_app())  # keep it from visitors, for example in the proxy


@app.post("/cart/{item}")
def add_to_cart(item: str, session: WebSessionDep) -> list[str]:
    cart: list[str] = session.setdefault("cart", [])
    cart.append(item)
    return cart


@app.post("/login/{user}")  # a real login takes a form and checks a password
def login(user: str, session: WebSessionDep) -> str:
    session.login(user)
    return f"hello {user}"


@app.post("/logout")
def logout(session: WebSessionDep) -> str:
    session.logout()
    return "bye"
