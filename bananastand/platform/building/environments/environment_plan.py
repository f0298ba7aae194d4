"""Plans the environment of a repository: its Python, the date of its requirements, and the base image's packages.

`read_intent` reads files; `complete_plan` asks the index and looks for an interpreter.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ..errors import BuildError
from ..settings import BuildSettings
from .as_of import AsOf, resolve_as_of
from .base_images import BaseImage, base_image, newest_python, newest_torch
from .gpu_support import cuda_of, machine_capabilities, unsupported
from .installer import PipConfig
from .package_index import DEFAULT_INDEX, PackageIndex, pythons_of, without_local
from .pythons import (
    OLDEST,
    Interpreter,
    PythonChoice,
    available_interpreters,
    find_interpreter,
    install_python,
    no_interpreter,
    python_of_lines,
    python_of_source,
)
from .requirements import PipCall
from .torch_builds import FAMILY, TorchBuilds, imports, torch_builds, uses_torch

__all__ = ["EnvironmentIntent", "EnvironmentPlan", "complete_plan", "index_of", "no_torch", "read_intent"]

YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class EnvironmentIntent:
    """What the repository says.

    Attributes:
        python: None where nothing names one.
        as_of: The date that open requirements resolve as of.
        base: The base image.
        packages: Of the base image, as far as they are used and not replaced.
        requirements: All that pip is to install, as lines.
        constraints: Lines of constraint files.
        uses_torch: Whether torch may be needed.
    """

    python: PythonChoice | None
    as_of: AsOf
    base: BaseImage | None
    packages: tuple[str, ...]
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    uses_torch: bool

    @property
    def pinned(self) -> set[str]:
        """The packages that requirements or constraints pin to one version."""
        exact = [requirement for requirement in _parse([*self.packages, *self.requirements, *self.constraints])
                 if any(pin.operator in ("==", "===") for pin in requirement.specifier)]  # fmt: skip
        return {str(canonicalize_name(requirement.name)) for requirement in exact}


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """What is made; overrides and excludes are options of uv that change what requirements ask for."""

    intent: EnvironmentIntent
    choice: PythonChoice
    interpreter: Interpreter
    packages: tuple[str, ...]
    torch: TorchBuilds
    overrides: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


def read_intent(
    calls: Sequence[PipCall],
    *,
    settings: BuildSettings,
    base: str | None = None,
    instructions: Sequence[tuple[int, str]] = (),
    source: Path | None = None,
    wanted_python: tuple[str, str] | None = None,
) -> EnvironmentIntent:
    """Read what a repository says of its environment.

    Args:
        calls: The pip calls of the Dockerfile.
        settings: Of the build; what they name comes before all that the repository says.
        base: The image of FROM.
        instructions: Line and text of the Dockerfile's instructions.
        source: The folder of the repository.
        wanted_python: A version and who names it, where the caller knows one.

    Raises:
        BuildError: `settings.as_of` is no date.
    """
    as_of = resolve_as_of(settings.as_of, settings.committed, source)
    image = base_image(base, None if as_of.is_recent else as_of.day) if base else None
    lines = tuple(line for call in calls for line in call.read()[0])
    bounds = tuple(line for call in calls for line in call.read()[1])
    torch = uses_torch(lines, source) or any("torch" in pin for pin in settings.pins)
    named = [*lines, *settings.pins]
    packages = _packages_of(image, named, torch, source) if image else ()
    python = _python(settings, instructions, image, source)
    if wanted_python is not None and not settings.python:
        version, reason = wanted_python
        python = PythonChoice(version, reason, exact=True, fixed=reason.startswith("bananastand.toml"))
    return EnvironmentIntent(python, as_of, image, packages, lines, bounds, torch)


async def complete_plan(
    intent: EnvironmentIntent,
    *,
    settings: BuildSettings,
    config: PipConfig,
    uv: str | None,
    log: Callable[[str], None],
    own_python: bool = False,
) -> EnvironmentPlan:
    """Find the interpreter and the builds of torch. `own_python`: conda brings the interpreter. Raises BuildError."""
    choice = intent.python or await _by_pins(intent, config, log)
    image = intent.base
    if image is not None and not image.known:
        log(f"environment: nothing is known of the base image {image.name}; {choice.reason} decides the Python")
    capabilities = machine_capabilities()
    _warn_of_gpu(intent, settings, capabilities, log)
    torch = TorchBuilds("any")
    if intent.uses_torch:
        cuda = image.cuda if image and any(package.startswith("torch==") for package in intent.packages) else None
        torch = await torch_builds(
            settings.torch_index, settings.torch_wheels, config.folders, bool(capabilities), config.certificates, cuda
        )
    if torch.kind == "wheels" and choice.minor not in torch.pythons and not choice.fixed:
        near = min(torch.pythons, key=lambda minor: abs(minor - (choice.minor or sys.version_info[1])))
        log(
            f"environment: Python 3.{near} in the place of {choice.version} ({choice.reason}): the CPU builds of torch "
            f"that this machine has are for it alone ({torch.why})"
        )
        choice = PythonChoice(f"3.{near}", "the CPU build of torch on this machine", exact=True)
    folder = settings.cache / "pythons"
    if own_python:
        interpreter = Interpreter("", choice.version or "3")
    else:
        interpreter = await _interpreter(choice, intent, uv, folder, config, log)
    log(f"environment: Python {interpreter.version}: {choice.reason}")
    plan = EnvironmentPlan(intent, choice, interpreter, intent.packages, torch)
    if torch.is_mirror:
        return dataclasses.replace(plan, overrides=await asyncio.to_thread(_from_mirror, plan, settings, config))
    return _with_torch(plan, settings, log)


def index_of(config: PipConfig, timeout: float = 15.0) -> PackageIndex:
    """Return the indexes and folders that pip is configured with."""
    indexes = () if config.no_index else (config.index or DEFAULT_INDEX, *config.extra)
    return PackageIndex(indexes, config.folders, config.certificates, timeout)


def _python(
    settings: BuildSettings, instructions: Sequence[tuple[int, str]], image: BaseImage | None, source: Path | None
) -> PythonChoice | None:
    if settings.python:
        return PythonChoice(settings.python, "bananastand.toml says so", exact=True, fixed=True)
    if (stated := python_of_lines(instructions)) is not None:
        return stated
    if image is not None and image.python:
        return PythonChoice(image.python, f"the base image {image.name} has it", image.exact)
    return python_of_source(source, sys.version_info[1]) if source is not None else None


def _packages_of(image: BaseImage, lines: Sequence[str], torch: bool, source: Path | None) -> tuple[str, ...]:
    """Return the image's packages that the app may use and no requirement replaces."""
    replaced, named = (
        set[str](),
        {str(canonicalize_name(requirement.name)): requirement for requirement in _parse(lines)},
    )
    packages = {str(canonicalize_name(requirement.name)): requirement for requirement in _parse(image.packages)}
    for name, has in packages.items():
        requested = named.get(name)
        version = next(iter(has.specifier)).version if has.specifier else None
        other = requested is not None and (
            requested.url or (version and not requested.specifier.contains(version, prereleases=True))
        )
        unused = not torch if name in FAMILY else source is not None and not imports(source, name)
        if other or (unused and requested is None):
            replaced |= set(FAMILY) if name in FAMILY else {name}
    return tuple(str(requirement) for name, requirement in packages.items() if name not in replaced)


