"""What an app's code does at run time: routes, ports, variables, webhooks, GPUs, absolute paths."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .assigned_variables import assigned_variables, variables_of_runs
from .findings import AppRoute, EnvironmentVariable
from .repository import SourceRepository
from .source_modules import SourceModule, called_name, dotted_name

__all__ = ["absolute_paths", "gpu_uses", "handlers", "health_path", "listening_port", "variables", "webhooks"]

HEALTH = ("/healthcheck", "/healthz", "/health", "/readyz", "/ping", "/_k/status", "/__status__")
SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH", re.IGNORECASE)
# Set by the system, by Python's libraries or by the platform.
USUAL = frozenset({"PATH", "HOME", "USER", "PWD", "PORT", "HOST", "TMPDIR", "LANG", "CUDA_VISIBLE_DEVICES", "HOSTNAME"})
SYSTEM = re.compile(r"^/(dev|proc|sys|tmp|etc|usr|bin|lib|var/lib|root/\.cache)(/|$)")
PORTS = re.compile(
    r"(?:--port|--bind|-b|-p)[= ]+(?:[\w.]*:)?(\d{2,5})\b|(?:0\.0\.0\.0|127\.0\.0\.1|\[::\]):(\d{2,5})\b"
)
SOCKETS = ("HTTPServer", "ThreadingHTTPServer", "TCPServer", "ThreadingTCPServer")
LISTENS = re.compile(r"\.listen\(\s*(?:process\.env\.PORT\s*\|\|\s*)?(\d{2,5})|ListenAndServe\(\"[^\"]*:(\d+)")
FILES = frozenset({"open", "Path", "from_pretrained", "save_pretrained", "load", "save", "exists", "isfile", "isdir",
                   "listdir", "makedirs", "mkdir", "join", "load_model", "read_csv", "from_single_file", "loadtxt",
                   "snapshot_download", "hf_hub_download", "copy", "move", "rename", "imread", "imwrite"})  # fmt: skip
ROUTES = frozenset({"get", "post", "put", "delete", "route", "websocket", "api_route", "head"})


def handlers(repository: SourceRepository) -> list[AppRoute]:
    """Return the routes, by their decorators."""
    found = list[AppRoute]()
    for module in repository.served:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found += (
                    handler for mark in node.decorator_list if (handler := _handler(repository, module, node, mark))
                )
    return found


def _handler(
    repository: SourceRepository, module: SourceModule, node: ast.FunctionDef | ast.AsyncFunctionDef, mark: ast.expr
) -> AppRoute | None:
    if not (isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute)):
        return None
    kind, keyword = (
        mark.func.attr,
        next((keyword.value for keyword in mark.keywords if keyword.arg in ("route", "path")), None),
    )
    routes = repository.code.texts(module, mark.args[0] if mark.args else keyword)
    where = module.where(node)
    if kind in ("handler", "background", "async_handler", "websocket_handler"):
        role = "handler" if kind in ("handler", "websocket_handler") else "background"
        return AppRoute(routes[0] if routes else "/", node.name, role, where)
    if kind in ROUTES and routes and routes[0].startswith("/"):
        return AppRoute(routes[0], node.name, "route", where)
    return None


def health_path(repository: SourceRepository, template: str) -> str | None:
    """Return the path that says whether the app is ready, or None."""
    if repository.overrides.app.health:
        return repository.overrides.app.health
    if template == "potassium":
        return "/_k/status"
    texts = [module.text for module in repository.code.modules.values()] + [text for _, text in repository.others]
    return next((path for path in HEALTH if any(re.search(rf"['\"` ]{re.escape(path)}/?['\"` ?]", text)
                                                for text in texts)), None)  # fmt: skip


def listening_port(repository: SourceRepository, template: str) -> int | None:
    """Return the port that the app listens on, by bananastand.toml, the command, the code or EXPOSE."""
    if repository.overrides.app.port:
        return repository.overrides.app.port
    command = " ".join(repository.command[0]) if repository.command is not None else ""
    if named := PORTS.search(command):
        return int(named[1] or named[2])
    if template != "potassium":
        calls = ((module, node) for module in repository.code.modules.values() for node in module.calls)
        ports = [port for module, node in calls if (port := _port(repository, module, node)) is not None]
        if ports:  # of several servers EXPOSE names the one that is for callers
            return repository.exposed if repository.exposed in ports else ports[0]
        for _, text in repository.others:
            if listens := LISTENS.search(text):
                return int(listens[1] or listens[2])
    return repository.exposed or (8000 if template == "potassium" else None)


def _port(repository: SourceRepository, module: SourceModule, node: ast.Call) -> int | None:
    value = next((keyword.value for keyword in node.keywords if keyword.arg in ("port", "server_port")), None)
    name = called_name(node)
    if name in SOCKETS and node.args and isinstance(node.args[0], ast.Tuple):
        value = node.args[0].elts[-1]
    if value is None or name not in (*SOCKETS, "run", "launch", "serve", "run_app", "create_server", "main", "listen"):
        return None
    indices = {
        part
        for subscript in ast.walk(value)
        if isinstance(subscript, ast.Subscript)
        for part in ast.walk(subscript.slice)
    }
    numbers = {part.value for part in ast.walk(value) if isinstance(part, ast.Constant) and isinstance(part.value, int)
               and part not in indices}  # fmt: skip
    if not numbers and isinstance(value, ast.Name):
        for statement in ast.walk(module.tree):
            if isinstance(statement, ast.Assign) and dotted_name(statement.targets[0]) == value.id:
                numbers |= {part.value for part in ast.walk(statement.value) if isinstance(part, ast.Constant)
                            and isinstance(part.value, int)}  # fmt: skip
    texts = [text for text in repository.code.texts(module, value) if text.isdecimal()]
    return next((number for number in [*sorted(numbers), *map(int, texts)] if 0 < number < 65536), None)


def variables(repository: SourceRepository) -> list[EnvironmentVariable]:
    """Return environment variables that code reads and ARG lines without a value.

    One is required where code fails without it and the repository does not set it, or where a RUN line reads a secret
    without a value.
    """
    found: dict[str, EnvironmentVariable] = {}
    known, set_here, runs = repository.variables, assigned_variables(repository), variables_of_runs(repository)
    for module in dict.fromkeys([*repository.served, *repository.built]):
        for node in ast.walk(module.tree):
            read = repository.code.variable(module, node) if isinstance(node, ast.Call | ast.Subscript) else None
            if read is None or read[0] in USUAL:
                continue
            name, default, may_miss = read
            value = known.get(name) or next(iter(repository.code.texts(module, default)), None)
            required = not value and not may_miss and name not in set_here
            if name not in found or required > found[name].required:
                secret = bool(SECRET.search(name))
                found[name] = EnvironmentVariable(name, module.where(node), required, secret, None if secret else value)
    for name, text in repository.others:
        for number, line in enumerate(text.splitlines(), 1):
            for read in re.findall(r"process\.env\.([A-Z_][A-Z0-9_]*)|os\.Getenv\(\"(\w+)\"\)", line):
                variable = read[0] or read[1]
                if variable not in USUAL and variable not in found:
                    secret = bool(SECRET.search(variable))
                    found[variable] = EnvironmentVariable(
                        variable, f"{name}:{number}", False, secret, known.get(variable)
                    )
    for name, (has_value, where) in repository.arguments.items():
        if name not in found and not name.startswith(("DEBIAN_", "BUILDPLATFORM", "TARGET")):
            secret = bool(SECRET.search(name))
            required = not has_value and secret and name in runs
            found[name] = EnvironmentVariable(name, where, required, secret, None if secret else known.get(name))
    return sorted(found.values(), key=lambda variable: (not variable.required, variable.name))


def webhooks(repository: SourceRepository) -> list[str]:
    """Return the places that send a webhook."""
    found = list[str]()
    for module in repository.served:
        for node in module.calls:
            posts = called_name(node) == "post" and any(
                "webhook" in dotted_name(argument).lower() for argument in node.args[:1]
            )
            if posts or called_name(node) == "send_webhook":
                found.append(module.where(node))
    return found


def gpu_uses(repository: SourceRepository) -> Iterator[tuple[str, str]]:
    """Yield uses of a GPU without a check for one: the words, and FILE:LINE."""
    for module in repository.served:
        for node in module.calls:
            words = _of_gpu(repository, module, node)
            if words and not _is_guarded(module, node):
                yield words, module.where(node)


def _of_gpu(repository: SourceRepository, module: SourceModule, node: ast.Call) -> str | None:
    name = called_name(node)
    if name == "cuda" and isinstance(node.func, ast.Attribute) and dotted_name(node.func) != "torch.cuda":
        return ".cuda()"
    values = node.args[:1] if name in ("to", "device") else []
    values += [keyword.value for keyword in node.keywords if keyword.arg in ("device", "map_location", "device_map")]
    for value in values:
        if "is_available" in ast.dump(value):
            return None
        # Both of `"cuda" if ... else "cpu"` are known: the code chooses.
        texts = repository.code.texts(module, value)
        if texts and all(text.startswith("cuda") for text in texts):
            return f'{"." if name == "to" else ""}{name}("{texts[0]}")'
    return None


def _is_guarded(module: SourceModule, node: ast.AST) -> bool:
    """Whether a check for a GPU is around a node."""
    at = module.parents.get(node)
    while at is not None:
        if isinstance(at, ast.If | ast.IfExp) and "is_available" in ast.dump(at.test):
            return True
        at = module.parents.get(at)
    return False


def absolute_paths(repository: SourceRepository) -> list[str]:
    """Return absolute paths that code opens, as `/weights.txt at app.py:9`, without the system's own."""
    found = list[str]()
    for module in dict.fromkeys([*repository.served, *repository.built]):
        for node in module.calls:
            if called_name(node) in FILES:
                texts = [text for argument in node.args[:2] for text in repository.code.texts(module, argument)]
                texts += [text for keyword in node.keywords for text in repository.code.texts(module, keyword.value)]
                found += [f"{text} at {module.where(node)}" for text in texts if _is_path(text)]
    return list(dict.fromkeys(found))


def _is_path(text: str) -> bool:
    """Whether a text is a file's path rather than a route."""
    if re.fullmatch(r"/[\w.-]+(/[\w.-]+)*/?", text) is None or SYSTEM.match(text) or text in HEALTH:
        return False
    return not text.startswith(("/api/", "/v1/"))
