"""Evaluates expressions statically: constants, f-strings, defaults, loops and arguments.

Names are followed through functions, call sites and the repository's own modules.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from .source_modules import Function, SourceModule, called_name, dotted_name

__all__ = ["SourceCode"]

MOST = 24  # values of one expression
DEEPEST = 8


class SourceCode:
    """All Python files of a repository, and the variables that its Dockerfile sets."""

    def __init__(self, modules: Mapping[str, SourceModule], variables: Mapping[str, str]) -> None:
        self.modules, self.variables = modules, variables
        self._known: dict[ast.expr, list[str]] = {}

    def texts(self, module: SourceModule, node: ast.expr | None, depth: int = 0) -> list[str]:
        """Return the texts an expression may have; empty where they are known only at run time."""
        if node is None or depth > DEEPEST:
            return []
        if node not in self._known:
            self._known[node] = []  # for whoever comes back to it meanwhile: x = x + "..."
            self._known[node] = self._texts(module, node, depth + 1)
        return self._known[node]

    @cached_property
    def callers(self) -> dict[str, list[tuple[SourceModule, ast.Call]]]:
        """The calls of each name, in all modules."""
        found: dict[str, list[tuple[SourceModule, ast.Call]]] = {}
        for module in self.modules.values():
            for node in module.calls:
                found.setdefault(called_name(node), []).append((module, node))
        return found

    def _texts(self, module: SourceModule, node: ast.expr, deeper: int) -> list[str]:
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return self._join("", module, [_formatted(part) for part in parts], deeper)
            case ast.BinOp(op=ast.Add()):
                return self._join("", module, [node.left, node.right], deeper)
            case ast.BinOp(op=ast.Div()):
                return self._join("/", module, [node.left, node.right], deeper)
            case ast.IfExp():
                return _distinct([*self.texts(module, node.body, deeper), *self.texts(module, node.orelse, deeper)])
            case ast.BoolOp():
                return _distinct([text for part in node.values for text in self.texts(module, part, deeper)])
            case ast.Call():
                return self._of_call(module, node, deeper)
            case ast.Subscript():
                return self._of_index(module, node, deeper)
            case ast.Name():
                values = self._values_of_name(module, node, node.id)
                return _distinct([text for owner, value in values for text in self.texts(owner, value, deeper)])
            case ast.Attribute():
                return self._of_attribute(module, node, deeper)
            case _:
                return []

    def variable(self, module: SourceModule, node: ast.AST) -> tuple[str, ast.expr | None, bool] | None:
        """Return the environment variable that a node reads: its name, its default, and whether it may be missing."""
        match node:
            case ast.Subscript() if dotted_name(node.value).endswith("environ"):
                names = self.texts(module, node.slice)
                return (names[0], None, False) if names and isinstance(node.ctx, ast.Load) else None
            case ast.Call() if dotted_name(node.func) in ("os.getenv", "getenv") or dotted_name(node.func).endswith(
                "environ.get"
            ):
                names = self.texts(module, node.args[0] if node.args else None)
                default = node.args[1] if len(node.args) > 1 else None
                return (names[0], default, True) if names else None
            case _:
                return None

    def _join(self, between: str, module: SourceModule, parts: list[ast.expr], depth: int) -> list[str]:
        values = [self.texts(module, part, depth) for part in parts]
        if not all(values):
            return []
        return _distinct([between.join(texts) for texts in itertools.islice(itertools.product(*values), MOST)])

    def _of_call(self, module: SourceModule, node: ast.Call, depth: int) -> list[str]:
        if (read := self.variable(module, node)) is not None:
            value = self.variables.get(read[0])
            return [value] if value else self.texts(module, read[1], depth)
        name = dotted_name(node.func)
        if name.endswith("path.join"):
            return self._join("/", module, node.args, depth)
        if name in ("str", "Path", "pathlib.Path") and node.args:
            return self._join("/", module, node.args, depth)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("strip", "rstrip", "resolve", "absolute"):
            return self.texts(module, node.func.value, depth)
        return []

    def _of_index(self, module: SourceModule, node: ast.Subscript, depth: int) -> list[str]:
        if (read := self.variable(module, node)) is not None:
            value = self.variables.get(read[0])
            return [value] if value else []
        keys, found = self.texts(module, node.slice, depth), list[str]()
        for owner, held in self._values_of(module, node.value):
            if isinstance(held, ast.Dict):
                for key, value in zip(held.keys, held.values, strict=True):
                    if not keys or (key is not None and set(keys) & set(self.texts(owner, key, depth))):
                        found += self.texts(owner, value, depth)
        return _distinct(found)

    def _of_attribute(self, module: SourceModule, node: ast.Attribute, depth: int) -> list[str]:
        if isinstance(node.value, ast.Name) and (other := self._module(module, node.value.id)) is not None:
            values = [(other, value) for value in other.top.get(node.attr, [])]
        else:  # self.NAME, or a class's
            values = [(module, value) for value in module.attributes.get(node.attr, [])]
        return _distinct([text for owner, value in values for text in self.texts(owner, value, depth)])

    def _values_of(self, module: SourceModule, node: ast.expr) -> list[tuple[SourceModule, ast.expr]]:
        return self._values_of_name(module, node, node.id) if isinstance(node, ast.Name) else [(module, node)]

    def _values_of_name(self, module: SourceModule, node: ast.AST, name: str) -> list[tuple[SourceModule, ast.expr]]:
        """Return the values that a name may have where a node uses it."""
        for scope in module.scopes(node):
            if found := [(module, value) for value in module.within(scope)[0].get(name, [])]:
                return [*found, *self._loop_elements(module, scope, name)]
            if found := self._loop_elements(module, scope, name):
                return found
            if name in [
                parameter.arg for parameter in (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)
            ]:
                return self._arguments_for(module, scope, name)
        if found := [
            *((module, value) for value in module.top.get(name, [])),
            *self._loop_elements(module, module.tree, name),
        ]:
            return found
        origin, inside = module.imports.get(name, ("", None))
        other = self._named(module, origin)
        return [(other, value) for value in other.top.get(inside, [])] if other is not None and inside else []

    def _loop_elements(self, module: SourceModule, scope: ast.AST, name: str) -> list[tuple[SourceModule, ast.expr]]:
        """Return the elements that `for NAME in ...` goes through."""
        found = list[tuple[SourceModule, ast.expr]]()
        for node in module.within(scope)[1]:
            if (at := _position(node.target, name)) is not None:
                found += self._elements(module, node.iter, at)
        return found

    def _elements(self, module: SourceModule, node: ast.expr, at: int) -> list[tuple[SourceModule, ast.expr]]:
        method = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        found = list[tuple[SourceModule, ast.expr]]()
        for owner, held in self._values_of(module, node):
            if isinstance(held, ast.List | ast.Tuple | ast.Set):
                for element in held.elts:
                    inner = element.elts if isinstance(element, ast.Tuple | ast.List) else []
                    found.append((owner, inner[at] if at < len(inner) else element))
            elif isinstance(held, ast.Dict):
                values = method == "values" or (method == "items" and at == 1)
                found += [(owner, element) for element in (held.values if values else held.keys) if element is not None]
        return found

    def _arguments_for(self, module: SourceModule, scope: Function, name: str) -> list[tuple[SourceModule, ast.expr]]:
        """Return what callers pass for a parameter, and its default."""
        names = [parameter.arg for parameter in (*scope.args.posonlyargs, *scope.args.args)]
        at = names.index(name) if name in names else None
        found = list[tuple[SourceModule, ast.expr]]()
        for other, call in self.callers.get(scope.name, []):
            positional = at - (1 if names[:1] == ["self"] else 0) if at is not None else None
            if positional is not None and 0 <= positional < len(call.args):
                found.append((other, call.args[positional]))
            found += [(other, keyword.value) for keyword in call.keywords if keyword.arg == name]
        if at is not None and (missing := at - (len(names) - len(scope.args.defaults))) >= 0:
            found.append((module, scope.args.defaults[missing]))
        return found

    def _module(self, module: SourceModule, name: str) -> SourceModule | None:
        origin, inside = module.imports.get(name, ("", None))
        return self._named(module, f"{origin}.{inside}" if inside else origin)

    def _named(self, module: SourceModule, name: str) -> SourceModule | None:
        if not name:
            return None
        path, folder = name.replace(".", "/"), Path(module.path).parent
        tried = (folder / f"{path}.py", folder / path / "__init__.py", Path(f"{path}.py"), Path(path, "__init__.py"))
        return next((self.modules[str(path)] for path in tried if str(path) in self.modules), None)


def _formatted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.FormattedValue) else node


def _position(target: ast.expr, name: str) -> int | None:
    if isinstance(target, ast.Name):
        return 0 if target.id == name else None
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else []
    return next((at for at, part in enumerate(parts) if isinstance(part, ast.Name) and part.id == name), None)


def _distinct(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))[:MOST]