def _parse(lines: Sequence[str]) -> list[Requirement]:
    found = list[Requirement]()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.append(requirement)
    return found


async def _by_pins(intent: EnvironmentIntent, config: PipConfig, log: Callable[[str], None]) -> PythonChoice:
    """Choose a Python that exact pins have wheels for: the machine's, or that of the date, where it is among them."""
    machine, likely = sys.version_info[1], None
    if not intent.as_of.is_recent and intent.as_of.day is not None:
        likely = newest_python(intent.as_of.day - YEAR)
    minor = min(machine, int(likely.split(".")[1])) if likely else machine
    reason = f"as was usual on {intent.as_of.day}" if likely else "the Python of this machine"
    allowed = await asyncio.to_thread(_pythons_of_pins, intent, index_of(config))
    if not allowed:
        return PythonChoice(f"3.{max(minor, OLDEST)}", reason)
    counted = {
        candidate: sum(candidate in minors for minors in allowed.values()) for candidate in range(OLDEST, machine + 3)
    }
    most = max(counted.values())
    fitting = [candidate for candidate, count in counted.items() if count == most]
    chosen = (
        minor
        if minor in fitting
        else max((candidate for candidate in fitting if candidate <= minor), default=min(fitting))
    )
    outside = sorted(name for name, minors in allowed.items() if chosen not in minors)
    if outside:
        log(f"environment: no Python has wheels for all pins; 3.{chosen} has none for {', '.join(outside)}")
    if chosen == minor:
        return PythonChoice(f"3.{chosen}", reason)
    forcing = sorted(name for name, minors in allowed.items() if minor not in minors and chosen in minors)
    return PythonChoice(f"3.{chosen}", f"{', '.join(forcing)} has no wheel for 3.{minor}")


