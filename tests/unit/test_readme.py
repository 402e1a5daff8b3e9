"""Every ``python`` block of the README and of the documentation is run, and so are its tests.

The blocks of one page are run in order, as one module, so that a page can build up. If the page has
tabs (``tools/docs.py``), it is run once for each tab. A block after the line ``<!-- not run -->``
is only compiled.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sys
import unittest
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.testclient import TestClient

from lembro import Session, SessionManager
from tests.support import ROOT
from tests.support.servers import mongo
from tests.support.servers.redis import new_prefix, shared

DATABASES = {"postgresql.md": "postgres", "sql.md": "mariadb"}
"""The server that a page needs. Its module is imported late, because most pages need none."""

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_PART = re.compile(
    r"^<!-- (?P<edge>/?tabs) -->$"
    r"|^\*\*(?P<name>[^\n]+)\*\*$"
    r"|(?P<mark>^<!-- not run -->\n\n?)?"
    r'^```python(?: title="(?P<title>[^"\n]+)")?[^\n]*\n(?P<code>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    code: str
    """Begins with as many empty lines as precede it, so that a traceback has the line number."""
    run: bool
    tab: str = ""
    """The name of the tab that the block is in; empty outside of tabs."""
    title: str = ""
    """The file that the reader saves the block in."""


def blocks_of(text: str, tab: str | None = None) -> Iterator[Block]:
    """The blocks of a page; with ``tab``, those of this tab and those outside of tabs."""
    inside, current = False, ""
    for match in _PART.finditer(text):
        if match["edge"]:
            inside, current = match["edge"] == "tabs", ""
        elif match["name"]:
            current = match["name"] if inside else ""
        elif tab is None or current in ("", tab):
            before = text.count("\n", 0, match.start("code"))
            code = "\n" * before + match["code"]
            yield Block(code, match["mark"] is None, current, match["title"] or "")


def tabs_of(text: str) -> list[str]:
    """The names of the tabs of a page that have code; one empty name if there are none."""
    return sorted({block.tab for block in blocks_of(text)} - {""}) or [""]


def run(page: Path, text: str, tab: str | None = None) -> ModuleType:
    """Run the blocks of a page; the module that they make."""
    module = ModuleType(f"page_{page.stem.replace('-', '_')}")
    sys.modules[module.__name__] = module  # where pydantic and others look up a class
    try:
        for block in blocks_of(text, tab):
            code = compile(block.code, str(page), "exec")
            if block.run:
                exec(code, module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_code_of_the_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where a page makes its files
    if page.name in {"redis.md", "moving.md", "express.md"}:
        monkeypatch.setenv("REDIS_URL", f"{shared().url}?prefix={new_prefix()}&timeout=10")
    if page.name in DATABASES:
        server = import_module(f"tests.support.servers.{DATABASES[page.name]}").shared()
        monkeypatch.setenv("DATABASE_URL", server.url(timeout=10))
    if page.name == "mongodb.md":
        url = f"{mongo.shared().url}?collection={mongo.new_collection()}&timeout=10"
        monkeypatch.setenv("MONGO_URL", url)
    text = page.read_text(encoding="utf-8")
    for tab in tabs_of(text):
        run_tests(run(page, text, tab))


# -- the tests in the pages ------------------------------------------------------------------------


def run_tests(module: ModuleType) -> list[str]:
    """Run the tests of a page with its fixtures, and return their names.

    Another process of pytest would import all frameworks once more, which takes 9 seconds.
    """
    names = [name for name in vars(module) if name.startswith("test_")]
    for name in names:
        test = vars(module)[name]
        if inspect.iscoroutinefunction(test):
            asyncio.run(_run_async_test(module, test))
        else:
            with ExitStack() as stack:
                test(*(stack.enter_context(make()) for make in fixtures_of(module, test)))
    return names


async def _run_async_test(module: ModuleType, test: Callable[..., Awaitable[None]]) -> None:
    async with AsyncExitStack() as stack:
        fixtures = fixtures_of(module, test)
        await test(*[await stack.enter_async_context(make("asyncio")) for make in fixtures])


def fixtures_of(module: ModuleType, test: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Return the fixtures that a test takes, as functions that make a context manager."""
    functions = [inspect.unwrap(vars(module)[name]) for name in inspect.signature(test).parameters]
    return [
        asynccontextmanager(function)
        if inspect.isasyncgenfunction(function)
        else contextmanager(function)
        for function in functions
    ]


