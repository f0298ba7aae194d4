"""A repository as an inspection reads it: its Python files, its Dockerfile and its other texts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..building.dockerfile.dockerfile import Dockerfile, Instruction, Stage, parse
from ..building.dockerfile.image_command import exposed_port
from ..building.environments.requirements import read_requirements
from ..building.errors import BuildError
from ..building.overrides import Overrides, read_overrides
from ..building.sources.ignore import Ignored
from ..building.sources.sources import files_of
from .constant_texts import SourceCode
from .source_modules import SourceModule

__all__ = ["SourceRepository", "RunLine"]

LARGEST = 2 * 2**20  # bytes of a text file that is read
MOST_FILES = 5000
OTHER_SOURCES = re.compile(r"\.(sh|[cm]?js|ts|go|c|cc|cpp|rs|rb|java|php|lua)$")
SKIPPED = re.compile(r"(^|/)(tests?|node_modules|site-packages|\.github|examples?)/")


@dataclass(frozen=True, slots=True)
class RunLine:
    """A RUN line of a stage that is built: its text with variables replaced, and its place."""

    text: str
    where: str


class SourceRepository:
    """The files of a folder, read once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.unread = folder, list[str]()
        self.files = list[str]()
        for name, entry in files_of(folder, Ignored()):
            if entry.is_file(follow_symlinks=False):
                self.files.append(name)
            if len(self.files) >= MOST_FILES:
                self.unread.append(f"more than {MOST_FILES} files: the rest is not read")
                break
        self.overrides: Overrides = read_overrides(folder)

    def text(self, name: str) -> str:
        """Return a file's text; empty where it is missing, too large or binary."""
        path = self.folder / name
        try:
            if path.is_symlink() or path.stat().st_size > LARGEST:
                return ""
            return read_requirements(path)
        except OSError:
            return ""

    def has(self, name: str) -> bool:
        """Whether a file or folder exists."""
        plain = name.removeprefix("./").rstrip("/")
        return bool(plain) and any(file == plain or file.startswith(f"{plain}/") for file in self.files)

    @cached_property
    def dockerfile(self) -> Dockerfile | None:
        """The Dockerfile, or None where it is missing or cannot be read."""
        if "Dockerfile" not in self.files:
            return None
        try:
            return parse(self.text("Dockerfile"))
        except BuildError as error:
            self.unread.append(f"Dockerfile: {error}")
            return None

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages that are built, in order."""
        return self.dockerfile.needed() if self.dockerfile is not None else []

    @cached_property
    def variables(self) -> dict[str, str]:
        """ENV and ARG values of the stages that are built."""
        known = dict(self.dockerfile.arguments) if self.dockerfile is not None else {}
        for line in self._lines("ENV", "ARG"):
            try:
                pairs = line.pairs(known)
            except BuildError as error:
                self.unread.append(str(error))
                continue
            known |= {name: value for name, value in pairs if value is not None}
        return {**known, **self.overrides.app.environment}

    @cached_property
    def arguments(self) -> dict[str, tuple[bool, str]]:
        """ARG names: whether each has a value, and its place."""
        found: dict[str, tuple[bool, str]] = {}
        for line in self._lines("ARG"):
            for word in line.value.split():
                name, equals, value = word.partition("=")
                if re.fullmatch(r"[A-Za-z_]\w*", name):
                    found[name] = (bool(equals and value.strip("'\"")), f"Dockerfile:{line.line}")
        return found

    @cached_property
    def runs(self) -> list[RunLine]:
        """The RUN lines of the stages that are built."""
        return [RunLine(self._filled(" ".join(line.exec_form() or (line.value,))), f"Dockerfile:{line.line}")
                for line in self._lines("RUN")]  # fmt: skip

    @cached_property
    def command(self) -> tuple[tuple[str, ...], str] | None:
        """ENTRYPOINT and CMD, or bananastand.toml's command, and its place; None where there is neither."""
        if self.overrides.app.command:
            return self.overrides.app.command, "bananastand.toml"
        entry, command, where = tuple[str, ...](), tuple[str, ...](), None
        for line in self._lines("ENTRYPOINT", "CMD"):
            words = line.exec_form() or _words(self._filled(line.value))
            entry, command = (words, ()) if line.name == "ENTRYPOINT" else (entry, words)
            where = f"Dockerfile:{line.line}"
        if where is None:
            usual = self.dockerfile is None and "app.py" in self.files
            return (("python3", "-u", "app.py"), "no Dockerfile: as Banana's templates start") if usual else None
        return (*entry, *command), where

    @cached_property
    def exposed(self) -> int | None:
        """The port for callers among those of EXPOSE."""
        return exposed_port(word for line in self._lines("EXPOSE") for word in self._filled(line.value).split())

    @cached_property
    def code(self) -> SourceCode:
        """The Python files, without tests and examples."""
        modules: dict[str, SourceModule] = {}
        for name in self.files:
            if name.endswith(".py") and not SKIPPED.search(f"/{name}"):
                try:
                    modules[name] = SourceModule(name, self.text(name))
                except (SyntaxError, ValueError, RecursionError) as error:
                    line = getattr(error, "lineno", None)
                    self.unread.append(f"{name}{f':{line}' if line else ''}: not read as Python 3: {error.args[0]}")
        return SourceCode(modules, self.variables)

    @cached_property
    def others(self) -> list[tuple[str, str]]:
        """Names and texts of source files in other languages."""
        return [(name, self.text(name)) for name in self.files
                if OTHER_SOURCES.search(name) and not SKIPPED.search(f"/{name}")]  # fmt: skip

    @cached_property
    def entry(self) -> str | None:
        """The repository's file that the command starts, or None."""
        return _entry_of(self.command[0], self.files) if self.command is not None else None

    def reached(self, module: SourceModule) -> list[SourceModule]:
        """Return a module and the repository's modules that it imports, at any depth."""
        found, open_ = list[SourceModule](), [module]
        while open_:
            current = open_.pop(0)
            if current in found:
                continue
            found.append(current)
            for origin, name in current.imports.values():
                paths = (origin.replace(".", "/"), f"{origin}.{name}".replace(".", "/"))
                names = [f"{path}{end}" for path in paths for end in (".py", "/__init__.py")]
                folder = current.path.rpartition("/")[0]
                names += [f"{folder}/{path}" for path in names if folder]
                open_ += [self.code.modules[path] for path in names if path in self.code.modules]
        return found

    @cached_property
    def served(self) -> list[SourceModule]:
        """The modules that run in a replica; all where the command starts none of them."""
        entry = self.code.modules.get(self.entry or "")
        return self.reached(entry) if entry is not None else list(self.code.modules.values())

    @cached_property
    def built(self) -> list[SourceModule]:
        """The modules that run while the image is built."""
        texts = " ".join(run.text for run in self.runs)
        modules = self.code.modules
        names = {name for name in modules if re.search(rf"(?<![\w.-]){re.escape(name.rpartition('/')[2])}\b", texts)}
        if self.dockerfile is None and "download.py" in modules:
            names.add("download.py")
        return [module for name in sorted(names) for module in self.reached(modules[name])]

    @cached_property
    def copied(self) -> set[str]:
        """Folders of the image that hold the repository's files: WORKDIR and targets of COPY."""
        workdirs = [self._filled(line.value) for line in self._lines("WORKDIR")]
        targets = [(line.exec_form() or _words(line.value))[-1:] for line in self._lines("COPY", "ADD")]
        return {folder.rstrip("/") or "/" for folder in [*workdirs, *(word for words in targets for word in words)]}

    def _lines(self, *names: str) -> Iterator[Instruction]:
        for stage in self.stages:
            yield from (line for line in stage.instructions if line.name in names)

    def _filled(self, text: str) -> str:
        """Return the text with plain variables replaced."""
        known = self.variables
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: known.get(found[1] or found[2], found[0]), text)


def _entry_of(command: tuple[str, ...], files: list[str]) -> str | None:
    """Return the file that a command starts: `python FILE`, `uvicorn MODULE:app`, `cd FOLDER && node FILE`."""
    words = [part for word in command for part in (_words(word) if " " in word else (word,))]
    folder = ""
    for at, word in enumerate(words):
        if word == "cd" and at + 1 < len(words):
            folder = words[at + 1].strip("/").removeprefix("./") + "/"
        plain = word.removeprefix("./").rstrip(";")
        module = plain.partition(":")[0].replace(".", "/") + ".py"
        tried = [plain, f"{folder}{plain}", plain.rpartition("/")[2]] if "." in plain else []
        if ":" in plain or words[max(at - 1, 0)] in ("-m", "sanic", "uvicorn", "gunicorn", "hypercorn"):
            tried += [module, f"{folder}{module}"]
        found = next((path for path in tried if path in files), None)
        if found is None and plain.endswith((".py", ".js", ".mjs", ".sh")):  # COPY api/ . brings it to the top
            same = [path for path in files if path.rpartition("/")[2] == plain.rpartition("/")[2]]
            found = min(same, key=lambda path: path.count("/"), default=None)
        if found is not None:
            return found
    return None


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return tuple(text.split())
