"""Mutants of the code: a number off by one, a comparison changed, a flag flipped, a word changed, an argument left out.

A function is changed in place: its code object is replaced, so that every reference to it has the mutant. Tables and
constants of a module are changed in place, and in every module that imported them.
"""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .mutant import Mutant, key, reached

__all__ = ["Source", "mutants", "sources", "watch"]

ROOT = Path(__file__).resolve().parents[2]
MOCKS, CLIENTS = ROOT / "mocks" / "bananastand_mocks", ROOT / "bananastand" / "clients"
BANANA_API = (
    ROOT / "bananastand" / "banana_api"
)  # the operations of Banana's API, which the mock and the platform serve
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
# Modules outside a provider's API: drawing, calls to an app, pages for people, and the data of ready-made worlds.
ELSEWHERE = {"drawing.py", "pictures.py", "app_pictures.py", "http_runtime.py", "encoding.py", "rendering.py",
             "gallery.py", "seeds.py", "templates.py", "description.py"}  # fmt: skip
MOCKED = {"bananadev": "banana-native", "falai": "falai", "falqueue": "fal-queue", "gobananas": "gobananas",
          "paperbanana": "paperbanana", "lowcodeapi": "bananadev"}  # fmt: skip
CALLED = {"banana": "banana-native", "bananadev": "bananadev", "falai": "falai", "falqueue": "fal-queue",
          "gobananas": "gobananas", "paperbanana": "paperbanana"}  # fmt: skip
TEXTUAL = {"webhooks.py", "errors.py"}  # modules of the mocks whose texts are mutated too
Place = tuple[int, int]


