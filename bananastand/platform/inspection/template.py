"""Recognises the server that a repository starts: a template of Banana's, another server, another language."""

from __future__ import annotations

import ast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..building.environments.base_images import version_numbers
from .findings import RequirementLine as Line
from .findings import Template
from .repository import SourceRepository
from .source_modules import SourceModule, called_name

__all__ = ["POTASSIUM", "template_of"]

# Every version that was published.
POTASSIUM = (
    *(f"0.0.{patch}" for patch in range(1, 11)),
    *("0.1.0", "0.1.1", "0.1.2", "0.2.0", "0.2.1", "0.3.0", "0.3.1", "0.3.2", "0.4.0", "0.4.1", "0.5.0"),
)
SERVERS = {  # module -> title, in the order in which they decide
    "sanic": "a Sanic server",
    "fastapi": "a FastAPI server",
    "gradio": "a Gradio server",
    "quart": "a Quart server",
    "flask": "a Flask server",
    "starlette": "a Starlette server",
    "aiohttp": "an aiohttp server",
    "tornado": "a Tornado server",
    "bottle": "a Bottle server",
    "streamlit": "a Streamlit server",
    "http": "a server of http.server",
}
PROGRAMS = {"node": "node", "npm": "node", "yarn": "node", "pnpm": "node", "bun": "node", "deno": "node", "go": "go"}
# Names that only some versions of Potassium have.
OLD_NAMES = {"async_handler": ("0.0.5", "0.0.8"), "set_cache": ("0.0.1", "0.0.4"), "get_cache": ("0.0.1", "0.0.4"),
             "optimize": ("0.0.1", "0.0.4"), "background": ("0.0.9", "0.5.0")}  # fmt: skip


def template_of(repository: SourceRepository, requirements: list[Line]) -> Template:
    """Recognise the server by what the command starts, else by the repository's other files."""
    modules = repository.code.modules
    entry = repository.entry
    if entry is not None and entry in modules:
        return _python(repository, modules[entry], requirements)
    if repository.has("cog.yaml"):
        return Template("cog", "a Cog predictor", "cog.yaml is there", "cog.yaml:1")
    if repository.has("model/model.py") and repository.has("config.yaml"):
        return Template("truss", "a Truss", "config.yaml and model/model.py are there", "model/model.py:1")
    if (other := _other_language(repository, entry)) is not None:
        return other
    for name in ("app.py", "server.py", "main.py"):
        if name in modules and repository.command is None:
            return _python(repository, modules[name], requirements)
    command = " ".join(repository.command[0]) if repository.command is not None else None
    where = repository.command[1] if repository.command is not None else None
    reason = f"the command is {command}" if command else "no command, and no file of a known template"
    return Template("unknown", "a program that is not recognised", reason, where)


def _python(repository: SourceRepository, module: SourceModule, requirements: list[Line]) -> Template:
    reached = repository.reached(module)
    for candidate in reached:
        if "potassium" in candidate.imported:
            return _potassium(repository, candidate, requirements)
    for name, title in SERVERS.items():
        for candidate in reached:
            if name in candidate.imported and _imports_server(candidate, name):
                return _served(module, candidate, name, title)
    if any("uvicorn" in module.imported for module in reached):
        return Template("asgi", "an ASGI server", f"{module.path} imports uvicorn", f"{module.path}:1")
    return Template("python", "a Python program", f"the command starts {module.path}, which imports no known server",
                    f"{module.path}:1")  # fmt: skip


def _served(entry: SourceModule, module: SourceModule, name: str, title: str) -> Template:
    where = _import_line(module, name)
    # The first template: server.py imports app.py as user_src and calls its init and inference.
    calls = {called_name(node) for module in (entry, module) for node in module.calls}
    first = "app" in {origin for origin, _ in module.imports.values()} and {"init", "inference"} <= calls
    if first:
        reason = f"{module.path} imports {name} and calls init and inference of app.py"
        return Template(name, f"Banana's first template ({title.partition(' ')[2]})", reason, where, first=True)
    return Template(name, title, f"{module.path} imports {name}", where)


def _potassium(repository: SourceRepository, module: SourceModule, requirements: list[Line]) -> Template:
    pin, where = None, _import_line(module, "potassium")
    for line in requirements:
        try:
            requirement = Requirement(line.line)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) == "potassium":
            pin, where = requirement, line.where
    allowed = [version for version in POTASSIUM if pin is None or pin.specifier.contains(version)]
    reason = f"{module.path} imports potassium"
    reason += f", and {pin} is required" if pin is not None else ", and no requirement names it"
    attributes = {node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    for name in sorted(attributes & OLD_NAMES.keys()):
        low, high = OLD_NAMES[name]
        oldest, newest = version_numbers(low), version_numbers(high)
        older = [version for version in allowed if oldest <= version_numbers(version) <= newest]
        reason += f"; {name} is of {low} to {high}"
        allowed = older or allowed
    return Template("potassium", "a Potassium app", reason, where, tuple(allowed))


def _other_language(repository: SourceRepository, entry: str | None) -> Template | None:
    command = repository.command[0] if repository.command is not None else ()
    words = [word.rpartition("/")[2] for part in command for word in part.split()]
    where = repository.command[1] if repository.command is not None else None
    kind = next((PROGRAMS[word] for word in words if word in PROGRAMS), None)
    if kind == "node" or (entry or "").endswith((".js", ".mjs", ".cjs", ".ts")):
        return Template("node", "a Node server", f"the command is {' '.join(command)}", where)
    if kind == "go" or (repository.has("go.mod") and entry is None):
        return Template("go", "a Go server", "go.mod is there" if repository.has("go.mod") else "go is run", where)
    if (entry or "").endswith(".sh"):
        return Template("shell", "a shell script", f"the command starts {entry}", where)
    if repository.command is None and repository.has("package.json"):
        return Template("node", "a Node server", "package.json is there", "package.json:1")
    return None


def _imports_server(module: SourceModule, name: str) -> bool:
    """Whether the import is of a server: of `http`, only http.server is."""
    return name != "http" or any(origin == "http.server" for origin, _ in module.imports.values())


def _import_line(module: SourceModule, name: str) -> str:
    for node in ast.walk(module.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(imported.partition(".")[0] == name for imported in names):
            return module.where(node)
    return f"{module.path}:1"