def _pythons_of_pins(intent: EnvironmentIntent, index: PackageIndex) -> dict[str, set[int]]:
    """Return the minors of Python that each exact pin has wheels for, or sources where it has no wheel."""
    found = dict[str, set[int]]()
    for requirement in _parse(intent.requirements):
        pins = [pin for pin in requirement.specifier if pin.operator == "==" and not pin.version.endswith("*")]
        if not pins or requirement.url:
            continue
        public = pins[0].version.partition("+")[0]
        wheels, sources = pythons_of(file for file in index.files(requirement.name) if file.version.public == public)
        if wheels or sources:
            found[f"{requirement.name} {pins[0].version}"] = wheels or sources
    return found


async def _interpreter(
    choice: PythonChoice,
    intent: EnvironmentIntent,
    uv: str | None,
    folder: Path,
    config: PipConfig,
    log: Callable[[str], None],
) -> Interpreter:
    """Return the chosen interpreter, from this machine or by uv, else the nearest one that the pins allow."""
    assert choice.version is not None
    minor = choice.minor or 0
    if minor >= OLDEST:
        if found := await find_interpreter(choice.version, folder):
            return found
        if uv is not None and (found := await install_python(uv, choice.version, folder, log)):
            return found
    here = await available_interpreters(folder)
    if choice.fixed:
        raise no_interpreter(choice, here)
    allowed = await asyncio.to_thread(_pythons_of_pins, intent, index_of(config))
    fitting = [interpreter for interpreter in here if all(interpreter.minor in minors for minors in allowed.values())]
    if not fitting:
        raise no_interpreter(choice, here)
    nearest = min(fitting, key=lambda interpreter: (abs(interpreter.minor - minor), interpreter.minor))
    why = "replicas run on 3.7 or newer" if minor < OLDEST else "this machine has none of it"
    log(f"environment: Python {nearest.version} in the place of {choice.version} ({choice.reason}): {why}")
    return nearest


def _warn_of_gpu(
    intent: EnvironmentIntent, settings: BuildSettings, capabilities: Sequence[str], log: Callable[[str], None]
) -> None:
    """Warn early that the pinned torch cannot drive this machine's GPU."""
    lines = [*intent.packages, *intent.requirements, *settings.pins]
    pinned = [
        (pin.version, str(requirement) in intent.packages)
        for requirement in _parse(lines) if canonicalize_name(requirement.name) == "torch"
        for pin in requirement.specifier if pin.operator == "==" and not pin.version.endswith("*")
    ]  # fmt: skip
    if pinned:
        version, of_base = pinned[-1]
        cuda = intent.base.cuda if of_base and intent.base else None
        if reason := unsupported(version, cuda_of(version, cuda), capabilities):
            log(f"warning: {reason}")


