"""One stage of a Dockerfile done on this machine: its files, its variables, and what pip is to install for it."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import os
import posixpath
import re
import shlex
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from ..inherited import inherited
from .commands import run
from .dockerfile import Dockerfile, Instruction, Stage
from .environments import Environment, environment_for
from .errors import BuildError, DockerfileError, NotHonoured
from .fetch_failure import explain_fetch_failure
from .ignore import read_ignored
from .layers import Layers, hub_of, look
from .mounts import Mounts
from .overrides import read_overrides
from .requirements import PipCall
from .runs import AND_NOW, ROOT, read_run
from .settings import BuildSettings
from .tree import Tree
from .weights import declared_arguments, hub_home, hub_tokens, renamed_weights

__all__ = ["StageBuild"]

# Nothing to do without an image; what each means for the app is said once in the log.
MEANINGLESS = {
    "LABEL": "",
    "MAINTAINER": "",
    "STOPSIGNAL": "replicas are stopped by SIGTERM",
    "HEALTHCHECK": "the stand asks the app's own status",
    "USER": "replicas run as the user who runs the stand",
    "ONBUILD": "it speaks to images built on this one",
}
CACHES = frozenset({"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "DIFFUSERS_CACHE",
                    "TORCH_HOME", "XDG_CACHE_HOME"})  # fmt: skip
SHELLS = frozenset({"sh", "bash"})


class StageBuild:
    """A stage under way. `skipped` are the lines that were not honoured, to be named again if a later one fails."""

    def __init__(
        self,
        stage: Stage,
        dockerfile: Dockerfile,
        *,
        source: Path,
        folder: Path,
        settings: BuildSettings,
        log: Callable[[str], None],
        earlier: dict[int, StageBuild],
    ) -> None:
        self.stage, self.dockerfile, self.settings, self.log = stage, dockerfile, settings, log
        self.source, self.earlier = source, earlier
        self.tree = Tree(folder / f"stage{stage.index}" / "root")
        self.environment = dict[str, str]()  # ENV
        self.arguments = dict[str, str]()  # ARG
        self.workdir, self.shell = "/", ("/bin/sh", "-c")
        self.command: tuple[str, ...] | None = None
        self.entrypoint: tuple[str, ...] = ()
        self.port: int | None = None
        self.pip = list[PipCall]()
        self.made_environments = list[str]()  # by `python -m venv`, as the image would have them
        self.skipped = list[str]()
        self.key = hashlib.sha256(f"1 {stage.base}".encode()).hexdigest()
        self._python: tuple[int, Environment] | None = None  # for how many calls of pip
        self._mounts = Mounts(self.tree, source, settings)
        self.weights = read_overrides(source).build.weights  # hub names, and those to fetch in their place

    async def build(self) -> None:
        """Do every instruction in its order. Raises BuildError."""
        try:
            await asyncio.to_thread(self._begin)
            for number, instruction in enumerate(self.stage.instructions, 1):
                self.log(f"step {number}/{len(self.stage.instructions)}: {instruction.text[:300]}")
                try:
                    await self._do(instruction)
                except (OSError, ValueError) as error:
                    raise DockerfileError(instruction.line, f"{instruction.name}: {error}") from None
            if self.stage is self.dockerfile.stages[-1]:
                await self.python()  # while pip's secrets are there
        finally:
            self._mounts.take_away()

    async def python(self) -> Environment:
        """The environment with all that pip was told so far."""
        if self._python is None or self._python[0] != len(self.pip):
            base = {name: self.placed(name, value) for name, value in self.environment.items() if name != "PATH"}
            environment = await environment_for(
                self.pip, settings=self.settings, environment={**inherited(os.environ, "PIP_"), **base},
                user=self.tree.root.parent.parent, log=self.log,
            )  # fmt: skip
            self._python = (len(self.pip), environment)
        return self._python[1]

    def placed(self, name: str, value: str) -> str:
        """A variable's value as it is on this machine: what is a path of the stage leads into its files."""
        if name in CACHES and value.startswith("/"):
            return str(self.tree.at(value))
        if name in ("PATH", "PYTHONPATH"):
            here = os.environ.get("PATH", "").split(":")
            parts = [part for part in value.split(":") if part and part not in here]
            own = [str(self.tree.at(part)) for part in parts if self.tree.has(part) and not self._is_venv(part)]
            return ":".join([*own, *(here if name == "PATH" else [])])
        if value.startswith("/") and ":" not in value and self.tree.has(value):
            return str(self.tree.at(value))
        return value

    def _begin(self) -> None:
        base = self.dockerfile.stage(self.stage.base, self.stage.index)
        if base is not None:
            other = self.earlier[base.index]
            self.tree.fill_from(other.tree)
            for name in ("environment", "workdir", "shell", "command", "entrypoint", "port", "pip", "key",
                         "made_environments", "skipped"):  # fmt: skip
                setattr(self, name, copy.copy(getattr(other, name)))
            return
        if self.stage.base == "scratch":
            return
        self.log(f"FROM {self.stage.base}: this machine stands in for it")
        if re.search(r"(^|[/_-])(pytorch|torch)", self.stage.base):
            self.pip.append(PipCall(("install", "torch"), self.tree.root, str(self.tree.root)))

    def _values(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), **self.arguments, **self.environment}

    async def _do(self, line: Instruction) -> None:
        if line.name in MEANINGLESS:
            if MEANINGLESS[line.name]:
                self.log(f"not honoured: {line.name}: {MEANINGLESS[line.name]}")
            return
        if line.heredocs:
            raise NotHonoured(line.line, f"a here-document is not understood without a container; {AND_NOW}")
        self.key = hashlib.sha256(f"{self.key} {line.text}".encode()).hexdigest()
        match line.name:
            case "ARG":
                self._arg(line)
            case "ENV":
                for name, value in line.pairs(self._values(), self.dockerfile.escape):
                    self.environment[name] = value or ""
            case "WORKDIR":
                self.workdir = posixpath.join(self.workdir, " ".join(self._words(line)))
                self.tree.at(self.workdir).mkdir(parents=True, exist_ok=True)
            case "COPY" | "ADD":
                await asyncio.to_thread(self._copy, line)  # weights may be among it: calls go on meanwhile
            case "RUN":
                await self._run(line)
            case "EXPOSE":
                ports = [word.partition("/")[0] for word in self._words(line) if not word.endswith("/udp")]
                if self.port is None and ports and ports[0].isdecimal():
                    self.port = int(ports[0])
            case "CMD":
                self.command = line.exec_form() or self._plain(line.value)
            case "ENTRYPOINT":
                self.entrypoint, self.command = line.exec_form() or self._plain(line.value), None
            case "SHELL":
                words = line.exec_form() or ()
                if not words or words[0].rpartition("/")[2] not in SHELLS or words[-1] != "-c":
                    raise NotHonoured(line.line, f"SHELL {line.value}: only sh and bash are run here; {AND_NOW}")
                self.shell = words
            case _:  # VOLUME
                for word in line.exec_form() or self._words(line):
                    self.tree.at(posixpath.join(self.workdir, word)).mkdir(parents=True, exist_ok=True)

    def _words(self, line: Instruction) -> list[str]:
        return line.words(self._values(), self.dockerfile.escape)

    def _arg(self, line: Instruction) -> None:
        for name, value in line.pairs(self._values(), self.dockerfile.escape):
            given = self.settings.environment.get(name)
            known = given if given is not None else value if value is not None else self.dockerfile.arguments.get(name)
            if known is not None:
                self.arguments[name] = known

    @staticmethod
    def _plain(text: str) -> tuple[str, ...]:
        """A shell form whose words are plain is as good as its exec form; else the shell is to read it."""
        if re.search(r"[$`;&|<>*?~(){}\\#]", text):
            return ("/bin/sh", "-c", text)
        return tuple(shlex.split(text.removeprefix("exec ")))

    def _copy(self, line: Instruction) -> None:
        for name, _ in line.flags:
            if name not in ("chown", "chmod", "from", "link"):
                raise NotHonoured(line.line, f"{line.name} --{name} is not honoured; {AND_NOW}")
        words = list(line.exec_form() or self._words(line))
        if len(words) < 2:
            raise DockerfileError(line.line, f"{line.name} takes a source and a target")
        *sources, target = words
        if line.name == "ADD" and any(re.match(r"[a-z]+://|git@", source) for source in sources):
            raise NotHonoured(line.line, f"ADD of an address is not honoured; {AND_NOW}")
        mode = line.flag("chmod")
        if mode is not None and re.fullmatch("[0-7]{3,4}", mode) is None:
            raise NotHonoured(line.line, f"--chmod={mode} is not honoured, an octal number is; {AND_NOW}")
        origin, ignored = self.source, read_ignored(self.source, self.settings.dockerfile)
        if (named := line.flag("from")) is not None:
            origin, ignored = self._stage(line, named).tree.root, type(ignored)()
        slash = "/" if target.endswith(("/", "/.")) or target == "." else ""
        digest = self.tree.copy(
            line.line,
            sources,
            posixpath.normpath(posixpath.join(self.workdir, target)) + slash,
            origin,
            ignored,
            unpacks=line.name == "ADD" and named is None,
            largest=self.settings.largest_source,
            most_files=self.settings.most_files,
            mode=int(mode, 8) if mode else None,
        )
        self.key = hashlib.sha256(f"{self.key} {digest}".encode()).hexdigest()

    def _stage(self, line: Instruction, name: str) -> StageBuild:
        found = self.dockerfile.stage(name, self.stage.index)
        if found is None:
            raise NotHonoured(line.line, f"--from={name}: files of an image are not at hand here; {AND_NOW}")
        return self.earlier[found.index]

    async def _run(self, line: Instruction) -> None:
        words = line.exec_form()
        read = read_run(line.line, shlex.join(words) if words else line.value, self._values().get)
        self._mounts.put(line, self.workdir, lambda name: self._stage(line, name).tree)
        for each in read.left_out:
            self.skipped.append(each)
            self.log(f"not honoured: {each}{_of_this_machine(each)}")
        self.made_environments += read.environments
        place = self.tree.at(self.workdir)
        place.mkdir(parents=True, exist_ok=True)
        for call in read.pip:
            led = tuple(self._led(word) for word in call)
            own = {name: self._led(value) for name, value in read.assignments.items()}
            self.pip.append(PipCall(led, place, str(self.tree.root), own))
        if not read.line:
            return
        environment = await self.python()
        for program in read.programs:
            if not Path(environment.bin, program).exists() and not self.tree.has(program):
                raise NotHonoured(line.line, f"RUN {program}: not a program that is run without a container; {AND_NOW}")
        await self._layer(line, read.line, environment, place)

    def _led(self, word: str) -> str:
        """A word of pip's with its path led into the stage's files."""
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if not value.startswith("/") or value.startswith("//"):
            return word
        # A mount is a link out of the tree, and pip may follow it.
        return f"{option}{equals}{self.tree.root}{posixpath.normpath(value)}"

    async def _layer(self, line: Instruction, text: str, python: Environment, place: Path) -> None:
        values = {**self.arguments, **self.environment}  # no secret: as in Docker, a new one alone builds nothing anew
        other = [sorted(self.weights.items())] if self.weights else []
        told = json.dumps([self.key, text, self.workdir, self.shell, python.key, sorted(values.items()), *other])
        key = hashlib.sha256(told.encode()).hexdigest()[:32]
        layers = Layers(self.settings.cache / "layers")
        if await asyncio.to_thread(layers.restore, key, self.tree.root):
            self.log("  as in an earlier build: nothing it depends on has changed")
            return
        environment = {**inherited(os.environ, "PIP_"), **self.arguments, **self.running_environment(python)}
        environment |= {ROOT: str(self.tree.root), **self.hub(environment)}
        environment |= hub_tokens(self.settings.secrets, declared_arguments(self.dockerfile))
        environment |= self._mounts.variables(line)
        said = deque[str](maxlen=200)
        hub = hub_of(environment)
        before = await asyncio.to_thread(look, self.tree.root)
        there = set(os.listdir(hub) if hub.is_dir() else ())
        status = await run([*self.shell, text], log=_both(self.log, said.append), cwd=place, environment=environment)
        if status:
            if (why := explain_fetch_failure(said, environment=environment)) is not None:
                raise BuildError(f"Dockerfile line {line.line}: {line.text[:160]} failed. {why}")
            left = f"; not honoured before it: {'; '.join(self.skipped)}" if self.skipped else ""
            raise BuildError(f"Dockerfile line {line.line}: {line.text[:160]} ended with status {status}{left}")
        self._mounts.take_away()
        outside = [str(hub / name) for name in (os.listdir(hub) if hub.is_dir() else ()) if name not in there]
        after = await asyncio.to_thread(look, self.tree.root)
        await asyncio.to_thread(layers.keep, key, self.tree.root, before, after, outside)

    def hub(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The variables that lead programs to the shared cache, and to weights under other names."""
        home = hub_home(self.settings.cache, self.environment, inherited(os.environ))
        return {**home, **renamed_weights(self.weights, environment)}

    def running_environment(self, python: Environment) -> dict[str, str]:
        """ENV as it is on this machine, with the environment's programs first."""
        led = {name: self.placed(name, value) for name, value in self.environment.items()}
        return {**led, "PATH": f"{python.bin}:{self.placed('PATH', self._values()['PATH'])}"}

    def _is_venv(self, path: str) -> bool:
        return any(path == f"{each.rstrip('/')}/bin" for each in self.made_environments)


def _both(first: Callable[[str], None], second: Callable[[str], None]) -> Callable[[str], None]:
    def tell(line: str) -> None:
        first(line)
        second(line)

    return tell


def _of_this_machine(command: str) -> str:
    """What apt is to install and is here already."""
    words = command.split()
    if "install" not in words:
        return ""
    names = [word for word in words[words.index("install") + 1 :] if not word.startswith("-")]
    here = [name for name in names if shutil.which(name)]
    return f" (this machine has {', '.join(here)})" if here else " (this machine's own programs and libraries are used)"
