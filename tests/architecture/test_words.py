"""Names say what a value is: words that stand for anything are the name of nothing in the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "corpus"  # repositories of others, as they were published
PRODUCT = ("bananastand", "mocks")
FOLDERS = (*PRODUCT, "tests", "contract_tests", "tools", "benchmarks")
VAGUE = {"told", "shown", "given", "asked", "kept", "made", "wanted", "each", "whole", "there"}


def files(*folders: str) -> list[Path]:
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert found, f"no Python file below {folders}"
    return [path for path in found if CORPUS not in path.parents]


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of whatever a module defines: variables, parameters, attributes, functions and classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case _:
                pass


def vague_names(source: str) -> list[str]:
    """Return the vague names that a module defines, each as `line: name`."""
    found = sorted((line, name) for line, name in names(ast.parse(source)) if name.strip("_") in VAGUE)
    return [f"{line}: {name}" for line, name in found]


def test_no_name_is_a_word_that_stands_for_anything() -> None:
    found = [f"{path.relative_to(ROOT)}:{name}" for path in files(*FOLDERS) for name in vague_names(path.read_text())]

    assert found == [], "name what the value is, such as `replica`, `payload` or `expected`"


def test_product_code_does_not_use_the_word_told() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files(*PRODUCT)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\btold\b", line, re.IGNORECASE)
    ]

    assert found == [], "say what is returned, sent, set or logged instead of `told`"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("made = 1", ["1: made"]),
        ("self._there = []", ["1: _there"]),
        ("rows = [\n    each for each in rows]", ["2: each"]),
        ("def shown(): pass", ["1: shown"]),
        ("async def read(*, asked): pass", ["1: asked"]),
        ("call = lambda given: 1", ["1: given"]),
        ("import json as kept", ["1: kept"]),
        ("match row:\n    case [whole, *told]: pass", ["2: told", "2: whole"]),
        ("try: pass\nexcept OSError as wanted: pass", ["2: wanted"]),
        ("with file as (told, row): pass", ["1: told"]),
        ("print(each, row.kept, {'told': 1})", []),
        ("made_of = keptness = 1", []),
    ],
)
def test_a_vague_name_is_found_where_it_is_defined(source: str, expected: list[str]) -> None:
    assert vague_names(source) == expected
