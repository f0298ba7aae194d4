"""What an expression may be before anything runs: constants, f-strings of them, defaults, loops and arguments.

Follows names through functions, call sites and the repository's own modules. Evaluates nothing else.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

__all__ = ["Code", "Module", "called", "dotted"]

MOST = 24  # values of one expression
DEEPEST = 8
Scope = ast.FunctionDef | ast.AsyncFunctionDef


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression; what is called or indexed in between is left out."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            before = dotted(node.value)
            return f"{before}.{node.attr}" if before else node.attr
        case ast.Call():
            return dotted(node.func)
        case _:
            return ""


def called(node: ast.Call) -> str:
    """The last word of what is called."""
    return dotted(node.func).rpartition(".")[2]


class Module:
    """A Python file, parsed."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.tree = ast.parse(text)
        self._within: dict[ast.AST, tuple[dict[str, list[ast.expr]], list[ast.For | ast.comprehension]]] = {}

    def where(self, node: ast.AST) -> str:
        """FILE:LINE of a node."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node that holds each node."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def scopes(self, node: ast.AST) -> Iterator[Scope]:
        """The functions around a node, the innermost first."""
        at: ast.AST | None = node
        while at is not None:
            if isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef):
                yield at
            at = self.parents.get(at)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call in the file, in its order."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        return sorted(found, key=lambda call: (call.lineno, call.col_offset))

    def within(self, scope: ast.AST) -> tuple[dict[str, list[ast.expr]], list[ast.For | ast.comprehension]]:
        """What is assigned to each name in a function or a file, and its loops."""
        if scope not in self._within:
            bound: dict[str, list[ast.expr]] = {}
            loops = list[ast.For | ast.comprehension]()
            for node in ast.walk(scope):
                if isinstance(node, ast.For | ast.comprehension):
                    loops.append(node)
                targets, value = _targets(node)
                for target in targets:
                    if value is not None and isinstance(target, ast.Name):
                        bound.setdefault(target.id, []).append(value)
            self._within[scope] = bound, loops
        return self._within[scope]

    @cached_property
    def top(self) -> dict[str, list[ast.expr]]:
        """What is assigned to each name outside of functions, under `if` and `try` too."""
        found, open_ = dict[str, list[ast.expr]](), list[ast.stmt](self.tree.body)
        while open_:
            node = open_.pop(0)
            targets, value = _targets(node)
            for target in targets:
                if value is not None and isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(value)
            if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
                open_ += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        return found

    @cached_property
    def attributes(self) -> dict[str, list[ast.expr]]:
        """What is assigned to each attribute, of any object or class."""
        found: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            targets, value = _targets(node)
            for target in targets:
                inside = isinstance(target, ast.Name) and isinstance(self.parents.get(node), ast.ClassDef)
                name = target.attr if isinstance(target, ast.Attribute) else None
                name = target.id if inside and isinstance(target, ast.Name) else name
                if value is not None and name is not None:
                    found.setdefault(name, []).append(value)
        return found

    @cached_property
    def imports(self) -> dict[str, tuple[str, str | None]]:
        """Local name -> (module, name in it)."""
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


class Code:
    """All Python files of a repository, and the variables that its Dockerfile sets."""

    def __init__(self, modules: Mapping[str, Module], variables: Mapping[str, str]) -> None:
        self.modules, self.variables = modules, variables
        self._known: dict[ast.expr, list[str]] = {}

    def texts(self, module: Module, node: ast.expr | None, depth: int = 0) -> list[str]:
        """The texts an expression may have; empty where they are not known before it runs."""
        if node is None or depth > DEEPEST:
            return []
        if node not in self._known:
            self._known[node] = []  # for whoever comes back to it meanwhile: x = x + "..."
            self._known[node] = self._texts(module, node, depth + 1)
        return self._known[node]

    @cached_property
    def callers(self) -> dict[str, list[tuple[Module, ast.Call]]]:
        """The calls of each name, in all modules."""
        found: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self.modules.values():
            for node in module.calls:
                found.setdefault(called(node), []).append((module, node))
        return found

    def _texts(self, module: Module, node: ast.expr, deeper: int) -> list[str]:
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return self._joined("", module, [_formatted(part) for part in parts], deeper)
            case ast.BinOp(op=ast.Add()):
                return self._joined("", module, [node.left, node.right], deeper)
            case ast.BinOp(op=ast.Div()):
                return self._joined("/", module, [node.left, node.right], deeper)
            case ast.IfExp():
                return _distinct([*self.texts(module, node.body, deeper), *self.texts(module, node.orelse, deeper)])
            case ast.BoolOp():
                return _distinct([text for part in node.values for text in self.texts(module, part, deeper)])
            case ast.Call():
                return self._of_call(module, node, deeper)
            case ast.Subscript():
                return self._of_index(module, node, deeper)
            case ast.Name():
                values = self._assigned(module, node, node.id)
                return _distinct([text for owner, value in values for text in self.texts(owner, value, deeper)])
            case ast.Attribute():
                return self._of_attribute(module, node, deeper)
            case _:
                return []

    def variable(self, module: Module, node: ast.AST) -> tuple[str, ast.expr | None, bool] | None:
        """The environment variable that a node reads: its name, its default, and whether it may be missing."""
        match node:
            case ast.Subscript() if dotted(node.value).endswith("environ"):
                names = self.texts(module, node.slice)
                return (names[0], None, False) if names and isinstance(node.ctx, ast.Load) else None
            case ast.Call() if dotted(node.func) in ("os.getenv", "getenv") or dotted(node.func).endswith(
                "environ.get"
            ):
                names = self.texts(module, node.args[0] if node.args else None)
                default = node.args[1] if len(node.args) > 1 else None
                return (names[0], default, True) if names else None
            case _:
                return None

    def _joined(self, between: str, module: Module, parts: list[ast.expr], depth: int) -> list[str]:
        values = [self.texts(module, part, depth) for part in parts]
        if not all(values):
            return []
        return _distinct([between.join(texts) for texts in itertools.islice(itertools.product(*values), MOST)])

    def _of_call(self, module: Module, node: ast.Call, depth: int) -> list[str]:
        if (read := self.variable(module, node)) is not None:
            value = self.variables.get(read[0])
            return [value] if value else self.texts(module, read[1], depth)
        name = dotted(node.func)
        if name.endswith("path.join"):
            return self._joined("/", module, node.args, depth)
        if name in ("str", "Path", "pathlib.Path") and node.args:
            return self._joined("/", module, node.args, depth)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("strip", "rstrip", "resolve", "absolute"):
            return self.texts(module, node.func.value, depth)
        return []

    def _of_index(self, module: Module, node: ast.Subscript, depth: int) -> list[str]:
        if (read := self.variable(module, node)) is not None:
            value = self.variables.get(read[0])
            return [value] if value else []
        keys, found = self.texts(module, node.slice, depth), list[str]()
        for owner, held in self._held(module, node.value):
            if isinstance(held, ast.Dict):
                for key, value in zip(held.keys, held.values, strict=True):
                    if not keys or (key is not None and set(keys) & set(self.texts(owner, key, depth))):
                        found += self.texts(owner, value, depth)
        return _distinct(found)

    def _of_attribute(self, module: Module, node: ast.Attribute, depth: int) -> list[str]:
        if isinstance(node.value, ast.Name) and (other := self._module(module, node.value.id)) is not None:
            values = [(other, value) for value in other.top.get(node.attr, [])]
        else:  # self.NAME, or a class's
            values = [(module, value) for value in module.attributes.get(node.attr, [])]
        return _distinct([text for owner, value in values for text in self.texts(owner, value, depth)])

    def _held(self, module: Module, node: ast.expr) -> list[tuple[Module, ast.expr]]:
        return self._assigned(module, node, node.id) if isinstance(node, ast.Name) else [(module, node)]

    def _assigned(self, module: Module, node: ast.AST, name: str) -> list[tuple[Module, ast.expr]]:
        """What a name may stand for where a node uses it."""
        for scope in module.scopes(node):
            if found := [(module, value) for value in module.within(scope)[0].get(name, [])]:
                return [*found, *self._looped(module, scope, name)]
            if found := self._looped(module, scope, name):
                return found
            if name in [
                parameter.arg for parameter in (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)
            ]:
                return self._passed(module, scope, name)
        if found := [
            *((module, value) for value in module.top.get(name, [])),
            *self._looped(module, module.tree, name),
        ]:
            return found
        origin, inside = module.imports.get(name, ("", None))
        other = self._named(module, origin)
        return [(other, value) for value in other.top.get(inside, [])] if other is not None and inside else []

    def _looped(self, module: Module, scope: ast.AST, name: str) -> list[tuple[Module, ast.expr]]:
        """The elements of what `for NAME in ...` goes through."""
        found = list[tuple[Module, ast.expr]]()
        for node in module.within(scope)[1]:
            if (at := _position(node.target, name)) is not None:
                found += self._elements(module, node.iter, at)
        return found

    def _elements(self, module: Module, node: ast.expr, at: int) -> list[tuple[Module, ast.expr]]:
        method = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        found = list[tuple[Module, ast.expr]]()
        for owner, held in self._held(module, node):
            if isinstance(held, ast.List | ast.Tuple | ast.Set):
                for element in held.elts:
                    inner = element.elts if isinstance(element, ast.Tuple | ast.List) else []
                    found.append((owner, inner[at] if at < len(inner) else element))
            elif isinstance(held, ast.Dict):
                values = method == "values" or (method == "items" and at == 1)
                found += [(owner, element) for element in (held.values if values else held.keys) if element is not None]
        return found

    def _passed(self, module: Module, scope: Scope, name: str) -> list[tuple[Module, ast.expr]]:
        """What callers pass for a parameter, and its default."""
        names = [parameter.arg for parameter in (*scope.args.posonlyargs, *scope.args.args)]
        at = names.index(name) if name in names else None
        found = list[tuple[Module, ast.expr]]()
        for other, call in self.callers.get(scope.name, []):
            positional = at - (1 if names[:1] == ["self"] else 0) if at is not None else None
            if positional is not None and positional < len(call.args):
                found.append((other, call.args[positional]))
            found += [(other, keyword.value) for keyword in call.keywords if keyword.arg == name]
        if at is not None and (missing := at - (len(names) - len(scope.args.defaults))) >= 0:
            found.append((module, scope.args.defaults[missing]))
        return found

    def _module(self, module: Module, name: str) -> Module | None:
        origin, inside = module.imports.get(name, ("", None))
        return self._named(module, f"{origin}.{inside}" if inside else origin)

    def _named(self, module: Module, name: str) -> Module | None:
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


def _targets(node: ast.AST) -> tuple[list[ast.expr], ast.expr | None]:
    match node:
        case ast.Assign():
            return node.targets, node.value
        case ast.AnnAssign() | ast.NamedExpr():
            return [node.target], node.value
        case _:
            return [], None


def _distinct(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))[:MOST]