def _with_torch(plan: EnvironmentPlan, settings: BuildSettings, log: Callable[[str], None]) -> EnvironmentPlan:
    """Apply the builds of torch to the plan. Raises BuildError where torch is required and unavailable."""
    family = [requirement for requirement in _parse([*plan.packages, *plan.intent.requirements, *settings.pins])
              if canonicalize_name(requirement.name) in FAMILY]  # fmt: skip
    if plan.torch.kind == "cpu":
        local = [requirement for requirement in family if any("+cu" in pin.version for pin in requirement.specifier)]
        overrides = tuple(
            f"{requirement.name}=={next(iter(requirement.specifier)).version.partition('+')[0]}"
            for requirement in local
        )
        if local:
            log(f"environment: this machine has no GPU: {', '.join(map(str, local))} as builds for the CPU")
        return dataclasses.replace(plan, overrides=overrides)
    if plan.torch.kind not in ("wheels", "none"):
        return plan
    wheels = plan.torch.of_python(plan.interpreter.minor)
    if "torch" not in wheels:
        if family:
            raise no_torch(str(family[0]), plan)
        return dataclasses.replace(plan, torch=dataclasses.replace(plan.torch, kind="none"))
    changes = list[str]()
    for name in FAMILY:
        if requested := [str(requirement) for requirement in family if canonicalize_name(requirement.name) == name]:
            has = f"{wheels[name].version} ({wheels[name].name})" if name in wheels else "left out"
            changes.append(
                f"{name} {has} in the place of {', '.join(requested)}" if name in wheels else f"{name} {has}"
            )
    if changes:
        log(f"environment: this machine has no GPU, and {plan.torch.why}: {'; '.join(changes)}")
    packages = [package for package in plan.packages if package.partition("=")[0] not in FAMILY]
    replaced = [
        name
        for name in FAMILY
        if name in wheels and any(package.partition("=")[0] == name for package in plan.packages)
    ]
    return dataclasses.replace(
        plan,
        packages=(*replaced, *packages),
        overrides=tuple(f"{name} @ {wheel.url}" for name, wheel in wheels.items()),
        excludes=tuple(name for name in FAMILY if name not in wheels),
    )


def _from_mirror(plan: EnvironmentPlan, settings: BuildSettings, config: PipConfig) -> tuple[str, ...]:
    """Return the newest CPU builds that requirements and date allow, as overrides."""
    lines = _parse([*plan.packages, *plan.intent.requirements, *settings.pins])
    index, day, overrides = PackageIndex((plan.torch.index,), (), config.certificates), plan.intent.as_of, list[str]()
    newest = newest_torch(day.day) if day.cutoff else None
    for name in FAMILY:
        bounds = [requirement.specifier for requirement in lines if canonicalize_name(requirement.name) == name]
        fitting = [
            file.version
            for file in index.files(name)
            if file.version.local == "cpu" and plan.interpreter.minor in file.pythons
            and all(bound.contains(file.version.public, prereleases=True) for bound in map(without_local, bounds))
            and not (newest and name == "torch" and file.version > Version(f"{newest}+zzz"))
        ]  # fmt: skip
        if fitting:
            overrides.append(f"{name}=={max(fitting)}")
    return tuple(overrides)


def no_torch(requirement: str, plan: EnvironmentPlan) -> BuildError:
    """Return the error for torch being required where only CUDA builds can be reached."""
    return BuildError(
        f"{requirement} is asked for, this machine has no GPU, and no CPU build of torch for Python "
        f"3.{plan.interpreter.minor} can be reached ({plan.torch.why}); CUDA's build, of gigabytes, is not taken. Let "
        "this machine reach that index, or name another in stand.toml ([torch] index), or wheels on disk ([torch] "
        "wheels)"
    )
