"""Builds one stage of a Dockerfile on this machine: its files, its variables, and what pip is to install."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from ...environment import inherited
from ..dockerfile.dockerfile import Dockerfile, Instruction, Stage
from ..dockerfile.image_command import ImageCommand, read_image_command
from ..environments.conda_environment import CondaPackages
from ..environments.environments import PythonEnvironment, prepare_environment
from ..environments.pip_translation import Pins, PipTranslator
from ..environments.requirements import PipCall
from ..errors import BuildError, DockerfileError, NotHonoured
from ..overrides import Overrides
from ..root_filesystem import RootFilesystem
from ..settings import BuildSettings
from ..sources.ignore import read_ignored
from ..weights.weights import hub_home, renamed_weights
from .mounts import Mounts
from .remote_files import download
from .run_executor import RunExecutor
from .stage_packages import copy_packages
from .system_packages import app_packages

__all__ = ["StageBuild"]

# Nothing to do without an image; what each means for the app is said once in the log.
MEANINGLESS = {
    "LABEL": "",
    "MAINTAINER": "",
    "STOPSIGNAL": "replicas are stopped by SIGTERM",
    "HEALTHCHECK": "the platform asks the app's own health",
    "USER": "replicas run as the user who runs the platform",
    "ONBUILD": "it speaks to images built on this one",
}
CACHES = frozenset({"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "DIFFUSERS_CACHE",
                    "TORCH_HOME", "XDG_CACHE_HOME"})  # fmt: skip
SHELLS = frozenset({"sh", "bash"})
TAKEN_OVER = ("environment", "workdir", "shell", "command", "entrypoint", "port", "pip", "key", "base", "packages",
              "made_environments", "skipped", "wanted_python")  # fmt: skip


class StageBuild:
    """A stage being built.

    Attributes:
        skipped: Commands that were left out.
        packages: Debian packages that lines name.
        sandboxed: Whether programs have the stage's files as their root.
        no_sandbox: Why not.
    """

    def __init__(
        self,
        stage: Stage,
        dockerfile: Dockerfile,
        *,
        source: Path,
        folder: Path,
        settings: BuildSettings,
        overrides: Overrides,
        log: Callable[[str], None],
        earlier: dict[int, StageBuild],
        no_sandbox: str | None,
    ) -> None:
        self.stage, self.dockerfile, self.settings, self.log = stage, dockerfile, settings, log
        self.source, self.earlier, self.overrides = source, earlier, overrides
        self.sandboxed, self.no_sandbox = no_sandbox is None, no_sandbox
        self.rootfs = RootFilesystem(folder / f"stage{stage.index}" / "root")
        self.environment = dict[str, str]()  # ENV
        self.arguments = dict[str, str]()  # ARG
        self.workdir, self.shell = "/", ("/bin/sh", "-c")
        self.command: ImageCommand | None = None
        self.entrypoint: ImageCommand | None = None
        self.exposed = list[str]()  # words of EXPOSE
        self.base: str | None = None  # the image that this stage, or the one it builds on, comes from
        self.instructions = [(instruction.line, instruction.text) for instruction in stage.instructions]
        self.pip = list[PipCall]()
        self.made_environments = list[str]()  # by `python -m venv`, as the image would have them
        self.skipped = list[str]()
        self.packages = list[str](overrides.build.system_packages)
        self.conda = CondaPackages()
        # The version of Python that conda is to bring, and where it says so.
        self.wanted_python: tuple[str, str] | None = None
        self.key = hashlib.sha256(f"2 {stage.base}".encode()).hexdigest()
        self.pip_words = PipTranslator(self.rootfs, Pins.of(settings.pins), log)
        self.mounts = Mounts(self.rootfs, source, settings)
        self._python: tuple[int, CondaPackages, PythonEnvironment] | None = (
            None  # for how many calls of pip, and what else
        )
        self._inherits_command = False
        self.weights = overrides.build.weights  # hub names, and those to fetch in their place

    async def build(self) -> None:
        """Run every instruction in order. Raises BuildError."""
        try:
            await asyncio.to_thread(self._begin)
            for number, instruction in enumerate(self.stage.instructions, 1):
                self.log(f"step {number}/{len(self.stage.instructions)}: {instruction.text[:300]}")
                if self._is_skipped(instruction):
                    self.log(f"left out: {instruction.text[:200]} (bananastand.toml)")
                    continue
                try:
                    await self._do(instruction)
                except (OSError, ValueError) as error:
                    raise DockerfileError(instruction.line, f"{instruction.name}: {error}") from None
            if self.stage is self.dockerfile.stages[-1]:
                await self.python()  # while pip's secrets are there
        finally:
            self.mounts.take_away()

    async def python(self) -> PythonEnvironment:
        """Return the environment with everything that pip is to install so far."""
        calls = list(self.pip)
        if rest := self.pip_words.pins.rest():
            calls.append(PipCall(("install", *rest), self.rootfs.root, str(self.rootfs.root)))
        if self._python is None or self._python[:2] != (len(calls), self.conda):
            base = {name: self.placed(name, value) for name, value in self.environment.items() if name != "PATH"}
            try:
                environment = await prepare_environment(
                    calls, settings=self.settings, environment={**inherited(os.environ, "PIP_"), **base},
                    user=self.rootfs.root.parent.parent, log=self.log, base=self.base,
                    instructions=self.instructions, source=self.source, wanted_python=self.wanted_python,
                    conda=self.conda,
                )  # fmt: skip
            except DockerfileError:
                raise
            except BuildError as error:
                if (line := self._line_of(str(error))) is None:
                    raise
                raise DockerfileError(line, str(error)) from None
            self._python = (len(calls), self.conda, environment)
        return self._python[2]

    def _line_of(self, message: str) -> int | None:
        """Return the Dockerfile's line whose packages failed to install, unless the message names it."""
        if "Dockerfile line" in message:
            return None
        for call in self.pip:
            if call.line is not None and " ".join(call.words)[:80] in message:
                return call.line
        lines = {call.line for call in self.pip if call.line is not None}
        return lines.pop() if len(lines) == 1 else None

    def add_pip(self, line: int, words: tuple[str, ...], folder: str, variables: Mapping[str, str]) -> None:
        """Add packages that are installed before the next step that uses Python."""
        placed = {name: self._inside(value) for name, value in variables.items()}
        call = self.pip_words.call(words, folder, placed, line)
        if call is None:
            return
        if self.settings.requirements and "install" in words:
            self.leave_out(f"pip {' '.join(words)}", "bananastand.toml names the requirements")
            return
        self.pip.append(call)

    def pip_reads_files(self) -> bool:
        """Whether packages are still to be installed from files of the stage."""
        done = self._python[0] if self._python else 0
        return any("-r" in call.words or any("/" in word or word == "." for word in call.words)
                   for call in self.pip[done:])  # fmt: skip

    def want_python(self, version: str, where: str) -> None:
        """Note the Python that a line asks for, unless the settings name one."""
        if self.settings.python is None:
            self.wanted_python = (version, where)

    def leave_out(self, command: str, reason: str) -> None:
        """Note and log a command that is not run."""
        self.skipped.append(command)
        self.log(f"left out: {command[:200]}" + (f" ({reason})" if reason else ""))

    def needed(self) -> list[str]:
        """Return the Debian packages that the app may need so far."""
        return app_packages(self.packages)

    def _is_skipped(self, line: Instruction) -> bool:
        return any(line.text.startswith(prefix) for prefix in self.overrides.build.skip)

    def _inside(self, value: str) -> str:
        return f"{self.rootfs.root}{posixpath.normpath(value)}" if re.match("/[^/]", value) else value

    def placed(self, name: str, value: str) -> str:
        """Return a variable's value on this machine, with paths of the stage led into its files."""
        if name in CACHES and value.startswith("/"):
            return str(self.rootfs.at(value))
        if name in ("PATH", "PYTHONPATH"):
            here = os.environ.get("PATH", "").split(":")
            parts = [part for part in value.split(":") if part and part not in here]
            own = [str(self.rootfs.at(part)) for part in parts if self.rootfs.has(part) and not self._is_venv(part)]
            return ":".join([*own, *(here if name == "PATH" else [])])
        if value.startswith("/") and ":" not in value and self.rootfs.has(value):
            return str(self.rootfs.at(value))
        return value

    def _begin(self) -> None:
        base = self.dockerfile.stage(self.stage.base, self.stage.index)
        if base is not None:
            other = self.earlier[base.index]
            self.rootfs.fill_from(other.rootfs)
            self.instructions = [*other.instructions, *self.instructions]
            for name in TAKEN_OVER:
                setattr(self, name, copy.copy(getattr(other, name)))
            self.pip_words.editable += other.pip_words.editable
            self.pip_words.places += other.pip_words.places
            self.pip_words.pins.used |= other.pip_words.pins.used
            self._inherits_command = True
            return
        if self.stage.base == "scratch":
            return
        self.log(f"FROM {self.stage.base}: this machine stands in for it")
        self.base = self.stage.base

    def values(self) -> dict[str, str]:
        """Return ARG and ENV as lines see them."""
        return {"PATH": os.environ.get("PATH", ""), **self.arguments, **self.environment}

    async def _do(self, line: Instruction) -> None:
        if line.name in MEANINGLESS:
            if MEANINGLESS[line.name]:
                self.log(f"left out: {line.name} ({MEANINGLESS[line.name]})")
            return
        self.key = hashlib.sha256(f"{self.key} {line.text} {line.heredocs}".encode()).hexdigest()
        match line.name:
            case "ARG":
                self._arg(line)
            case "ENV":
                for name, value in line.pairs(self.values(), self.dockerfile.escape):
                    self.environment[name] = value or ""
            case "WORKDIR":
                self.workdir = posixpath.join(self.workdir, " ".join(self._words(line)))
                self.rootfs.at(self.workdir).mkdir(parents=True, exist_ok=True)
            case "COPY" | "ADD":
                await self._copy_or_add(line)
            case "RUN":
                await RunExecutor(self, line).do()
            case "EXPOSE":
                self.exposed += self._words(line)
            case "CMD":
                self.command, self._inherits_command = read_image_command(line), False
            case "ENTRYPOINT":
                self.entrypoint = read_image_command(line)
                self.command = None if self._inherits_command else self.command
            case "SHELL":
                self.shell = self._shell(line)
            case _:  # VOLUME
                for word in line.exec_form() or self._words(line):
                    self.rootfs.at(posixpath.join(self.workdir, word)).mkdir(parents=True, exist_ok=True)

    def _words(self, line: Instruction) -> list[str]:
        return line.words(self.values(), self.dockerfile.escape)

    def _arg(self, line: Instruction) -> None:
        for name, value in line.pairs(self.values(), self.dockerfile.escape):
            override = self.settings.environment.get(name)
            known = (
                override
                if override is not None
                else value
                if value is not None
                else self.dockerfile.arguments.get(name)
            )
            if known is not None:
                self.arguments[name] = known

    @staticmethod
    def _shell(line: Instruction) -> tuple[str, ...]:
        words = line.exec_form() or ()
        if not words or words[-1] not in ("-c", "-lc", "-ec", "-exc", "-euxc", "-xc"):
            raise NotHonoured(line.line, f"SHELL {line.value}: only sh and bash are run here", line.text)
        if words[0].rpartition("/")[2] in ("conda", "mamba", "micromamba"):
            return ("/bin/bash", "-c")  # the environment is the build's own
        if words[0].rpartition("/")[2] not in SHELLS:
            raise NotHonoured(line.line, f"SHELL {line.value}: only sh and bash are run here", line.text)
        return (
            ("/bin/bash", *(word for word in words[1:] if word not in ("--login", "-l", "-i")))
            if (words[0].endswith("bash"))
            else words
        )

    async def _copy_or_add(self, line: Instruction) -> None:
        """COPY and ADD: files of the source, of another stage, of a here-document or of the network."""
        words = list(line.exec_form() or self._words(line))
        if len(words) < 2:
            raise DockerfileError(line.line, f"{line.name} takes a source and a target")
        if line.heredocs:
            self._write_heredocs(line, words[-1])
            return
        addresses = [word for word in words[:-1] if re.match(r"[a-z]+://|git@", word)]
        if line.name != "ADD" or not addresses:
            await asyncio.to_thread(self._copy, line)  # weights may be among it: calls go on meanwhile
            return
        if len(addresses) != len(words) - 1:
            raise NotHonoured(line.line, "ADD of an address and a file in one line is not honoured", line.text)
        for address in addresses:
            target = posixpath.normpath(posixpath.join(self.workdir, words[-1]))
            into = target if not words[-1].endswith(("/", ".")) else f"{target}/"
            await download(line.line, address, self.rootfs, into, cache=self.settings.cache, log=self.log)

    def _write_heredocs(self, line: Instruction, target: str) -> None:
        for heredoc in line.heredocs:
            body = heredoc.body
            if heredoc.expand:
                body = re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda found: self.values().get(found[1] or found[2], ""), body)
            name = posixpath.join(target, heredoc.name) if target.endswith("/") else target
            place = self.rootfs.at(posixpath.join(self.workdir, name))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(body, encoding="utf-8")
            if (mode := line.flag("chmod")) and re.fullmatch("[0-7]{3,4}", mode):
                place.chmod(int(mode, 8))

    def _copy(self, line: Instruction) -> None:
        for name, _ in line.flags:
            if name not in ("chown", "chmod", "from", "link", "checksum", "keep-git-dir"):
                raise NotHonoured(line.line, f"{line.name} --{name} is not honoured", line.text)
        *sources, target = line.exec_form() or self._words(line)
        mode = line.flag("chmod")
        if mode is not None and re.fullmatch("[0-7]{3,4}", mode) is None:
            raise NotHonoured(line.line, f"--chmod={mode} is not honoured, an octal number is", line.text)
        origin, ignored = self.source, read_ignored(self.source, self.settings.dockerfile)
        if (named := line.flag("from")) is not None:
            if self._is_here(line, named, sources):
                return
            other = self.stage_of(line, named)
            origin, ignored = other.rootfs.root, type(ignored)()
            sources = copy_packages(self, other, sources, target)
            if not sources:
                self.log(f"left out: {line.text[:200]} (the packages are in the build's environment)")
                return
        slash = "/" if target.endswith(("/", "/.")) or target == "." else ""
        digest = self.rootfs.copy(
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

    def _is_here(self, line: Instruction, image: str, sources: list[str]) -> bool:
        """Whether everything copied from an image is a program that this machine has."""
        if self.dockerfile.stage(image, self.stage.index) is not None:
            return False
        names = [posixpath.basename(source) for source in sources]
        if not all(shutil.which(name) for name in names):
            return False
        self.log(f"left out: {line.text[:200]} (this machine has {', '.join(names)})")
        return True

    def stage_of(self, line: Instruction, name: str) -> StageBuild:
        """Return the earlier stage that a line names. Raises NotHonoured for an image."""
        found = self.dockerfile.stage(name, self.stage.index)
        if found is None:
            raise NotHonoured(line.line, f"--from={name}: files of an image are not at hand here", line.text)
        return self.earlier[found.index]

    def hub(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return variables that lead programs to the shared hub cache and to renamed weights."""
        home = hub_home(self.settings.cache, self.environment, inherited(os.environ))
        for place in home.values():  # what is not there cannot be made visible in a sandbox
            os.makedirs(place, exist_ok=True)
        return {**home, **renamed_weights(self.weights, environment)}

    def running_environment(self, python: PythonEnvironment | None) -> dict[str, str]:
        """Return ENV as on this machine, with the environment's programs first on PATH."""
        placed = {name: self.placed(name, value) for name, value in self.environment.items()}
        path = self.placed("PATH", self.values()["PATH"])
        if self.pip_words.editable:
            folders = [str(self.rootfs.at(folder)) for folder in dict.fromkeys(self.pip_words.editable)]
            placed["PYTHONPATH"] = ":".join([*folders, *filter(None, [placed.get("PYTHONPATH", "")])])
        return {**placed, "PATH": f"{python.bin}:{path}" if python else path}

    def _is_venv(self, path: str) -> bool:
        return any(path == f"{folder.rstrip('/')}/bin" for folder in self.made_environments)
