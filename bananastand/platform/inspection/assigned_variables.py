"""The environment variables that a repository sets itself: in scripts, code and .env files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .repository import SourceRepository
from .source_modules import dotted_name

__all__ = ["assigned_variables", "variables_of_runs"]

PARTS = re.compile(r"[;&|\n(){}]+|\b(?:then|do|else)\b")
NAMES = re.compile(r"([A-Za-z_]\w*)(?:=.*)?")
DEFAULT = re.compile(r"\$\{([A-Za-z_]\w*):?=")
READ = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")
SHELL = re.compile(r"\.(sh|bash|zsh|ksh)$")
SHEBANG = re.compile(r"#!.*\b(ba|z|k|da)?sh\b")
LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", re.MULTILINE)


def assigned_variables(repository: SourceRepository) -> set[str]:
    """Return the names that have a value by the time the code reads them."""
    found = set[str]()
    for text in _shell_texts(repository):
        found |= set(_of_shell(text)) | set(DEFAULT.findall(text))
    for module in repository.served:
        for node in ast.walk(module.tree):
            found |= set(_of_code(node))
    if any("dotenv" in module.text for module in repository.served):
        found |= set(LINE.findall(repository.text(".env")))
    return found


def variables_of_runs(repository: SourceRepository) -> set[str]:
    """Return the names that RUN lines read."""
    texts = [line.value for stage in repository.stages for line in stage.instructions if line.name == "RUN"]
    return {bare or braced for text in texts for bare, braced in READ.findall(text)}


def _shell_texts(repository: SourceRepository) -> list[str]:
    """Return the command's words and the scripts that it, or another script, starts."""
    if repository.command is None:
        return []
    words = " ".join(repository.command[0])
    scripts = {name: text for name in repository.files if (text := _script(repository, name)) is not None}
    texts, open_ = list[str](), [words]
    while open_:
        text = open_.pop()
        texts.append(text)
        for name in [
            script for script in scripts if re.search(rf"(?<![\w-]){re.escape(script.rpartition('/')[2])}\b", text)
        ]:
            open_.append(scripts.pop(name))
    return texts


def _script(repository: SourceRepository, name: str) -> str | None:
    if SHELL.search(name):
        return repository.text(name)
    if "." in name.rpartition("/")[2]:
        return None
    text = repository.text(name)
    return text if SHEBANG.match(text) else None


def _of_shell(text: str) -> Iterator[str]:
    """X=1, `X=1 program`, `export X`, `env X=1 program`, `declare -x X=1`."""
    for part in PARTS.split(text):
        words, exports = part.split(), False
        while words and words[0] in ("exec", "env", "export", "declare", "typeset", "sudo", "-x", "-gx", "-E"):
            exports = exports or words[0] == "export"
            words.pop(0)
        for word in words:
            name = NAMES.fullmatch(word)
            if name is None or ("=" not in word and not exports):
                break
            yield name[1]


def _of_code(node: ast.AST) -> list[str]:
    """os.environ["X"] = ..., os.environ.setdefault("X", ...), os.environ.update({"X": ...}), os.putenv("X", ...)."""
    match node:
        case ast.Assign(targets=[ast.Subscript(value=owner, slice=ast.Constant(value=str(name)))]):
            return [name] if dotted_name(owner).endswith("environ") else []
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if dotted_name(function).endswith(
            ("environ.setdefault", "os.putenv")
        ):
            return [name]
        case ast.Call(func=function, args=values, keywords=keywords) if dotted_name(function).endswith(
            "environ.update"
        ):
            keys = [key for argument in values if isinstance(argument, ast.Dict) for key in argument.keys]
            texts = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            return [*texts, *(keyword.arg for keyword in keywords if keyword.arg)]
        case _:
            return []
