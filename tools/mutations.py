"""The mutants of a module: its code with one small fault, each with the place and the text.

A comparison, an operator or a condition is replaced by another one, a number is off by one, a text
is changed, a statement is left out, or a return value is dropped. Text that no test can or should
notice is not mutated: annotations, docstrings, assertions (they narrow types), sentences, errors
and the log.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Final, NamedTuple

PACKAGE: Final = Path(__file__).parent.parent / "src" / "lembro"

_OTHER: Final[dict[type[ast.AST], type[ast.AST]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_OTHER_NAME: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_LOGS: Final = frozenset({"debug", "info", "warning", "error", "exception"})
_UNTOUCHED: Final = frozenset({"annotation", "returns", "decorator_list", "type_params", "msg"})
_DECLARED: Final = frozenset({"__slots__", "__all__", "T"})


class Mutant(NamedTuple):
    module: str
    """The path within the package."""
    scope: str
    """The function. Empty for the module itself, a class or a default."""
    before: str
    after: str
    lines: range
    compile: Callable[[], CodeType]
    """The whole module, mutated."""

    @property
    def name(self) -> str:
        return f"{self.module}: {self.scope or 'module'}\n- {self.before}\n+ {self.after}"


class Result(NamedTuple):
    """Whether a mutant survived its tests."""

    mutant: Mutant
    survived: bool
    by: str
    """The test that killed it, if known."""


class _Place(NamedTuple):
    """Where a node is, in its parent, its statement and its function."""

    parent: ast.AST
    field: str
    at: int | None
    statement: ast.stmt
    scope: str
    inside: bool
    """Whether it is in a function. Other code has effect only when the module is imported."""

    def put(self, node: ast.AST) -> None:
        if self.at is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.at] = node


def mutants_of(module: str, path: Path) -> list[Mutant]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[Mutant] = []
    names: dict[str, int] = {}
    for node, place in list(_walk(tree, "", inside=False)):
        for other in _others(node, place):
            mutant = _mutant(tree, module, path, node, other, place)
            count = names[mutant.name] = names.get(mutant.name, 0) + 1
            if count > 1:  # the same line occurs twice
                mutant = mutant._replace(after=f"{mutant.after}  # {count}")
            found.append(mutant)
    return found


def _mutant(
    tree: ast.Module, module: str, path: Path, node: ast.AST, other: ast.AST, place: _Place
) -> Mutant:
    for new in ast.walk(other):
        if isinstance(new, ast.expr | ast.stmt):
            ast.copy_location(new, node if isinstance(node, ast.expr | ast.stmt) else new)
    ast.copy_location(other, node)
    before = _text(place.statement)
    place.put(other)
    after = _text(other if isinstance(other, ast.stmt) else place.statement)
    place.put(node)

    def code() -> CodeType:
        place.put(other)
        try:
            return compile(ast.fix_missing_locations(tree), str(path), "exec")
        finally:
            place.put(node)

    scope = place.scope if place.inside else ""
    return Mutant(module, scope, before, after, _lines(place.statement), code)


def _text(statement: ast.stmt) -> str:
    """Return a statement in a line; the head of a compound statement."""
    lines = ast.unparse(statement).split("\n")
    return next(line for line in lines if not line.startswith("@"))


def _lines(statement: ast.stmt) -> range:
    """Return the lines of a statement; of a compound statement those of its head."""
    body = getattr(statement, "body", None)
    end = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return range(statement.lineno, max(end, statement.lineno) + 1)


def _walk(node: ast.AST, scope: str, *, inside: bool) -> Iterator[tuple[ast.AST, _Place]]:
    """Yield every node that may be mutated."""
    statement = node if isinstance(node, ast.stmt) else None
    yield from _within(node, statement, scope, inside)


def _within(
    node: ast.AST, statement: ast.stmt | None, scope: str, inside: bool
) -> Iterator[tuple[ast.AST, _Place]]:
    for field, value in ast.iter_fields(node):
        if field in _UNTOUCHED:
            continue
        body = field == "body"
        inner, within = scope, inside
        if body and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{node.name}".removeprefix(".")
            within = inside or not isinstance(node, ast.ClassDef)
        elif body and isinstance(node, ast.Lambda):
            within = True
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_declaration(child):
                continue
            own = child if isinstance(child, ast.stmt) else statement
            assert own is not None
            yield child, _Place(node, field, index, own, inner, within)
            if not isinstance(child, ast.JoinedStr | ast.Raise):
                yield from _within(child, own, inner, within)


def _is_declaration(node: ast.AST) -> bool:
    """Return whether a statement is for readers and type checkers only."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.AnnAssign(value=None):
            return True
        case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Global() | ast.Nonlocal():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in _DECLARED
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=attr))):
            return attr in _LOGS
    return False


def _others(node: ast.AST, place: _Place) -> Iterator[ast.AST]:
    """Yield the replacements of a node."""
    if type(node) in _OTHER:
        yield _OTHER[type(node)]()
    match node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str() as value) if value.count(" ") < 2:
            yield ast.Constant("X" + value)
        case ast.Constant(value=bytes() as value):
            yield ast.Constant(value + b"~")
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield operand
        case ast.Name(id=name) if name in _OTHER_NAME and place.field == "func":
            yield ast.Name(_OTHER_NAME[name], ast.Load())
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Raise():
            yield ast.Pass()
        case ast.Assign() if place.inside:
            yield ast.Pass()
        case ast.AnnAssign() if place.inside:
            yield ast.Pass()
    if place.field == "test" and isinstance(node, ast.expr) and not _is_not(node):
        yield ast.UnaryOp(ast.Not(), node)
    if place.field == "ifs" and isinstance(node, ast.expr):
        yield ast.Constant(True)


def _is_nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (None, False)


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
