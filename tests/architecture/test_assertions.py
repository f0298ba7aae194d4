"""Assertions that cannot fail, found in the syntax of every test of the repository.

An assertion that always holds reads like a check and checks nothing. Four kinds are found here: an `or`, a value that
is always true, `in (..., None)`, and a test whose assertions are all in loops that may run zero times.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for folder in ("tests", "contract_tests") for path in (ROOT / folder).rglob("*.py"))
LITERALS = (ast.Tuple, ast.List, ast.Dict, ast.Set, ast.JoinedStr, ast.Lambda, ast.GeneratorExp)
WRAPPERS = {"zip", "enumerate", "sorted", "reversed", "list", "tuple", "set", "map"}
METHODS = {"items", "values", "keys"}


def findings(source: str) -> list[str]:
    """The assertions of a module that cannot fail, each as `line: reason`."""
    tree = ast.parse(source)
    returns = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = [finding for node in ast.walk(tree) if isinstance(node, ast.Assert) for finding in _of_assertion(node)]
    tests = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))
    return found + [f"{test.lineno}: every assertion is in a loop that may run zero times" for test in tests
                    if _only_in_loops(test, returns)]  # fmt: skip


def _of_assertion(node: ast.Assert) -> Iterator[str]:
    """What makes an assertion, or a part of it behind `and`, hold for every value."""
    test = node.test
    for part in test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]:
        match part:
            case ast.BoolOp(op=ast.Or()):
                yield f"{node.lineno}: `or` in an assertion"
            case ast.Constant(value=value) if value:
                yield f"{node.lineno}: the value is always true"
            case (
                ast.Tuple() | ast.List() | ast.Dict() | ast.Set() | ast.JoinedStr() | ast.Lambda() | ast.GeneratorExp()
            ):
                yield f"{node.lineno}: the value is always true"
            case ast.Compare(ops=[ast.In()], comparators=[ast.Tuple(elts=choices) | ast.List(elts=choices)]):
                if any(isinstance(choice, ast.Constant) and choice.value is None for choice in choices):
                    yield f"{node.lineno}: None is among the choices"
            case _:
                pass


def _only_in_loops(test: ast.FunctionDef, functions: dict[str, ast.FunctionDef]) -> bool:
    """Whether a test asserts, but only in loops over what may be empty."""
    values = {
        target.id: node.value
        for node in ast.walk(test)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    in_loops = {id(child) for node in ast.walk(test) if _may_skip(node, values, functions) for child in ast.walk(node)}
    checks = [node for node in ast.walk(test) if _is_check(node)]
    return bool(checks) and all(id(check) in in_loops for check in checks)


def _is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) or (
        isinstance(node, ast.Attribute) and node.attr in ("raises", "warns", "fail")
    )


def _may_skip(node: ast.AST, values: dict[str, ast.expr], functions: dict[str, ast.FunctionDef]) -> bool:
    """Whether a statement is a loop, or an `all()`, that may look at nothing."""
    match node:
        case ast.While():
            return True
        case ast.For(iter=iterable):
            return not _has_items(iterable, values, functions)
        case ast.Assert(test=ast.Call(func=ast.Name(id="all"), args=[ast.GeneratorExp(generators=[first, *_])])):
            return not _has_items(first.iter, values, functions)
        case _:
            return False


def _has_items(node: ast.expr, values: dict[str, ast.expr], functions: dict[str, ast.FunctionDef]) -> bool:
    """Whether an iterable is known to have items: a literal, a constant, or something made of these."""
    match node:
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return any(not isinstance(item, ast.Starred) or _has_items(item.value, values, functions) for item in items)
        case ast.Dict(keys=keys):
            return bool(keys)
        case ast.Constant(value=value):
            return bool(value)
        case ast.Name(id=name) if name in values:
            rest = {other: value for other, value in values.items() if other != name}
            return _has_items(values[name], rest, functions)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
        case ast.BinOp(left=left, right=right):
            return _has_items(left, values, functions) or _has_items(right, values, functions)
        case ast.ListComp(generators=[generator]) | ast.SetComp(generators=[generator]):
            return not generator.ifs and _has_items(generator.iter, values, functions)
        case ast.Call(func=ast.Name(id="range"), args=arguments):
            return all(isinstance(argument, ast.Constant) for argument in arguments)
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in WRAPPERS:
            return any(_has_items(argument, values, functions) for argument in arguments)
        case ast.Call(func=ast.Attribute(value=holder, attr=name)) if name in METHODS:
            return _has_items(holder, values, functions)
        case ast.Call(func=ast.Name(id=name)) if name in functions:
            body = functions[name].body
            return (
                isinstance(last := body[-1], ast.Return) and last.value is not None and _has_items(last.value, {}, {})
            )
        case _:
            return False


def test_every_assertion_can_fail() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{finding}"
        for path in FILES
        for finding in findings(path.read_text(encoding="utf-8"))
    ]

    assert len(FILES) > 200
    assert wrong == []


@pytest.mark.parametrize(
    "body",
    [
        "assert a == b or c",
        "assert a and (b or c)",
        "assert (a, 'b')",
        "assert 'text'",
        "assert a in ('b', None)",
        "for a in b():\n        assert a",
        "assert all(a == 1 for a in b())",
        "for a in [c for c in (1, 2) if c > 5]:\n        assert a",
        "while a():\n        assert b",
    ],
)
def test_an_assertion_that_cannot_fail_is_found(body: str) -> None:
    assert len(findings(f"def test_it(a, b, c):\n    {body}\n")) == 1


@pytest.mark.parametrize(
    "body",
    [
        "assert a == b and c",
        "assert any(a == 1 for a in b())",
        "assert a in ('b', 'c')",
        "rows = b()\n    assert rows\n    for row in rows:\n        assert row",
        "for a in (1, 2):\n        assert a",
        "for a in zip(b(), range(3), strict=True):\n        assert a",
        "rows = [b(n) for n in range(3)]\n    for row in rows:\n        assert row",
    ],
)
def test_an_assertion_that_can_fail_is_let_be(body: str) -> None:
    assert findings(f"def test_it(a, b, c):\n    {body}\n") == []