class Source:
    """A module whose code is mutated; with `texts` its strings too, with `calls` the arguments of its calls."""

    def __init__(self, path: Path, provider: str, side: str, *, texts: bool, calls: bool) -> None:
        self.path, self.provider, self.side, self.texts, self.calls = path, provider, side, texts, calls
        parts = path.relative_to(MOCKS.parent if path.is_relative_to(MOCKS) else ROOT).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.label = "/".join(parts[2:] if side == "client" else parts[1:])
        self.text = path.read_text(encoding="utf-8")

    def site(self, function: str) -> str:
        """Returns the name of a function as a site that tests reach."""
        return f"code {self.name}:{function}"

    @property
    def module(self) -> ModuleType:
        """The module, imported."""
        return importlib.import_module(self.name)

    def functions(self, tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Returns its functions and methods, by qualified name."""
        for node in tree.body:
            prefix, within = (f"{node.name}.", node.body) if isinstance(node, ast.ClassDef) else ("", [node])
            for function in within:
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_overload(function):
                    yield f"{prefix}{function.name}", function

    def live(self, function: str) -> FunctionType | None:
        """Returns the function without its decorators, or None if it cannot be found."""
        found: Any = self.module
        for part in function.split("."):
            found = vars(found).get(part) if inspect.isclass(found) or inspect.ismodule(found) else None
        if isinstance(found, property):
            found = found.fget
        while found is not None and not isinstance(found, FunctionType):
            found = getattr(found, "__func__", None) or getattr(found, "__wrapped__", None)
        return None if found is None else inspect.unwrap(found)

    def swap(self, functions: Iterable[str], tree: ast.Module) -> None:
        """Replaces the code of these functions by their code in the tree."""
        compiled = compile(ast.fix_missing_locations(tree), str(self.path), "exec")
        codes = {code.co_qualname: code for code in _codes(compiled)}  # of overloads the last, which is the real one
        for name in functions:
            found = self.live(name)
            assert found is not None
            inner = {id(code): code.co_qualname for code in _codes(found.__code__)}
            for function in _made_of(inner):  # inner functions that were created when the module was imported
                function.__code__ = codes.get(inner[id(function.__code__)], function.__code__)
            found.__code__ = codes[name]


def sources() -> list[Source]:
    """Returns the modules of the mocks that hold a provider's rules, and all modules of the clients."""
    found: list[Source] = []
    for folder, provider in MOCKED.items():
        for path in sorted((MOCKS / folder).glob("*.py")):
            if path.name not in ELSEWHERE:
                found.append(Source(path, provider, "mock", texts=path.name in TEXTUAL, calls=False))
    for path in sorted(BANANA_API.glob("*.py")):
        found.append(Source(path, "banana-native", "mock", texts=path.name in TEXTUAL, calls=False))
    found += [Source(MOCKS / "kernel" / "limits.py", "gobananas", "mock", texts=False, calls=False)]
    for folder, provider in CALLED.items():
        for path in sorted((CLIENTS / folder).rglob("*.py")):
            if path.name != "models.py":
                is_calls = "calls" in (path.stem, path.parent.name)
                found.append(Source(path, provider, "client", texts=True, calls=is_calls))
    found.append(Source(CLIENTS / "lowcodeapi.py", "falai", "client", texts=True, calls=False))
    for name in ("request.py", "response.py", "provider.py", "session.py", "client.py", "errors.py", "waiting.py"):
        found.append(Source(CLIENTS / name, "bananadev", "client", texts=False, calls=False))
    return found


def mutants() -> Iterator[Mutant]:
    """Returns the mutants of all sources, in their order. Equal names get a number."""
    alike = Counter[str]()
    for mutant in _mutants():
        alike[key(mutant)] += 1
        yield mutant if alike[key(mutant)] == 1 else replace(mutant, what=f"{mutant.what} ({alike[key(mutant)]})")


def _mutants() -> Iterator[Mutant]:
    for source in sources():
        tree = ast.parse(source.text)
        for name, function in source.functions(tree):
            if source.live(name) is not None:
                for number, (kind, what, _) in enumerate(_changes(function, source)):
                    yield _in_function(source, name, number, kind, what)
        yield from _of_module(source, tree)


def _in_function(source: Source, name: str, number: int, kind: str, what: str) -> Mutant:
    def apply() -> None:
        tree = ast.parse(source.text)
        function = dict(source.functions(tree))[name]
        list(_changes(function, source))[number][2]()
        source.swap([name], tree)

    return Mutant(
        source.provider, source.side, f"{source.label}:{name}", kind, what, frozenset([source.site(name)]), apply
    )


def _changes(function: ast.AST, source: Source) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """Returns kind, description and action of each change to one function."""
    skipped = _unread(function)
    for node in ast.walk(function):
        if id(node) in skipped:
            continue
        describe = f"line {getattr(node, 'lineno', 0)}: {{}}".format
        match node:
            case ast.Constant(value=bool(value)):
                yield "flag", describe(value), partial(setattr, node, "value", not value)
            case ast.Constant(value=int(value) | float(value)):
                yield "number", describe(value), partial(setattr, node, "value", value + 1)
            case ast.Constant(value=str(value)) if source.texts and value.strip():
                yield "word", describe(repr(value[:40])), partial(setattr, node, "value", f"{value}x")
            case ast.Compare(ops=[first, *rest]) if type(first) in SWAPS:
                swapped = [SWAPS[type(first)](), *rest]
                yield "comparison", describe(ast.unparse(node)[:60]), partial(setattr, node, "ops", swapped)
            case ast.BoolOp(op=op):
                other = ast.Or() if isinstance(op, ast.And) else ast.And()
                yield "logic", describe(ast.unparse(node)[:60]), partial(setattr, node, "op", other)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                twice = ast.UnaryOp(ast.Not(), operand)
                yield "logic", describe(ast.unparse(node)[:60]), partial(setattr, node, "operand", twice)
            case ast.Call(keywords=keywords) if source.calls:
                for keyword in keywords:
                    if keyword.arg is not None:
                        left = [other for other in keywords if other is not keyword]
                        yield "argument left out", describe(keyword.arg), partial(setattr, node, "keywords", left)


def _unread(function: ast.AST) -> set[int]:
    """Returns the ids of nodes without behaviour: docstrings, annotations, defaults, decorators, assertions."""
    found: set[int] = set()

    def leave(node: ast.AST | None) -> None:
        if node is not None:
            found.update(id(item) for item in ast.walk(node))

    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node) is not None:
                leave(node.body[0])
            leave(node.args)
            leave(node.returns)
            for item in node.decorator_list:
                leave(item)
        elif isinstance(node, ast.Lambda):
            leave(node.args)
        elif isinstance(node, ast.AnnAssign):
            leave(node.annotation)
        elif isinstance(node, ast.Assert):
            leave(node)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "cast",
            "TypeVar",
        ):
            leave(node.args[0])
    return found


