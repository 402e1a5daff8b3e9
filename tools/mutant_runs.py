"""Run the tests of a module on its mutants.

The tests are collected once. Each mutant runs in a process that is forked from there.
"""

from __future__ import annotations

import gc
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, NoReturn, TypeVar

import hypothesis
import pytest

from tools.mutations import PACKAGE, Mutant, Result

LONGEST: Final = 2000  # lines of a module
FEW: Final = 20  # examples of a state machine
ENOUGH: Final = 20.0
"""The seconds of processor time after which a mutant counts as a survivor."""
KINDS: Final = {("asgi", "memory"), ("asgi", "blocking"), ("wsgi", "memory")}
"""Tests that run on every integration and store run on these only."""

T = TypeVar("T")


# -- processes -------------------------------------------------------------------------------------


def in_children(
    works: Iterable[tuple[T, Callable[[], object]]], jobs: int, scratch: Path
) -> Iterator[tuple[T, int, str]]:
    """Run each in a forked child, a number of them at a time. Yield its exit status and its
    notes."""
    running: dict[int, tuple[T, Path]] = {}
    free = [scratch / str(number) for number in range(jobs)]
    for key, work in works:
        if not free:
            yield _wait(running, free)
        slot = free.pop()
        shutil.rmtree(slot, ignore_errors=True)
        slot.mkdir(parents=True)
        if not (pid := os.fork()):
            _be_child(work, slot)
        running[pid] = key, slot
    while running:
        yield _wait(running, free)


def _wait(running: dict[int, tuple[T, Path]], free: list[Path]) -> tuple[T, int, str]:
    pid, status = os.wait()
    key, slot = running.pop(pid)
    free.append(slot)
    note = slot / "note"
    return key, status, note.read_text() if note.exists() else ""


