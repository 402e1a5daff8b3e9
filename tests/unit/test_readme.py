"""Every ``python`` block of the README and of the documentation is run.

The blocks of one page are run in order, as one module, so that a page can build up. A block after
the line ``<!-- not run -->`` is only compiled.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.testclient import TestClient

from lembro import Session, SessionManager
from tests.support import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"(?P<mark>^<!-- not run -->\n\n?)?^```python[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    code: str
    """Begins with as many empty lines as precede it, so that a traceback has the line number."""
    run: bool


def blocks_of(text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        before = text.count("\n", 0, match.start("code"))
        yield Block("\n" * before + match["code"], match["mark"] is None)


def run(page: Path, text: str) -> ModuleType:
    """Run the blocks of a page, and return the module that they form."""
    module = ModuleType(f"page_{page.stem.replace('-', '_')}")
    sys.modules[module.__name__] = module  # where pydantic and others look up a class
    try:
        for block in blocks_of(text):
            code = compile(block.code, str(page), "exec")
            if block.run:
                exec(code, module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_code_of_the_page_runs(page: Path) -> None:
    run(page, page.read_text(encoding="utf-8"))


# -- async code awaits -----------------------------------------------------------------------------


def plain_of_pairs(cls: type[Any]) -> set[str]:
    """Return the methods that have a twin to await: ``save``, because of ``asave``."""
    return {name for name in vars(cls) if f"a{name}" in vars(cls)}


OF_A_SESSION = plain_of_pairs(Session)
OF_A_MANAGER = plain_of_pairs(SessionManager)
ASYNC_CODE = [*PAGES, *sorted((ROOT / "examples").glob("*.py"))]


def in_the_loop(function: ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Find the nodes of an async function that run in the event loop, not nested functions."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def blocking_calls(code: str) -> list[str]:
    """Find the plain calls in async functions that would block the loop with another store."""
    found = []
    for function in ast.walk(ast.parse(code)):
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for node in in_the_loop(function):
            items = node.items if isinstance(node, ast.With) else []
            found += [text for item in items if (text := ast.unparse(item)).endswith(".edit()")]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if (owner.endswith("manager") and node.func.attr in OF_A_MANAGER) or (
                    "session" in owner and node.func.attr in OF_A_SESSION
                ):
                    found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", ASYNC_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_async_code_awaits_calls_of_the_store(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    codes = [text] if path.suffix == ".py" else [block.code for block in blocks_of(text)]
    assert [call for code in codes for call in blocking_calls(code)] == []


@pytest.mark.parametrize(
    ("line", "blocks"),
    [
        ("session.save()", True),
        ("await session.asave()", False),
        ("get_session(request).reload()", True),
        ("manager.get(session_id)", True),
        ("session.get('cart')", False),
        ("with request.session.edit(): pass", True),
        ("async with session.edit(): pass", False),
        ("f = lambda: manager.length()", False),
    ],
)
def test_a_blocking_call_is_found(line: str, blocks: bool) -> None:
    assert bool(blocking_calls(f"async def handler():\n    {line}")) is blocks


# -- the applications of the pages -----------------------------------------------------------------


def readme_app(framework: str) -> Any:
    """Return the application in the block of the README that imports this framework."""
    for block in blocks_of((ROOT / "README.md").read_text(encoding="utf-8")):
        if f"from {framework} import" in block.code:
            return run(ROOT / "README.md", f"```python\n{block.code}```\n").app
    pytest.fail(f"the README has no application for {framework}")


def test_the_readmes_fastapi_application_keeps_a_cart_through_a_login() -> None:
    client = TestClient(readme_app("fastapi"))
    assert client.post("/cart/bread").json() == ["bread"]
    assert client.post("/login/heidi").status_code == 200
    assert client.post("/cart/butter").json() == ["bread", "butter"]


def test_the_readmes_flask_application_keeps_a_cart() -> None:
    client = readme_app("flask").test_client()
    assert client.post("/cart/bread").json == ["bread"]
    assert client.post("/login/heidi").text == "hello heidi"
    assert client.post("/cart/butter").json == ["bread", "butter"]


def test_the_websocket_and_the_stream_of_the_page_about_starlette() -> None:
    page = ROOT / "docs" / "starlette.md"
    text = page.read_text(encoding="utf-8")
    module = run(page, text.partition("## A login is needed")[0])
    client = TestClient(module.app)
    with client.websocket_connect("/ws") as websocket:
        websocket.send_text("first")
        websocket.send_text("last")
    [session] = module.manager.all()
    assert session.data == {"opened": True, "last": "last"}

    client.cookies.set("sid", module.manager.create(user_id="heidi"))
    assert client.get("/stream").text == "hello heidi\n"
    [session] = module.manager.user_sessions("heidi")
    assert session.data == {"streamed": True}


def test_the_responses_of_the_page_about_starlette_without_a_login() -> None:
    page = ROOT / "docs" / "starlette.md"
    module = run(page, page.read_text(encoding="utf-8").partition("## In tests")[0])
    client = TestClient(module.app)
    answer = client.get("/account", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")

    client.cookies.set("sid", module.manager.create(user_id="heidi"))
    with client.websocket_connect("/news") as websocket:
        websocket.send_text("first")
        assert websocket.receive_text() == "heidi: first"
        module.manager.revoke_user("heidi")
        websocket.send_text("second")
        assert websocket.receive()["code"] == 4401

    with client.websocket_connect("/news") as websocket:  # no user is logged in
        assert websocket.receive()["code"] == 4401


def test_the_application_of_the_page_about_fastapi() -> None:
    page = ROOT / "docs" / "fastapi.md"
    module = run(page, page.read_text(encoding="utf-8").partition("## In tests")[0])
    client = TestClient(module.app)
    answer = client.get("/me", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    client.post("/login/heidi")
    assert client.get("/me").json() == "heidi"
    assert client.post("/cart/bread").json() == {"items": {"bread": 1}}
    assert module.from_list(["bread", "bread"]).items == {"bread": 2}

    assert client.post("/order").status_code == 200
    assert client.get("/slow").status_code == 200
    with client.websocket_connect("/ws") as socket:
        socket.send_text("hello")
    [session] = module.manager.all()
    assert session.data == {
        "cart": {"items": {"bread": 1}},
        "delivered": True,
        "began": True,
        "ended": True,
        "last": "hello",
    }


def test_the_application_of_the_page_about_flask() -> None:
    page = ROOT / "docs" / "flask.md"
    module = run(page, page.read_text(encoding="utf-8").partition("## In tests")[0])
    client = module.app.test_client()
    assert client.get("/account").headers["location"] == "/login"
    assert client.post("/login/heidi").text == "hello heidi"
    assert client.get("/account").text == "heidi"
    assert client.get("/stream").text == "heidi\n"
    [session] = module.lembro.manager.user_sessions("heidi")
    assert session.data == {"streamed": True}
    assert client.post("/logout").text == "bye"

    made = module.create_app()
    with made.app_context():
        assert made.extensions["lembro"].manager.options.cookie.samesite == "strict"


def test_the_applications_of_getting_started() -> None:
    page = ROOT / "docs" / "getting-started.md"
    text = page.read_text(encoding="utf-8")

    def app_before(heading: str) -> Any:
        before, found, _ = text.partition(f"\n## {heading}\n")
        assert found
        return run(page, before).app

    fastapi = TestClient(app_before("Starlette"))
    assert [fastapi.post("/cart/bread").json() for _ in range(2)] == [["bread"], ["bread", "bread"]]
    assert fastapi.post("/columns/a").json() == ["a"]
    assert fastapi.post("/columns/b").json() == ["a", "b"]
    assert fastapi.post("/login/heidi").status_code == 200
    assert fastapi.post("/cart/butter").json() == ["bread", "bread", "butter"]
    assert fastapi.get("/account").json() == {"sessions": 1}
    assert fastapi.post("/logout").status_code == 200
    assert fastapi.get("/account", follow_redirects=False).headers["location"] == "/login"
    assert fastapi.post("/cart/butter").json() == ["butter"]

    starlette = TestClient(app_before("WSGI"))
    assert starlette.get("/login").json() == "hello"
    assert [starlette.get("/cart").json() for _ in range(2)] == [["bread"], ["bread", "bread"]]

    transport = httpx.WSGITransport(app_before("Plain ASGI"))
    with httpx.Client(transport=transport, base_url="http://test") as wsgi:
        assert [wsgi.get("/").text for _ in range(2)] == ["visit 1", "visit 2"]

    asgi = TestClient(app_before("All of them"))
    assert [asgi.get("/").text for _ in range(2)] == ["visit 1", "visit 2"]


TEXT = """
# A page

```python
a = 1
```

```
not python
```

<!-- not run -->
```python
raise RuntimeError
```

<!-- not run -->

```python title="app.py"
a = 3
```

```python
b = a + 1
```
"""


def test_the_blocks_of_a_page_are_one_module() -> None:
    module = run(Path("page.md"), TEXT)
    assert (module.a, module.b) == (1, 2)


def test_a_block_is_found_at_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        run(Path("page.md"), TEXT + "\n```python\n1 / 0\n```\n")
    line = raised.traceback[-1].lineno + 1
    assert (TEXT + "\n```python\n1 / 0\n```\n").splitlines()[line - 1] == "1 / 0"


def test_a_block_that_is_not_run_must_compile() -> None:
    with pytest.raises(SyntaxError):
        run(Path("page.md"), "<!-- not run -->\n```python\nthis is no code\n```\n")
