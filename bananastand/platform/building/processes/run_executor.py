"""Runs one RUN line of a stage on this machine, step by step; each step is cached as a layer."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import posixpath
import re
import shlex
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...environment import inherited
from ...hub_cache import library_caches
from ...replicas.sandbox import sandbox_command
from ..commands import run
from ..dockerfile.dockerfile import Instruction
from ..dockerfile.shell import ShellCommand, ShellError, parse_commands
from ..dockerfile.shell_steps import ShellStep, may_fail, split_steps
from ..environments.conda import read_conda
from ..environments.conda_environment import CondaPackages, conda_specs, find_conda
from ..environments.environments import PythonEnvironment
from ..environments.gpu_support import machine_capabilities
from ..environments.lock_files import requirements_of
from ..environments.torch_builds import FAMILY, name_of
from ..errors import BuildError, DockerfileError, NotHonoured
from ..failure import decisive_line, explain_windows_line_ends
from ..weights.fetch_failure import explain_fetch_failure
from ..weights.weights import declared_arguments, hub_tokens
from .layer_cache import LayerCache, snapshot
from .run_analysis import ROOT, RunAnalysis, analyse_run, is_builtin
from .shims import NOTES, read_notes, write_shims
from .system_packages import missing_packages

if TYPE_CHECKING:
    from .stage import StageBuild

__all__ = ["RunExecutor"]

FOLDER = "tmp/.bananastand-folder"  # where a step of the shell leaves the folder it ended in
ASKS = "BANANASTAND_NOTES"
KEPT_LINES = 400


class RunExecutor:
    """A RUN line being run; its folder and exported variables go from one step to the next."""

    def __init__(self, stage: StageBuild, line: Instruction) -> None:
        self.stage, self.line = stage, line
        self.folder, self.exports, self.count = stage.workdir, list[str](), 0
        self.lines = deque[str](maxlen=KEPT_LINES)
        self.environment = dict[str, str]()  # of the last program that ran
        self.several = False

    async def do(self) -> None:
        """Run all steps. Raises NotHonoured, or DockerfileError where a step fails."""
        text = self._text()
        try:
            found = split_steps(text, lambda command: is_builtin(command, self._known))
        except ShellError as error:
            if not self.stage.sandboxed:
                reason = f"RUN with {error} is not understood without a container"
                raise NotHonoured(self.line.line, reason, self.line.text) from None
            found = (ShellStep("", text),)
        self.several = len(found) > 1 or any(step.condition for step in found)
        status = await self._sequence(found)
        (self.stage.rootfs.root / FOLDER).unlink(missing_ok=True)
        if status:
            lacking = await missing_packages(self.stage.needed())
            raise DockerfileError(self.line.line, self._failure(status, lacking))

    def _text(self) -> str:
        words = self.line.exec_form()
        text = shlex.join(words) if words else self.line.value
        if self.line.heredocs:
            return self._with_heredocs(text)
        try:
            (command,) = parse_commands(text)
        except (ShellError, ValueError):
            return text
        literals = [word.literal for word in command.words]
        if (
            literals[0]
            and literals[0].rpartition("/")[2] in ("sh", "bash")
            and len(literals) == 3
            and not command.files
        ):
            option, script = literals[1], literals[2]
            if option and option.strip("-").strip("exlui") == "c" and script:
                return script
        return text

    def _with_heredocs(self, text: str) -> str:
        """Return the line with here-documents: one alone is the script, others become files."""
        heredocs = self.line.heredocs
        if text.strip() in (f"<<{heredocs[0].name}", f"<<-{heredocs[0].name}", f"<<'{heredocs[0].name}'",
                            f'<<"{heredocs[0].name}"'):  # fmt: skip
            body = heredocs[0].body
            if not body.startswith("#!"):
                return body
            place = self._file(body)
            Path(self.stage.rootfs.root, place.lstrip("/")).chmod(0o755)
            return place
        for heredoc in heredocs:
            if heredoc.expand and "$" in heredoc.body and not self.stage.sandboxed:
                reason = "RUN with a here-document that has variables is not understood without a container"
                raise NotHonoured(self.line.line, reason, self.line.text)
            if heredoc.expand and "$" in heredoc.body:
                return text + "\n" + "".join(f"{heredoc.body}{heredoc.name}\n" for heredoc in heredocs)
            for mark in (f"<<-{heredoc.name}", f"<<{heredoc.name}", f"<<'{heredoc.name}'", f'<<"{heredoc.name}"'):
                text = text.replace(mark, f"< {self._file(heredoc.body)}", 1) if mark in text else text
        return text

    def _file(self, body: str) -> str:
        name = f"/tmp/heredoc-{hashlib.sha256(body.encode()).hexdigest()[:12]}"
        self.stage.rootfs.at(name).write_text(body, encoding="utf-8")
        return name

    def _known(self, name: str) -> str | None:
        return self.stage.values().get(name)

    async def _sequence(self, found: tuple[ShellStep, ...], status: int = 0) -> int:
        for at, step in enumerate(found):
            strict = any(text.startswith("set -") and "e" in text for text in self.exports)
            if (step.connector == "&&" or (step.connector == ";" and strict)) and status:
                continue
            if step.connector == "||" and not status:
                continue
            if step.condition is not None:
                test = await self._step(step.condition.test)
                branch = step.condition.then if test == 0 else step.condition.otherwise
                status = await self._sequence(branch)
            elif may_fail(found, at, strict) and self._installs(step.text):
                status = await self._try_step(step.text)
            else:
                status = await self._step(step.text)
        return status

    def _installs(self, text: str) -> bool:
        return any(is_builtin(command, self._known) for command in parse_commands(text))

    async def _try_step(self, text: str) -> int:
        """Run a step that installs packages and may fail: it runs at once, and a failure leaves nothing behind."""
        stage = self.stage
        await stage.python()  # what earlier steps ask for fails on their own account
        before = len(stage.pip)
        try:
            status = await self._step(text)
            if status == 0 and len(stage.pip) > before:
                await stage.python()
        except BuildError as error:
            del stage.pip[before:]
            stage.log(f"  `{text[:100]}` fails, and the line goes on: {error}")
            return 1
        return status

    async def _step(self, text: str) -> int:
        stage, number = self.stage, self.line.line
        read = analyse_run(number, text, self._known, sandboxed=stage.sandboxed, beginning=self.line.text)
        for skipped, reason in read.left_out:
            stage.leave_out(skipped, reason)
        stage.packages += read.packages
        stage.made_environments += [posixpath.join(self.folder, folder) for folder in read.environments]
        for call in read.pip:
            stage.add_pip(number, call, self.folder, read.assignments)
        for program in read.locks:
            self._lock(program)
        for program, file in read.exports:
            self._export(program, file)
        for words in read.conda:
            rest = self._conda(words, self.folder)
            if rest:
                return await self._step(shlex.join(rest))
        if not read.line:
            return 0
        if (target := _only_cd(text)) is not None:
            place = posixpath.normpath(posixpath.join(self.folder, target))
            if not stage.rootfs.at(place).is_dir():
                self.lines.append(f"cd: {target}: No such file or directory")
                return 1
            self.folder = place
            return 0
        return await self._shell(read, await self._python(read))

    async def _python(self, read: RunAnalysis) -> PythonEnvironment | None:
        """Return the environment for a step that may use it, or that removes files pip has still to read."""
        removes = any(name in read.line for name in ("rm ", "mv ", "unlink "))
        if read.plain and not (removes and self.stage.pip_reads_files()):
            return None
        environment = await self.stage.python()
        for program in sorted(read.programs):
            if not self._has(program, environment):
                raise NotHonoured(self.line.line, self._no_program(program), self.line.text)
        return environment

    def _has(self, program: str, environment: PythonEnvironment) -> bool:
        if "/" in program:
            place = posixpath.join(self.folder, program)
            return self.stage.rootfs.has(place) or (self.stage.sandboxed and os.path.exists(place))
        if Path(environment.bin, program).exists():
            return True
        own = self.stage.running_environment(environment)["PATH"]
        if shutil.which(program, path=own) is not None and not self.stage.sandboxed:
            return shutil.which(program, path=own) != shutil.which(program)
        return shutil.which(program, path=own) is not None

    def _no_program(self, program: str) -> str:
        if self.stage.sandboxed:
            return f"RUN {program}: this machine has no program {program}; install it and build again"
        return f"RUN {program}: not a program that is run without a container or bubblewrap ({self.stage.no_sandbox})"

    def _lock(self, program: str) -> None:
        """Install what poetry, pipenv or uv would install."""
        if found := self._requirements(program):
            self.stage.add_pip(self.line.line, ("install", *found), self.folder, {})

    def _export(self, program: str, file: str) -> None:
        place = self.stage.rootfs.at(posixpath.join(self.folder, file))
        place.write_text("".join(f"{requirement}\n" for requirement in self._requirements(program)), encoding="utf-8")

    def _requirements(self, program: str) -> list[str]:
        found = requirements_of(program, lambda name: self._read(name, self.folder))
        if found is None:
            file = "Pipfile" if program == "pipenv" else "pyproject.toml"
            raise DockerfileError(self.line.line, f"RUN {program}: there is no {file} in {self.folder}")
        self.stage.log(f"  {program}: read as {', '.join(found) or 'nothing to install'}")
        return found

    def _read(self, name: str, folder: str) -> str | None:
        place = self.stage.rootfs.at(posixpath.join(folder, name))
        return place.read_text(encoding="utf-8", errors="replace") if place.is_file() else None

    def _conda(self, words: tuple[str, ...], folder: str) -> tuple[str, ...]:
        """Do what conda's command says, and return the command of `conda run`."""
        stage = self.stage

        call = read_conda(words, lambda name: self._read(name, folder))
        label = f"conda {' '.join(words)}"[:200]
        if call is None:
            raise NotHonoured(self.line.line, f"RUN {label}: not a command of conda that is read", self.line.text)
        if call.rest:
            return call.rest
        if call.file and not call.packages and not call.pip and self._read(call.file, folder) is None:
            raise DockerfileError(self.line.line, f"RUN {label}: there is no {call.file} in {folder}")
        if call.python:
            stage.want_python(call.python, f"line {self.line.line}, conda")
        by_conda = find_conda() if stage.overrides.build.conda else None
        if by_conda is not None:
            gpu = bool(machine_capabilities())
            stage.conda += CondaPackages(conda_specs(call.specs, gpu), call.channels)
            left = () if gpu else tuple(package for package in call.packages if name_of(package) in FAMILY)
            call = replace(call, packages=left, debian=(), left_out=())
            stage.log(f"  {label}: {Path(by_conda).name} installs it, before pip's packages")
        stage.packages += call.debian
        place = posixpath.dirname(posixpath.join(folder, call.file)) if call.file else folder
        for packages in (call.packages, call.pip):
            if packages:
                stage.add_pip(self.line.line, ("install", *packages), place, {})
        if by_conda is not None and call.specs:
            return ()
        if call.packages or call.pip or call.python or call.left_out:
            python = f"Python {call.python}; " if call.python else ""
            left = f"; left out: {', '.join(call.left_out)}" if call.left_out else ""
            names = ", ".join((*call.packages, *call.pip, *call.debian)) or "nothing of PyPI"
            stage.log(f"  {label}: read as {python}{names}{left}")
        else:
            stage.leave_out(label, "the build has an environment of its own")
        return ()

    async def _shell(self, read: RunAnalysis, python: PythonEnvironment | None) -> int:
        stage = self.stage
        self.count += 1
        values = {
            **stage.arguments,
            **stage.environment,
        }  # no secret: as in Docker, a new one alone builds nothing anew
        parts = [stage.key, self.count, read.line, self.folder, stage.shell, python.key if python else "",
                sorted(values.items()), stage.sandboxed, sorted(stage.weights.items())]  # fmt: skip
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
        layers, root = LayerCache(stage.settings.cache / "layers"), stage.rootfs.root
        if await asyncio.to_thread(layers.restore, key, root):
            stage.log("  as in an earlier build: nothing it depends on has changed")
            self._take_over_results(read)
            return 0
        stage.mounts.put(self.line, stage.workdir, lambda name: stage.stage_of(self.line, name).rootfs)
        environment = {**inherited(os.environ, "PIP_"), **stage.arguments, **stage.running_environment(python)}
        environment |= {ROOT: str(root), ASKS: f"{root}/{NOTES}", **stage.hub(environment)}
        environment |= hub_tokens(stage.settings.secrets, declared_arguments(stage.dockerfile))
        environment |= stage.mounts.variables(self.line)
        self.environment = environment
        environment["GIT_CONFIG_GLOBAL"] = f"{root}/root/.gitconfig"  # never the user's own
        if python is None and not stage.sandboxed:
            environment["HOME"] = f"{root}/root"  # what tools write or remove below ~ is never the user's own
        script = "".join(f"{export}; " for export in self.exports) + read.line
        if self.several:
            inside = "/" if stage.sandboxed else f"${ROOT}/"
            print_folder = "pwd" if stage.sandboxed else f'here=$(pwd); echo "${{here#"${ROOT}"}}"'
            script = f"trap '{{ {print_folder}; }} > \"{inside}{FOLDER}\"' EXIT; {script}"
        command: tuple[str, ...] = (*stage.shell, script)
        place = stage.rootfs.at(self.folder)
        place.mkdir(parents=True, exist_ok=True)
        if stage.sandboxed:
            command, environment = self._sandboxed(command, environment, read, python)
        caches = [cache for cache in library_caches(environment) if not cache.is_relative_to(root)]
        before = await asyncio.to_thread(snapshot, root)
        entries_before = _entries(caches)
        status = await run(
            command, log=self._log_line, cwd=Path("/") if stage.sandboxed else place, environment=environment
        )
        stage.mounts.take_away()
        if status == 0:
            outside = sorted(_entries(caches) - entries_before)
            after = await asyncio.to_thread(snapshot, root)
            await asyncio.to_thread(layers.keep, key, root, before, after, outside)
        self._take_over_results(read)
        return status

    def _sandboxed(
        self, command: tuple[str, ...], environment: dict[str, str], read: RunAnalysis, python: PythonEnvironment | None
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        stage = self.stage
        programs = write_shims(stage.settings.cache / "shims")
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        visible = [str(programs), *stage.mounts.origins]
        policy = stage.settings.isolation_policy
        if python is not None and not python.key.startswith("adopted"):
            visible.append(str(Path(python.bin).parent))  # `python -m spacy download` puts its models there
        elif python is not None and policy is not None:
            policy = dataclasses.replace(policy, user_paths=policy.user_paths | {str(python.bin)})
        sandboxed = sandbox_command(
            command, root=str(stage.rootfs.root), workdir=self.folder, environment=environment, visible=visible,
            writable=read.writes, policy=policy,
        )  # fmt: skip
        return sandboxed.command, sandboxed.environment

    def _take_over_results(self, read: RunAnalysis) -> None:
        """Take over the shell's last folder, its exports, and what scripts asked of pip and apt."""
        stage = self.stage
        file = stage.rootfs.root / FOLDER
        if file.is_file():
            ended = file.read_text(encoding="utf-8").strip()
            self.folder = ended or "/"
        self.exports += _exports(read.line)
        for folder, words in read_notes(stage.rootfs.root):
            folder = folder.removeprefix(str(stage.rootfs.root)) or "/"
            text = shlex.join(words)
            noted = analyse_run(self.line.line, text, self._known, sandboxed=True, beginning=self.line.text)
            stage.log(f"  a script asks for: {text[:200]}")
            stage.packages += noted.packages
            for call in noted.pip:
                stage.add_pip(self.line.line, call, folder, {})
            for call in noted.conda:
                self._conda(call, folder)

    def _log_line(self, line: str) -> None:
        self.lines.append(line)
        self.stage.log(line)

    def _failure(self, status: int, lacking: Sequence[str]) -> str:
        lines, text = list(self.lines), f"{self.line.text[:160]} ended with status {status}"
        if (why := explain_fetch_failure(lines, environment=self.environment)) is not None:
            return f"{self.line.text[:160]} failed. {why}"
        if reason := decisive_line(lines):
            text += f": {reason.rstrip('.')}"
        for name in re.findall(r"[\w./-]+\.sh\b", self.line.text):
            if (why := explain_windows_line_ends(self.stage.rootfs.at(posixpath.join(self.folder, name)))) is not None:
                text += f". {why}"
        if not self.stage.sandboxed and "No such file or directory: '/" in reason:
            text += f". Absolute paths lead into the build where bubblewrap works: {self.stage.no_sandbox}"
        if lacking:
            command = f"sudo apt-get install {' '.join(lacking)}"
            text += f". This machine lacks some of the Dockerfile's Debian packages: {command}"
        return text


def _entries(folders: Sequence[Path]) -> set[str]:
    return {str(folder / name) for folder in folders if folder.is_dir() for name in os.listdir(folder)}


def _only_cd(text: str) -> str | None:
    """Return the folder of a line that is only `cd FOLDER`."""
    try:
        found: list[ShellCommand] = parse_commands(text)
    except ShellError:
        return None
    if len(found) != 1 or found[0].name != "cd" or found[0].files or len(found[0].words) != 2:
        return None
    target = found[0].words[1].literal
    return None if target in (None, "-") or (target or "").startswith("~") else target


def _exports(line: str) -> list[str]:
    """Return the commands of a line that set variables or options for later ones."""
    try:
        found = parse_commands(line)
    except ShellError:
        return []
    lasting = [command for command in found if not command.words or command.name in ("export", "set", "umask")]
    return [line[command.start : command.end] for command in lasting if not command.files]
