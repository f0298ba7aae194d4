"""Makes an environment with micromamba, mamba or conda, where this machine has one.

Packages of PyPI are installed into it afterwards, as into any other environment.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...environment import inherited
from ..commands import output, run
from ..errors import BuildError
from ..log import LineRecorder
from .conda import LEFT_OUT
from .installer_failures import is_disk_full

__all__ = ["CondaPackages", "find_conda", "conda_specs", "make_conda_environment"]

PROGRAMS = ("micromamba", "mamba", "conda")  # in the order in which they are taken
# conda's builds for CUDA are gigabytes: without a GPU these come as the CPU builds that pip gets.
TORCH = re.compile(r"(pytorch|pytorch-gpu|pytorch-cpu|torch|torchvision|torchaudio|cpuonly)$")
NAME = re.compile(r"(?:.*::)?\s*([A-Za-z0-9_][\w.-]*)")


@dataclass(frozen=True, slots=True)
class CondaPackages:
    """Specs in conda's notation, such as "pytorch::faiss-cpu=1.7", and channels in their order of preference."""

    specs: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def __add__(self, other: CondaPackages) -> CondaPackages:
        return CondaPackages(_distinct(self.specs + other.specs), _distinct(self.channels + other.channels))


def find_conda() -> str | None:
    """Return the path of micromamba, mamba or conda on PATH, or None."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def conda_specs(specs: tuple[str, ...], gpu: bool) -> tuple[str, ...]:
    """Return the specs for conda: all but Python and, without a GPU, torch and CUDA.

    >>> conda_specs(("python=3.8", "cudatoolkit=11.3", "pytorch::pytorch=1.11", "faiss-cpu"), gpu=False)
    ('faiss-cpu',)
    """
    selected = list[str]()
    for spec in specs:
        found = NAME.match(spec)
        name = found[1].lower() if found else ""
        if name in ("python", "pip", "") or (not gpu and (TORCH.match(name) or _is_cuda(name))):
            continue
        selected.append(spec)
    return tuple(selected)


async def make_conda_environment(
    program: str, folder: Path, packages: CondaPackages, python: str, *, cache: Path, log: Callable[[str], None]
) -> str:
    """Make an environment and return the version of its Python.

    Args:
        program: Of find_conda.
        folder: The environment's prefix, which is not there yet.
        packages: What for_conda left.
        python: The version, such as "3.8".
        cache: For what it fetches.
        log: Takes its lines.

    Raises:
        BuildError: It failed; the text has its reason and the way round it.
    """
    channels = packages.channels or (("conda-forge",) if Path(program).name == "micromamba" else ())
    command = [program, "create", "--yes", "--quiet", "--prefix", str(folder)]
    command += ["--override-channels"] if channels else []
    command += [word for channel in channels for word in ("--channel", channel)]
    command += [f"python={python}", "pip", *packages.specs]
    environment = {**inherited(os.environ, "CONDA_", "MAMBA_"), "CONDA_PKGS_DIRS": str(cache / "conda")}
    environment |= {"CONDA_ALWAYS_YES": "true", "CONDA_QUIET": "true"}
    environment.setdefault("MAMBA_ROOT_PREFIX", str(cache / "conda-root"))
    recorder = LineRecorder(log)
    status = await run(command, log=recorder, environment=environment)
    if status and is_disk_full(recorder.lines):
        raise BuildError(f"no space is left for packages in {cache}: delete projects, or the folder")
    interpreter = folder / "bin" / "python"
    if status or not interpreter.exists():
        lines = [line.strip() for line in recorder.lines if line.strip()]
        reason = next(
            (line for line in lines if re.search(r"error|could not|not found|failed", line, re.IGNORECASE)), ""
        )
        raise BuildError(
            f"{Path(program).name} create ended with status {status}: {reason or (lines or ['it said nothing'])[-1]}; "
            "correct the packages or channels, or have their PyPI counterparts installed: bananastand.toml: [build] "
            "conda = false"
        )
    _, version = await output([str(interpreter), "-I", "-c", "import platform; print(platform.python_version())"])
    return version.strip()


def _is_cuda(name: str) -> bool:
    return LEFT_OUT.fullmatch(name) is not None and re.match(r"cuda|cudnn|nccl|pytorch-", name) is not None


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