def _be_child(work: Callable[[], object], slot: Path) -> NoReturn:
    """Set up the child: a temporary folder, no output, and limits, because a mutant may do
    anything.
    """
    status = 1
    try:
        os.dup2(os.open(slot / "out", os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        os.environ["TMPDIR"] = os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.tempdir = str(slot)
        os.environ["NOTE"] = str(slot / "note")
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = 0 if work() is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(status)


def _note(text: str) -> None:
    Path(os.environ["NOTE"]).write_text(text)


def _limit(busy: float, waiting: float) -> None:
    """End this process after a limit of processor time or, if it hangs, of real time."""
    for timer, signum, seconds in (
        (signal.ITIMER_PROF, signal.SIGPROF, busy),
        (signal.ITIMER_REAL, signal.SIGALRM, waiting),
    ):
        signal.signal(signum, signal.SIG_DFL)
        signal.setitimer(timer, seconds)


# -- pytest ----------------------------------------------------------------------------------------


def _is_for_another_kind(item: Any) -> bool:
    kind = item.callspec.params.get("kind") if hasattr(item, "callspec") else None
    return isinstance(kind, tuple) and (kind[0].name, kind[1].name) not in KINDS


class Once:
    """End the process at the first failure, without a report."""

    def pytest_collection(self) -> None:
        settings, phase = hypothesis.settings, hypothesis.Phase
        profile = settings.get_profile("lembro")
        phases = (phase.explicit, phase.generate)
        settings.register_profile(
            "mutants", profile, derandomize=True, database=None, phases=phases
        )
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Run the tests of all kinds on ``KINDS`` only, because the core is the same in all."""
        items[:] = [item for item in items if not _is_for_another_kind(item)]

    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        error = call.excinfo
        if error is None or error.errisinstance((pytest.skip.Exception, pytest.xfail.Exception)):
            return
        if item.get_closest_marker("xfail") is None:
            _note(item.nodeid)
            os._exit(1)


class Forking(Once):
    """Run the relevant tests on each mutant, in a child each, instead of running all tests."""

    def __init__(
        self, mutants: list[Mutant], jobs: int, scratch: Path, note: Callable[[Result], None]
    ) -> None:
        self.mutants = mutants
        self.jobs = jobs
        self.scratch = scratch
        self.note = note
        self.functions: list[FunctionType] = []
        self.results: list[Result] = []
        self.seen: Seen = {}

    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        for module in {mutant.module for mutant in self.mutants}:  # some are imported at first use
            import_module(".".join(("lembro", *Path(module).with_suffix("").parts)))
        seen = self.seen = self._measure(list(items.values()))
        self.functions = _functions({str(PACKAGE / mutant.module) for mutant in self.mutants})
        gc.collect()
        gc.freeze()  # otherwise each child would copy all memory in a collection
        killers: dict[str, Counter[str]] = {}  # of a function, and of a module

        def works() -> Iterator[tuple[Mutant, Callable[[], object]]]:
            for mutant in self.mutants:
                through = {
                    name
                    for name, (_, _, lines) in seen.items()
                    if any((mutant.module, line) in lines for line in mutant.lines)
                }
                known = [
                    name
                    for scope in (f"{mutant.module} {mutant.scope}", mutant.module)
                    for counts in (killers.get(scope, Counter()),)
                    for name, _ in counts.most_common()
                ]
                order = dict.fromkeys(
                    [name for name in known if name in through] + _in_turns(through, seen)
                )
                yield mutant, partial(self._meet, mutant, [items[name] for name in order], seen)

        for mutant, status, by in in_children(works(), self.jobs, self.scratch):
            self.results.append(Result(mutant, status == 0, by))
            self.note(self.results[-1])
            if by:
                for scope in (f"{mutant.module} {mutant.scope}", mutant.module):
                    killers.setdefault(scope, Counter())[by] += 1
        return True

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Limit the state machines of hypothesis: a third of the examples finds nearly as much."""
        super().pytest_collection_modifyitems(items)
        for item in items:
            machine = getattr(item.cls, "settings", None)
            if isinstance(machine, hypothesis.settings) and machine.max_examples > FEW:
                item.cls.settings = hypothesis.settings(machine, max_examples=FEW)

    def _measure(self, items: list[Any]) -> Seen:
        """Record the lines that each test executes, and its time."""
        file = self.scratch / "seen"

        def measure() -> None:
            file.write_bytes(pickle.dumps(_trace(items, {m.module for m in self.mutants})))

        ((_, status, by),) = in_children([("", measure)], 1, self.scratch)
        if status:
            raise SystemExit(f"the tests must pass before anything is mutated; this fails: {by}")
        seen: Seen = pickle.loads(file.read_bytes())
        return seen

    def _meet(self, mutant: Mutant, items: list[Any], seen: Seen) -> None:
        if not items or not _put_in(mutant, self.functions):
            return  # a mutant without an effect survives, and one that no test executes
        began = time.process_time()
        for item, after in zip(items, [*items[1:], None], strict=True):
            if time.process_time() - began > ENOUGH:
                return
            busy, passed, _ = seen[item.nodeid]
            _limit(0.5 + 10 * busy, 10 + 5 * passed)
            _run(item, after)


Seen = dict[str, tuple[float, float, set[tuple[str, int]]]]
"""Return the seconds of each test, the passed tests, and their lines by module."""


def _in_turns(names: Iterable[str], seen: Seen) -> list[str]:
    """Order tests: first the shortest of each function, then the next of each, and so on."""
    counts: Counter[str] = Counter()
    turns = []
    for name in sorted(names, key=lambda name: seen[name][0]):
        function = name.partition("[")[0]
        turns.append((counts[function], name))
        counts[function] += 1
    return [name for _, name in sorted(turns, key=lambda turn: turn[0])]


def _run(item: Any, after: Any) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)


def _trace(items: list[Any], modules: set[str]) -> Seen:
    if sys.version_info < (3, 12):
        raise SystemExit("mutation testing needs Python 3.12 or newer (sys.monitoring)")
    tool = sys.monitoring
    paths = {str(PACKAGE / module): module for module in modules}
    # without an allocation, which a test may count
    hits = {path: bytearray(LONGEST) for path in paths}

    def line(code: CodeType, number: int) -> object:
        hits[code.co_filename][number] = 1
        return tool.DISABLE

    tool.use_tool_id(tool.PROFILER_ID, "mutants")
    tool.register_callback(tool.PROFILER_ID, tool.events.LINE, line)
    for function in _functions(set(paths)):
        for code in _all_within(function.__code__):
            tool.set_local_events(tool.PROFILER_ID, code, tool.events.LINE)
    seen: Seen = {}
    for item, after in zip(items, [*items[1:], None], strict=True):
        for marks in hits.values():
            marks[:] = bytes(LONGEST)
        tool.restart_events()
        began = time.process_time(), time.monotonic()
        _run(item, after)
        busy, passed = time.process_time() - began[0], time.monotonic() - began[1]
        lines = {(paths[p], n) for p, marks in hits.items() for n in _set_in(marks)}
        seen[item.nodeid] = busy, passed, lines
    return seen


def _set_in(marks: bytearray) -> Iterator[int]:
    at = marks.find(1)
    while at >= 0:
        yield at
        at = marks.find(1, at + 1)


# -- putting a mutant into a module ----------------------------------------------------------------


def _functions(paths: set[str]) -> list[FunctionType]:
    gc.unfreeze()  # the tests hide the objects that exist after the collection
    return [
        found
        for found in gc.get_objects()
        if type(found) is FunctionType and found.__code__.co_filename in paths
    ]


def _all_within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_within(constant)


def _outermost(code: CodeType) -> Iterator[CodeType]:
    """Return the functions of a module and its classes, without nested functions."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & 0x02:  # CO_NEWLOCALS
                yield constant
            else:
                yield from _outermost(constant)


def _put_in(mutant: Mutant, functions: list[FunctionType]) -> int:
    """Give the functions of a loaded module the code of the mutant. Return how many changed."""
    new = {(c.co_qualname, c.co_firstlineno): c for c in _outermost(mutant.compile())}
    changed = 0
    for function in functions:
        code = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if code is not None and code != function.__code__:
            function.__code__ = code
            changed += 1
    return changed


def _import_with(mutant: Mutant, files: list[str]) -> object:
    """Run the tests on a package that will be imported as the mutant.

    The files run one after the other, so that the others are not even collected if the first one
    fails.
    """
    _limit(10 * ENOUGH, 20 * ENOUGH)
    path, code, get_code = str(PACKAGE / mutant.module), mutant.compile(), SourceFileLoader.get_code

    def mutated(self: SourceFileLoader, name: str) -> CodeType | None:
        return code if self.path == path else get_code(self, name)

    SourceFileLoader.get_code = mutated  # type: ignore
    began = time.process_time()
    for file in files:
        if time.process_time() - began > ENOUGH:
            return None
        if status := pytest.main([*_OPTIONS, file], plugins=[Once()]):
            return status
    return None


_IMPORTED: Final = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
# The plugin for timeouts uses the timer of ``_limit``.
_PLUGINS: Final = ("-p", "timeout", "--timeout=0", "-p", "anyio", "-p", "hypothesispytest")
_OPTIONS: Final = ("-q", "-s", "-p", "no:cacheprovider", *_PLUGINS, "-W", _IMPORTED)


# -- the run ---------------------------------------------------------------------------------------


def run(
    tests: tuple[str, ...],
    mutants: list[Mutant],
    jobs: int,
    note: Callable[[Result], None],
    kills: Counter[tuple[str, str]],
) -> None:
    """Run the tests on each mutant, and note each result as soon as it is known.

    Args:
        tests: The files of the tests.
        mutants: The mutants.
        jobs: How many run at a time.
        note: Takes each result.
        kills: How many mutants of each module each file has killed, in earlier runs too.
    """
    # loading all installed plugins takes seconds
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    within = [mutant for mutant in mutants if mutant.scope]
    outside = [mutant for mutant in mutants if not mutant.scope]
    with tempfile.TemporaryDirectory(prefix="lembro-mutants-") as folder:
        scratch = Path(folder)
        file = scratch / "results"

        def collect() -> None:
            plugin = Forking(within, jobs, scratch / "each", note)
            plugin.scratch.mkdir()
            status = pytest.main([*_OPTIONS, *tests], plugins=[plugin])
            if not plugin.seen:
                raise SystemExit(f"pytest: {status}")
            killers = [(result.mutant.module, result.by) for result in plugin.results if result.by]
            file.write_bytes(pickle.dumps(killers))

        if within:
            ((_, status, _),) = in_children([("", collect)], 1, scratch)
            if status:
                output = (scratch / "0" / "out").read_text(errors="replace")
                raise SystemExit(f"no run\n{output[-4000:]}")
            for module, by in pickle.loads(file.read_bytes()):
                kills[module, by.partition("::")[0]] += 1

        def by_kills(mutant: Mutant) -> list[str]:
            """Order the files: those that killed most mutants of the module first, then that of its
            name.
            """
            mirror = f"test_{Path(mutant.module).stem.lstrip('_')}"
            return sorted(tests, key=lambda t: (-kills[mutant.module, t], Path(t).stem != mirror))

        def works() -> Iterator[tuple[Mutant, Callable[[], object]]]:
            for mutant in outside:
                yield mutant, partial(_import_with, mutant, by_kills(mutant))

        for mutant, status, by in in_children(works(), jobs, scratch):
            if by:
                kills[mutant.module, by.partition("::")[0]] += 1
            note(Result(mutant, status == 0, by))