def _of_module(source: Source, tree: ast.Module) -> Iterator[Mutant]:
    """Returns the mutants of constants and tables: each number, and each entry of a dictionary."""
    for statement in tree.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if not isinstance(target, ast.Name) or target.id.startswith("__"):
            continue
        value = getattr(source.module, target.id, None)
        line, functions = statement.lineno, _users(source, target.id)

        def mutant_of(
            kind: str,
            what: str,
            apply: Callable[[], None],
            line: int = line,
            name: str = target.id,
            sites: frozenset[str] = functions,
        ) -> Mutant:
            return Mutant(
                source.provider, source.side, f"{source.label}:{name}", kind, f"line {line}: {what}", sites, apply
            )

        if isinstance(value, int | float) and not isinstance(value, bool):
            yield mutant_of("constant", str(value), lambda n=target.id, v=value: _rebind(source.module, n, v, v + 1))
        elif isinstance(value, tuple) and value and all(type(item) in (int, float) for item in value):
            for i in range(len(value)):
                other = (*value[:i], value[i] + 1, *value[i + 1 :])
                yield mutant_of(
                    "constant",
                    f"[{i}] {value[i]}",
                    lambda n=target.id, v=value, o=other: _rebind(source.module, n, v, o),
                )
        elif isinstance(value, dict) and isinstance(getattr(statement, "value", None), ast.Dict):
            for key, row in value.items():
                for what, other in _others(row):
                    yield mutant_of("table", f"{key!r} {what}", lambda v=value, k=key, o=other: v.__setitem__(k, o))


def _users(source: Source, name: str) -> frozenset[str]:
    """Returns the sites of functions that may read a constant: those of its module and of modules that import it."""
    value, found = getattr(source.module, name, None), set[str]()
    for other in _read():
        own = vars(other.module)
        if own.get(name) is value or any(item is source.module for item in own.values()):
            found.update(other.site(function) for function, _ in other.functions(ast.parse(other.text)))
    return frozenset(found)


@cache
def _read() -> tuple[Source, ...]:
    return tuple(sources())


def _others(row: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(row, tuple):
        for i, value in enumerate(row):
            for what, other in _others(value):
                yield what, (*row[:i], other, *row[i + 1 :])
    elif type(row) in (int, float):
        yield str(row), row + 1
    elif isinstance(row, str):
        yield repr(row[:40]), f"{row}x"


def _rebind(module: ModuleType, name: str, old: Any, new: Any) -> None:
    """Gives a constant another value, also in modules that imported it and as the default of an argument."""
    package = module.__name__.partition(".")[0]
    for item in list(sys.modules.values()):
        if getattr(item, "__name__", "").startswith(package) and vars(item).get(name) == old:
            setattr(item, name, new)
    for function in _functions(module):
        words = function.__kwdefaults__ or {}
        for word, value in words.items():
            if value is old:
                words[word] = new
        function.__defaults__ = tuple(new if item is old else item for item in function.__defaults__ or ()) or None


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Returns the functions of a module and the methods of its classes."""
    own = [var for var in vars(module).values() if getattr(var, "__module__", "") == module.__name__]
    for item in own:
        within = list(vars(item).values()) if inspect.isclass(item) else [item]
        yield from (function for function in within if isinstance(function, FunctionType))


def _made_of(inner: Mapping[int, str]) -> list[FunctionType]:
    alive = gc.get_objects() if inner else []
    return [item for item in alive if type(item) is FunctionType and id(item.__code__) in inner]


def _is_overload(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(item, ast.Name) and item.id == "overload" for item in function.decorator_list)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for co_const in code.co_consts:
        if isinstance(co_const, CodeType):
            yield co_const
            yield from _codes(co_const)


def watch() -> None:
    """Records which functions of the sources are called."""
    import builtins

    builtins.__mutation_reached__ = reached.add  # type: ignore[attr-defined]
    for source in sources():
        tree, noted = ast.parse(source.text), list[str]()
        for name, function in source.functions(tree):
            if source.live(name) is None:
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):  # an inner function may be called later
                    note = ast.parse(f"__mutation_reached__({source.site(name)!r})").body[0]
                    node.body.insert(1 if ast.get_docstring(node) is not None else 0, note)
            noted.append(name)
        source.swap(noted, tree)
