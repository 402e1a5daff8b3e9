"""A cart, a login and a list of the user's sessions, with FastAPI.

    pip install 'lembro[fastapi]' uvicorn
    uvicorn examples.fastapi_app:app

Then open http://127.0.0.1:8000/docs. tests/examples/test_examples.py shows the other requests.
"""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI

from lembro import MemoryStore, SessionManager
from lembro.integrations.fastapi import SessionMiddleware, UserDep, WebSessionDep

manager = SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))
app = FastAPI()
app.add_middleware(SessionMiddleware, manager)


@app.get("/me")
def me(session: WebSessionDep) -> dict[str, object]:
    return {"user": session.user_id, "cart": session.get("cart", [])}


@app.post("/cart/{item}")
def add_to_cart(item: str, session: WebSessionDep) -> list[str]:
    cart: list[str] = session.setdefault("cart", [])
    cart.append(item)
    return cart


@app.post("/login/{user}")  # a real login takes a form and checks a password
def login(user: str, session: WebSessionDep) -> str:
    session.login(user)
    return f"hello {user}"


@app.get("/sessions")
async def my_sessions(session: WebSessionDep) -> list[dict[str, object]]:
    mine = await session.auser_sessions()  # answers 401 if nobody is logged in
    return [{"name": s.handle, "age": s.age, "this one": s.current} for s in mine]


@app.post("/logout")
def logout(session: WebSessionDep) -> str:
    session.logout()
    return "bye"


@app.post("/logout-everywhere")
def logout_everywhere(user_id: UserDep, session: WebSessionDep) -> str:
    session.logout_everywhere()
    return "bye, everywhere"
