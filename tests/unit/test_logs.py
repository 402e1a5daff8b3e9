"""The logger ``lembro``: its messages, where they go, and that they never contain a session ID."""

from __future__ import annotations

import ast
import logging
import os
import re
import subprocess
import sys

import pytest

from lembro import StoreError, _log
from lembro.stores.memory import worker_check
from tests.support import ROOT
from tests.support.site import Site

LEVELS = ("debug", "info", "warning", "error", "exception", "critical", "log")

SCRIPT = """
import logging
from lembro import MemoryStore, SessionManager

manager = SessionManager(MemoryStore("64K"))
print(manager.create({"n": 1}))
manager.store.reduce()
logging.getLogger("lembro").warning("lembro: worth reading")
"""


def run(debug: str | None) -> tuple[str, str]:
    """Run a program without logging configuration. Return a session ID and its stderr."""
    env = {**os.environ, "DEBUG": debug} if debug is not None else dict(os.environ)
    if debug is None:
        env.pop("DEBUG", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("debug", [None, "", "1", "*,-lembro"])
def test_without_logging_configuration_only_warnings_are_printed(debug: str | None) -> None:
    _, err = run(debug)
    assert err == "lembro: worth reading\n"


@pytest.mark.parametrize(
    ("debug", "is_on"),
    [
        *((debug, True) for debug in ("lembro", "*", "express:*,lembro", "http lembro", "lembro*")),
        *((debug, True) for debug in ("lem*", "*bro", "express*,l*o", "*,-express*")),
        *((debug, False) for debug in ("express-lembro", "lembros", "lembro.*", "", "-lembro")),
        *((debug, False) for debug in ("*,-lembro", "lembro -lem*", "-*,lembro", "-")),
    ],
)
def test_debug_takes_the_patterns_of_node(
    debug: str, is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.Logger("of the test", logging.WARNING)
    monkeypatch.setattr(_log, "log", logger)
    monkeypatch.setenv("DEBUG", debug)
    _log.set_up()
    assert (logger.level == logging.DEBUG) is is_on
    assert len(logger.handlers) == is_on


@pytest.mark.parametrize("debug", ["lembro*", "http,-x *"])
def test_debug_writes_to_stderr(debug: str) -> None:
    id_, err = run(debug)
    lines = err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d [\d:,]+ lembro: ", line) for line in lines)
    created, start, end, other = [re.sub(r"^\S+ \S+ lembro: ", "", line) for line in lines]
    assert re.fullmatch(r"created: session [\w-]{12}", created)
    assert re.fullmatch(r"reduce starts at [\d.]+K", start)
    assert re.fullmatch(r"reduce ends at [\d.]+K", end)
    assert other == "worth reading"
    assert id_ not in err


def test_no_id_is_ever_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Run every case of a session, at DEBUG."""
    caplog.set_level(logging.DEBUG, "lembro")
    ids = [site.new(n=1, cart=[1])]
    ids.append(site.login(ids[-1], "alice"))
    ids.append(site.rotate(ids[-1]))
    writer, login, late = (site.open(ids[-1]) for _ in range(3))
    writer["n"] = 2
    login.login("alice")
    assert late["n"] == 1
    site.commit(late)
    late["cart"].append(2)
    site.runner.report_late_changes(late)
    conflict = site.open(ids[-1])
    conflict["n"] = 3
    site.commit(writer)
    site.commit(conflict)
    site.elsewhere.revoke_user("alice")
    site.commit(login)
    corrupt = site.new(n=1)
    site.store.corrupt(corrupt)
    with site.request(corrupt) as r:
        r.session["n"] = 2
    assert r.reply.id is not None
    ids += [corrupt, r.reply.id, "x" * 43]
    site.clock.advance(site.runner.lifecycle.lifetimes.idle / 5)
    site.store.fail = {"touch"}
    with site.request(r.reply.id) as r:
        r.session.get("n")
    site.store.fail = {"set"}
    session = site.open(r.reply.id or ids[-2])
    session["n"] = 4
    with pytest.raises(StoreError):
        site.commit(session)
    site.store.fail = set()
    site.clock.advance(site.runner.lifecycle.lifetimes.idle)
    site.store.purge()

    logged = "\n".join(record.getMessage() for record in caplog.records)
    for name in ("created", "regenerated", "destroyed", "rejected", "dropped", "conflict", "error"):
        assert f"lembro: {name}: session" in logged
    assert not [id_ for id_ in ids if id_ in caplog.text]
    assert not re.search(r"\b[A-Za-z0-9_-]{43}\b", caplog.text)


def test_a_key_that_a_visitor_chose_cannot_begin_a_line(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lembro")
    key = "k\nERROR root: forged\x1b[2J"
    session = site.open()
    session["prefs"] = {key: 0}
    site.commit(session)
    cookie = session.issued_id
    assert cookie is not None
    one, other = site.open(cookie), site.open(cookie)
    one["prefs"] = {key: 1}
    other["prefs"] = {key: 2}
    site.commit(one)
    site.commit(other)
    [line] = [line for line in caplog.messages if line.startswith("lembro: conflict: ")]
    assert line.isprintable()
    assert "prefs.k\\nERROR" in line


def messages_of(tree: ast.AST) -> list[ast.expr]:
    """Return the message of each call of the logger in a module."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        call.args[1 if call.func.attr == "log" else 0]
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and call.func.attr in LEVELS
    ]


def text_of(message: ast.expr) -> object:
    """Return the text of a message, which is a literal or a constant of its module."""
    if isinstance(message, ast.Name):
        return getattr(worker_check, message.id)
    return ast.literal_eval(message)


def test_every_log_message_begins_with_lembro() -> None:
    found = [
        (path.name, message.lineno, text_of(message))
        for path in sorted((ROOT / "src").rglob("*.py"))
        for message in messages_of(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(found) > 20
    assert [entry for entry in found if not str(entry[2]).startswith("lembro: ")] == []


def test_the_search_for_log_messages_finds_one_without_the_prefix() -> None:
    [message] = messages_of(ast.parse('log.log(10, "the store failed")'))
    assert text_of(message) == "the store failed"
