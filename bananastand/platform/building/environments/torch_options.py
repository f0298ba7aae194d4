"""Options of uv for an environment plan: its date, the builds of torch, and replaced requirements."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import uuid
from collections.abc import Generator, Sequence
from datetime import datetime
from pathlib import Path

from ..settings import BuildSettings
from .base_images import newest_torch
from .environment_plan import EnvironmentPlan
from .pip_arguments import FILES, pip_arguments
from .requirements import PipCall, read_requirements
from .torch_builds import FAMILY, name_of, requires_of

__all__ = ["forbidden_torch", "options_for", "without_cuda"]

INDEXES = ("-f", "--find-links", "-i", "--index-url", "--extra-index-url")
PYTORCH = re.compile(r"\bdownload\.pytorch\.org/")


def options_for(
    plan: EnvironmentPlan, settings: BuildSettings, folder: Path, day: datetime | None, of_base: bool
) -> list[str]:
    """Return options for `uv pip install`; files that they name are written into `folder`.

    Args:
        plan: What is made.
        settings: Of the build.
        folder: Kept until uv has ended.
        day: The last moment that an upload counts; None for no limit.
        of_base: Whether the base image's own packages are installed.
    """
    options, constraints = list[str](), list[str]()
    if day is not None:
        options += ["--exclude-newer", day.isoformat().replace("+00:00", "Z")]
        names = {*_undated(plan), *_pinned(plan, settings)}
        options += [word for name in sorted(names) for word in ("--exclude-newer-package", f"{name}=false")]
        if plan.torch.kind == "wheels":  # code of that day imports pkg_resources
            constraints.append("setuptools<81")
            options += _file(folder, "--build-constraints", ["setuptools<81"])
        if plan.torch.kind == "cpu":  # PyTorch's index tells no upload times
            constraints.append(f"torch<={newest_torch(day.date())}")
    if plan.torch.kind == "cpu":
        options += ["--index", plan.torch.index] if plan.torch.is_mirror else ["--torch-backend", "cpu"]
    elif of_base and plan.torch.backend:
        options += ["--torch-backend", plan.torch.backend]
    options += _file(folder, "--overrides", [*plan.overrides, *settings.pins])
    options += _file(folder, "--excludes", plan.excludes)
    return options + _file(folder, "--constraints", constraints)


def forbidden_torch(lines: Sequence[str]) -> str | None:
    """Return the torch that a dry run would install, if it is not a CPU build."""
    found = re.search(r"^\s*(?:\+ |Would install .*?\b)torch[=-]+(\d\S*)", "\n".join(lines), re.MULTILINE)
    return f"torch {found[1]}" if found and not found[1].endswith("+cpu") else None


@contextlib.contextmanager
def without_cuda(call: PipCall) -> Generator[PipCall]:
    """Yield the call without PyTorch's CUDA indexes, in copies of its requirement files too."""
    words, copies = list[str](), list[Path]()
    try:
        for argument in pip_arguments(call.words):
            if argument.option in INDEXES and PYTORCH.search(argument.value):
                continue
            copy = _copy_without_cuda(call.cwd / argument.value) if argument.option in FILES else None
            if copy is not None:
                copies.append(copy)
            words += argument.words if copy is None else (argument.option, str(copy))
        yield dataclasses.replace(call, words=tuple(words))
    finally:
        for copy in copies:
            copy.unlink(missing_ok=True)


def _copy_without_cuda(path: Path) -> Path | None:
    """Write a copy beside a requirement file that names such an index; lines keep their numbers."""
    text = read_requirements(path) if path.is_file() else ""
    lines = ["" if line.lstrip().startswith(INDEXES) and PYTORCH.search(line) else line for line in text.splitlines()]
    if lines == text.splitlines():
        return None
    copy = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    copy.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return copy


def _undated(plan: EnvironmentPlan) -> set[str]:
    """Return packages without a date limit: torch, whose index has no times, and what wheels on disk require."""
    if plan.torch.kind == "cpu":
        return set(FAMILY)
    if plan.torch.kind != "wheels":
        return set()
    wheels = plan.torch.of_python(plan.interpreter.minor)
    return {name for wheel in wheels.values() for name in requires_of(wheel)} - {*FAMILY, "numpy"}


def _pinned(plan: EnvironmentPlan, settings: BuildSettings) -> set[str]:
    """Return exact pins, which mean their version whatever its upload time."""
    pins = {name for line in settings.pins if "==" in line and (name := name_of(line))}
    return plan.intent.pinned | pins


def _file(folder: Path, option: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    path = folder / f"{option.strip('-')}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [option, str(path)]
