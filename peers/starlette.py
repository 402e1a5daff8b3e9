"""Starlette: lembro's middleware, with the keywords of Starlette's own."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from lembro import Session
from peers.peer import Peer


def install() -> None:
    from starlette.middleware import sessions

    from lembro.integrations.starlette import SessionMiddleware

    class WithStarlettesDefaults(SessionMiddleware):
        def __init__(self, app: Any, **keywords: Any) -> None:
            given: dict[str, Any] = {"session_cookie": "session", "max_age": 14 * 86400}
            super().__init__(app, **{**given, **keywords})

    sessions.SessionMiddleware = WithStarlettesDefaults  # type: ignore[misc,assignment]


def prepare(module: ModuleType) -> None:
    """Let the views of the tests respond with a copy: they return the session itself, which is no
    dict.
    """
    from starlette.responses import JSONResponse

    class WithSession(JSONResponse):
        def render(self, content: Any) -> bytes:
            if isinstance(content.get("session"), Session):
                content = {**content, "session": dict(content["session"])}
            return super().render(content)

    module.JSONResponse = WithSession  # type: ignore[attr-defined]


TESTS: Final = "tests/middleware/test_session.py"

PEER = Peer(
    project="starlette",
    how="`lembro.integrations.starlette.SessionMiddleware` with the keywords of Starlette's",
    tests=("tests/middleware/test_session.py",),
    options=("-p", "anyio"),
    install=install,
    prepare=prepare,
    differs={
        **dict.fromkeys(
            (f"{TESTS}::test_session_expires", f"{TESTS}::test_session_zero_max_age"),
            "a `max_age` of zero or less is an error of the configuration",
        ),
        **dict.fromkeys(
            (
                *(f"{TESTS}::test_partitioned_session[{of}-True]" for of in ("asyncio", "trio")),
                f"{TESTS}::test_session_cookie_subpath",
                f"{TESTS}::test_domain_cookie",
            ),
            "the attributes of the cookie begin with a capital letter, as in RFC 6265 "
            "(`Path`, `Domain`), and the test expects small letters",
        ),
    },
)