def test_the_tests_of_a_page_run_with_their_fixtures() -> None:
    module = run(Path("page.md"), WITH_TESTS)
    assert run_tests(module) == ["test_one", "test_two"]
    assert module.seen == ["begun", "cart", "ended", "begun on asyncio", "acart", "ended"]
    with pytest.raises(AssertionError):
        run_tests(run(Path("page.md"), WITH_TESTS + "\n```python\nseen.append(1)\n```\n"))


WITH_TESTS = """
```python
import pytest

seen = []


@pytest.fixture
def cart():
    seen.append("begun")
    yield "cart"
    seen.append("ended")


@pytest.fixture
async def acart(anyio_backend):
    seen.append(f"begun on {anyio_backend}")
    yield "acart"
    seen.append("ended")


def test_one(cart):
    assert seen == ["begun"]
    seen.append(cart)


async def test_two(acart):
    seen.append(acart)
```
"""


# -- async code awaits -----------------------------------------------------------------------------


def plain_of_pairs(cls: type[Any]) -> set[str]:
    """Return the methods that have an async form: ``save``, because of ``asave``."""
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
    module = run(page, text.partition("## Libraries")[0])
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
    text = page.read_text(encoding="utf-8")
    module = run(page, text.partition("## When the session is stored")[0])
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
    module = run(page, page.read_text(encoding="utf-8").partition("## Test with a session")[0])
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
    module = run(page, page.read_text(encoding="utf-8").partition("## Test with a session")[0])
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


def test_the_test_case_of_the_page_about_tornado() -> None:
    page = ROOT / "docs" / "tornado.md"
    module = run(page, page.read_text(encoding="utf-8"))
    result = unittest.TestResult()
    module.CartTest("test_the_cart_is_kept").run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_the_applications_of_the_page_about_wsgi_and_asgi() -> None:
    page = ROOT / "docs" / "wsgi-and-asgi.md"
    text = page.read_text(encoding="utf-8")
    transport = httpx.WSGITransport(run(page, text.partition("\n## ASGI\n")[0]).app)
    with httpx.Client(transport=transport, base_url="http://test") as wsgi:
        assert [wsgi.get("/").text for _ in range(2)] == ["visit 1", "visit 2"]
    asgi = TestClient(run(page, text).app)
    assert [asgi.get("/").text for _ in range(2)] == ["visit 1", "visit 2"]


@pytest.mark.parametrize("tab", ["FastAPI", "Flask"])
def test_the_applications_of_the_landing_page_keep_a_cart(tab: str) -> None:
    page = ROOT / "docs" / "index.md"
    app = run(page, page.read_text(encoding="utf-8"), tab).app
    client = TestClient(app) if tab == "FastAPI" else app.test_client()
    client.post("/cart/bread")
    assert json.loads(client.post("/cart/butter").text) == ["bread", "butter"]


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


TABS = """
```python
a = 1
```

<!-- tabs -->

**One**

```python title="app.py"
b = a + 1
```

**Two**

<!-- not run -->

```python title="test_app.py"
raise RuntimeError
```

<!-- /tabs -->

**Not a tab**

```python
c = 3
```
"""


def test_the_blocks_of_a_tab_are_one_module_with_those_outside() -> None:
    assert tabs_of(TABS) == ["One", "Two"]
    assert tabs_of(TEXT) == [""]
    module = run(Path("page.md"), TABS, "One")
    assert (module.b, module.c) == (2, 3)
    assert not hasattr(run(Path("page.md"), TABS, "Two"), "b")
    assert [(block.tab, block.title, block.run) for block in blocks_of(TABS)] == [
        ("", "", True),
        ("One", "app.py", True),
        ("Two", "test_app.py", False),
        ("", "", True),
    ]


def test_a_block_is_found_at_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        run(Path("page.md"), TEXT + "\n```python\n1 / 0\n```\n")
    line = raised.traceback[-1].lineno + 1
    assert (TEXT + "\n```python\n1 / 0\n```\n").splitlines()[line - 1] == "1 / 0"


def test_a_block_that_is_not_run_must_compile() -> None:
    with pytest.raises(SyntaxError):
        run(Path("page.md"), "<!-- not run -->\n```python\nthis is no code\n```\n")
