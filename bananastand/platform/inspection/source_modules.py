"""The Python files of a repository, parsed: what each assigns, calls, loops over and imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

__all__ = ["Function", "SourceModule", "called_name", "dotted_name"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def dotted_name(node: ast.expr) -> str:
    """Return `a.b.c` of an expression, without calls and indexes in between."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            before = dotted_name(node.value)
            return f"{before}.{node.attr}" if before else node.attr
        case ast.Call():
            return dotted_name(node.func)
        case _:
            return ""


def called_name(node: ast.Call) -> str:
    """Return the last word of what is called."""
    return dotted_name(node.func).rpartition(".")[2]


class SourceModule:
    """A parsed Python file."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.tree = ast.parse(text)
        self._within: dict[ast.AST, tuple[dict[str, list[ast.expr]], list[ast.For | ast.comprehension]]] = {}

    def where(self, node: ast.AST) -> str:
        """Return FILE:LINE of a node."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node that holds each node."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def scopes(self, node: ast.AST) -> Iterator[Function]:
        """Yield the functions around a node, the innermost first."""
        at: ast.AST | None = node
        while at is not None:
            if isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef):
                yield at
            at = self.parents.get(at)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call in the file, in order."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        return sorted(found, key=lambda call: (call.lineno, call.col_offset))

    def within(self, scope: ast.AST) -> tuple[dict[str, list[ast.expr]], list[ast.For | ast.comprehension]]:
        """Return the values assigned to each name in a function or file, and its loops."""
        if scope not in self._within:
            bound: dict[str, list[ast.expr]] = {}
            loops = list[ast.For | ast.comprehension]()
            for node in ast.walk(scope):
                if isinstance(node, ast.For | ast.comprehension):
                    loops.append(node)
                targets, value = _assignment(node)
                for target in targets:
                    if value is not None and isinstance(target, ast.Name):
                        bound.setdefault(target.id, []).append(value)
            self._within[scope] = bound, loops
        return self._within[scope]

    @cached_property
    def top(self) -> dict[str, list[ast.expr]]:
        """The values assigned to each name outside of functions, under `if` and `try` too."""
        found, open_ = dict[str, list[ast.expr]](), list[ast.stmt](self.tree.body)
        while open_:
            node = open_.pop(0)
            targets, value = _assignment(node)
            for target in targets:
                if value is not None and isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(value)
            if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
                open_ += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        return found

    @cached_property
    def attributes(self) -> dict[str, list[ast.expr]]:
        """The values assigned to each attribute, of any object or class."""
        found: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            targets, value = _assignment(node)
            for target in targets:
                inside = isinstance(target, ast.Name) and isinstance(self.parents.get(node), ast.ClassDef)
                name = target.attr if isinstance(target, ast.Attribute) else None
                name = target.id if inside and isinstance(target, ast.Name) else name
                if value is not None and name is not None:
                    found.setdefault(name, []).append(value)
        return found

    @cached_property
    def imports(self) -> dict[str, tuple[str, str | None]]:
        """Local names and what they import: module, and name in it."""
        found: dict[str, tuple[str, str | None]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.partition(".")[0]] = (alias.name, None)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[alias.asname or alias.name] = (node.module or "", alias.name)
        return found

    @cached_property
    def imported(self) -> frozenset[str]:
        """The first words of all imported modules."""
        return frozenset(name.partition(".")[0] for name, _ in self.imports.values() if name)


def _assignment(node: ast.AST) -> tuple[list[ast.expr], ast.expr | None]:
    match node:
        case ast.Assign():
            return node.targets, node.value
        case ast.AnnAssign() | ast.NamedExpr():
            return [node.target], node.value
        case _:
            return [], None
