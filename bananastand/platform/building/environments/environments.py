"""The Python environment of a build: an existing one that has all it needs, or one made and kept for the next build.

A made environment is keyed by what it holds, so builds with the same requirements share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...store.private_files import make_private
from ..commands import output, run
from ..errors import BuildError
from ..settings import BuildSettings
from .conda_environment import CondaPackages, find_conda, make_conda_environment
from .environment_cache import MADE, disk_full, exclusive, forget_unused, note_user, require_space
from .environment_plan import EnvironmentPlan, complete_plan, index_of, no_torch, read_intent
from .existing_environment import installed_packages, why_unsuitable
from .installer import Installer, InstallerFailed, PipConfig, find_uv, pip_config
from .installer_failures import FailureContext, explain_failure, is_disk_full
from .pythons import Interpreter
from .requirements import PipCall
from .torch_options import forbidden_torch, options_for, without_cuda

__all__ = ["PythonEnvironment", "prepare_environment"]

ByConda = tuple[str, CondaPackages]  # the program, and what it installs


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """An interpreter, the folder of its programs, and the key of its contents."""

    python: str
    bin: str
    key: str


async def prepare_environment(
    calls: Sequence[PipCall],
    *,
    settings: BuildSettings,
    environment: Mapping[str, str],
    user: Path,
    log: Callable[[str], None],
    base: str | None = None,
    instructions: Sequence[tuple[int, str]] = (),
    source: Path | None = None,
    wanted_python: tuple[str, str] | None = None,
    conda: CondaPackages | None = None,
) -> PythonEnvironment:
    """Return the environment with everything that the pip calls install, kept as long as the folder `user`.

    Args:
        calls: The pip calls, in order.
        settings: Of the build.
        environment: Variables for the installer.
        user: The folder of the build that uses it.
        log: Takes a line.
        base: The image of FROM, whose Python and packages the repository counts on.
        instructions: Line and text of the Dockerfile's instructions, which may name a Python.
        source: The folder of the repository.
        wanted_python: A version and who names it, where the caller knows one; it comes before what lines name.
        conda: What conda is to install, where it makes the environment.

    Raises:
        BuildError: It cannot be made; the text says why and what to do.
    """
    if settings.requirements and source is not None:
        words = [word for file in settings.requirements for word in ("-r", file)]
        calls = [PipCall(("install", *words), source, str(source))]
    intent = read_intent(
        calls, settings=settings, base=base, instructions=instructions, source=source, wanted_python=wanted_python
    )
    program = find_conda() if conda is not None and conda.specs else None
    for python in settings.adopt if program is None else ():
        candidate = await installed_packages(python)
        reason = (
            "there is no such interpreter"
            if candidate is None
            else why_unsuitable(candidate, calls, intent, settings, source)
        )
        if reason is None:
            log(f"environment: {Path(python).parent.parent} has all that is required, and is used as it is")
            return PythonEnvironment(python, str(Path(python).parent), f"adopted {python}")
        log(f"environment: not {Path(python).parent.parent}: {reason}")
    uv, config = find_uv(), await pip_config(environment)
    own_python = program is not None
    plan = await complete_plan(intent, settings=settings, config=config, uv=uv, log=log, own_python=own_python)
    if intent.requirements:
        undated = "" if uv or intent.as_of.cutoff is None else "; uv is not there, and pip takes today's all the same"
        log(f"environment: {intent.as_of}{undated}")
    by_conda = (program, conda) if program is not None and conda is not None else None
    folder = settings.cache / "environments" / await _key(plan, calls, settings, uv, by_conda)
    async with exclusive(folder.with_suffix(".lock")):
        if (folder / MADE).exists():
            log(f"environment: {folder.name} is there already, made by an earlier build")
        else:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            tools = f"{Path(program).name} and " if program else ""
            log(f"environment: making {folder.name} with {tools}{'uv' if uv else 'pip'}")
            await _make_environment(folder, calls, plan, settings, environment, config, uv, log, by_conda)
        note_user(folder, user)
    await asyncio.to_thread(forget_unused, settings.cache / "environments")
    return PythonEnvironment(str(folder / "bin" / "python"), str(folder / "bin"), folder.name)


async def _key(
    plan: EnvironmentPlan, calls: Sequence[PipCall], settings: BuildSettings, uv: str | None, conda: ByConda | None
) -> str:
    """Return the same key for inputs that make the same environment."""
    day = plan.intent.as_of.cutoff
    parts = [
        2, uv is not None, plan.interpreter.version, sys.platform, platform.machine(), plan.packages, settings.pins,
        day.isoformat() if day else None, plan.torch.kind, plan.torch.backend, plan.overrides, plan.excludes,
    ]  # fmt: skip
    if conda is not None:
        parts += [Path(conda[0]).name, conda[1].specs, conda[1].channels]
    digests = [await asyncio.to_thread(call.digest) for call in calls]
    return hashlib.sha256(json.dumps([*parts, *digests]).encode()).hexdigest()[:24]


async def _make_environment(
    folder: Path,
    calls: Sequence[PipCall],
    plan: EnvironmentPlan,
    settings: BuildSettings,
    environment: Mapping[str, str],
    config: PipConfig,
    uv: str | None,
    log: Callable[[str], None],
    conda: ByConda | None,
) -> None:
    """Make the environment in its folder; a failure leaves no folder."""
    require_space(settings.cache)
    making = _EnvironmentMaker(folder, calls, plan, settings, environment, config, uv, log, conda)
    try:
        await making.make()
        (folder / MADE).touch()
        own = "UV_CACHE_DIR" not in os.environ  # else its files are linked from a cache that is the user's
        for path in (folder, settings.cache / "packages"):
            await asyncio.to_thread(make_private, path, shared=own)
    except OSError as error:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if is_disk_full([str(error)]):
            raise disk_full(settings.cache) from None
        raise
    except BaseException:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
        raise


@dataclass(slots=True)
class _EnvironmentMaker:
    """One environment being made."""

    folder: Path
    calls: Sequence[PipCall]
    plan: EnvironmentPlan
    settings: BuildSettings
    environment: Mapping[str, str]
    config: PipConfig
    uv: str | None
    log: Callable[[str], None]
    conda: ByConda | None = None
    dated: bool = True  # until the index turns out to tell no upload times

    async def make(self) -> None:
        """Run all steps. Raises BuildError."""
        await self._venv()
        environment = {**self.environment, "VIRTUAL_ENV": str(self.folder), "PYTHONUNBUFFERED": "1"}
        root = self.settings.cache
        if self.plan.packages:
            self.log(f"environment: as in the base image: {', '.join(self.plan.packages)}")
            call = PipCall(("install", *self.plan.packages), root, environment=environment)
            await self._install(call, of_base=True)
        for call in self.calls:
            await self._install(dataclasses.replace(call, environment={**environment, **call.environment}))

    async def _by_conda(self, program: str, packages: CondaPackages) -> None:
        version = await make_conda_environment(
            program, self.folder, packages, self.plan.interpreter.version, cache=self.settings.cache, log=self.log
        )
        interpreter = Interpreter(str(self.folder / "bin" / "python"), version)
        self.plan = dataclasses.replace(self.plan, interpreter=interpreter)

    async def _venv(self) -> None:
        python = self.plan.interpreter
        if self.conda is not None:
            await self._by_conda(*self.conda)
            return
        if self.uv:
            command = [self.uv, "venv", "--quiet", "--no-config", "--python", python.path, str(self.folder)]
        else:
            without = ["--without-pip"] if self._lends_pip else []
            command = [python.path, "-m", "venv", *without, str(self.folder)]
        lines = list[str]()
        if await run(command, log=lines.append):
            if is_disk_full(lines):
                raise disk_full(self.settings.cache)
            raise BuildError(
                f"no environment can be made with {python.path}: {lines[-1] if lines else 'it says no reason'}"
            )
        image = self.plan.intent.base
        if image is not None and image.python and python.minor < 12:
            await self._setuptools()

    @property
    def _lends_pip(self) -> bool:
        own = (3, self.plan.interpreter.minor) == sys.version_info[:2]
        return own and importlib.util.find_spec("pip") is not None

    async def _setuptools(self) -> None:
        """Install Python's bundled setuptools, whose pkg_resources old packages import, as old images have it."""
        look = (
            "import ensurepip, pathlib; print(*pathlib.Path(ensurepip.__file__).parent.glob('_bundled/setuptools-*'))"
        )
        _, found = await output([self.plan.interpreter.path, "-I", "-c", look])
        wheel = found.split("\n")[-1].strip()
        if self.uv and wheel.endswith(".whl"):
            call = PipCall(("install", "--no-index", "--no-deps", wheel), self.settings.cache)
            await self._run(call, ("--offline",))

    async def _install(self, call: PipCall, of_base: bool = False) -> None:
        action = next((word for word in call.words if not word.startswith("-")), "install")
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bananastand-"))
            more = self._options(call, Path(folder), of_base) if action == "install" else []
            try:
                if self.plan.torch.kind != "any":
                    call = stack.enter_context(without_cuda(call))
                if action == "install" and (self.plan.torch.kind == "none" or self.plan.torch.is_mirror):
                    dry = dataclasses.replace(call, words=(*call.words, "--dry-run"))
                    if named := forbidden_torch(await self._run(dry, more, quiet=True)):
                        raise no_torch(named, self.plan)
                await self._run(call, more)
            except InstallerFailed as error:
                await self._handle_failure(error, call)

    def _options(self, call: PipCall, folder: Path, of_base: bool) -> list[str]:
        day = self.plan.intent.as_of.cutoff if self.dated else None
        if call.is_hashed:  # a hash in a file asks for hashes of all, as with pip
            return ["--require-hashes"] if self.uv and "--require-hashes" not in call.words else []
        return options_for(self.plan, self.settings, folder, day, of_base) if self.uv else []

    async def _run(self, call: PipCall, more: Sequence[str], quiet: bool = False) -> list[str]:
        log, unheard = self.log, list[str]()
        if quiet:
            log = unheard.append
        python, cache = str(self.folder / "bin" / "python"), self.settings.cache / "packages"
        installer = Installer(self.uv, python, cache, log, self._lends_pip, self.settings.isolation_policy)
        return await installer.run(
            call.words, cwd=call.cwd, environment=call.environment, more=more, hashed=call.is_hashed
        )

    async def _handle_failure(self, error: InstallerFailed, call: PipCall) -> None:
        """Retry without a date where the index has no upload times, else raise the explained failure."""
        text = "\n".join(error.lines)
        if is_disk_full(error.lines):
            raise disk_full(self.settings.cache) from None
        if self.dated and "is missing an upload date" in text and "exclude-newer" in text:
            self.dated = False
            self.log("environment: the index tells no upload times: open requirements resolve as of today")
            await self._install(call)
            return
        day = self.plan.intent.as_of.day if self.dated and self.plan.intent.as_of.cutoff else None
        context = FailureContext(
            self.calls, "uv" if self.uv else "pip", self.plan.interpreter.minor, self.plan.choice.reason,
            day.isoformat() if day else None, index_of(self.config, 5.0).files,
        )  # fmt: skip
        raise BuildError(await asyncio.to_thread(explain_failure, error.lines, context)) from None
