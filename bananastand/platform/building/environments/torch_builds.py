"""Which builds of torch an environment may take: CPU builds alone on a machine without a GPU.

CUDA builds are gigabytes. CPU builds come from PyTorch's own index, or from wheels on disk where it cannot be reached.
"""

from __future__ import annotations

import asyncio
import platform
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, ZipFile

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..sources.ignore import Ignored
from ..sources.sources import files_of
from .package_index import PackageFile, PackageIndex

__all__ = ["CPU_INDEX", "FAMILY", "TorchBuilds", "imports", "name_of", "requires_of", "torch_builds", "uses_torch"]

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
FAMILY = ("torch", "torchvision", "torchaudio")
# What is of use with torch alone, though it does not always require it.
USERS = frozenset(
    {"accelerate", "bitsandbytes", "clip", "clip-interrogator", "compel", "controlnet-aux", "demucs", "detectron2",
     "diffusers", "easyocr", "fairseq", "fastai", "flair", "gfpgan", "k-diffusion", "kornia", "lightning", "lpips",
     "open-clip-torch", "openai-whisper", "optimum", "peft", "pytorch-lightning", "pyannote-audio", "realesrgan",
     "sentence-transformers", "setfit", "speechbrain", "stanza", "timm", "torch", "torchaudio", "torchmetrics",
     "torchvision", "transformers", "tts", "ultralytics", "whisper", "whisperx", "xformers"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TorchBuilds:
    """The builds an environment may take.

    Attributes:
        kind: "any" takes the package index; "cpu" PyTorch's CPU index; "wheels" these files; "none" no torch.
        index: The address for "cpu".
        wheels: The files for "wheels".
        why: Why there is no index of CPU builds.
        backend: PyTorch's index for the base image's CUDA, such as "cu113", where it answers.
    """

    kind: Literal["any", "cpu", "wheels", "none"]
    index: str = CPU_INDEX
    wheels: tuple[PackageFile, ...] = ()
    why: str = ""
    backend: str | None = None

    def of_python(self, minor: int) -> dict[str, PackageFile]:
        """Return the newest wheel of each package for a minor of Python, by the package's name."""
        found = dict[str, PackageFile]()
        for wheel in sorted(self.wheels, key=lambda wheel: wheel.version):
            if minor in wheel.pythons:
                found[wheel.name.partition("-")[0]] = wheel
        return found

    @property
    def is_mirror(self) -> bool:
        """Whether CPU builds come from another index than PyTorch's, which uv does not recognise."""
        return self.kind == "cpu" and self.index.rstrip("/") != CPU_INDEX

    @property
    def pythons(self) -> set[int]:
        """The minors of Python 3 that there is a wheel of torch for."""
        return {minor for wheel in self.wheels if wheel.name.startswith("torch-") for minor in wheel.pythons}


async def torch_builds(
    index: str,
    wheels: Sequence[str],
    folders: Sequence[str],
    gpu: bool,
    certificates: str | None,
    cuda: str | None = None,
) -> TorchBuilds:
    """Choose the builds for this machine.

    Args:
        index: The index of CPU builds.
        wheels: Files, and folders of files, that stand in where the index cannot be reached.
        folders: Where pip looks for files on this machine.
        gpu: Whether the machine has a GPU of NVIDIA's.
        certificates: A file of certificates for the index.
        cuda: The base image's.
    """
    if gpu and cuda and sys.platform == "linux" and index.rstrip("/") == CPU_INDEX:
        backend = f"cu{cuda.replace('.', '')}"
        address = f"{CPU_INDEX.removesuffix('/cpu')}/{backend}/torch/"
        return TorchBuilds(
            "any", backend=None if await asyncio.to_thread(_unreachable, address, certificates) else backend
        )
    if gpu or sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        return TorchBuilds("any")
    if (reason := await asyncio.to_thread(_unreachable, f"{index.rstrip('/')}/torch/", certificates)) is None:
        return TorchBuilds("cpu", index)
    files = PackageIndex((), (*wheels, *folders))
    found = [file for name in FAMILY for file in files.files(name) if file.version.local == "cpu"]
    return TorchBuilds("wheels" if found else "none", index, tuple(found), reason)


def uses_torch(requirements: Iterable[str], source: Path | None) -> bool:
    """Whether the app may need torch: a requirement or a line of the source names it or a package that uses it."""
    for line in requirements:
        name = name_of(line)
        if name is None or name in USERS or "@" in line:  # what comes from an address may need anything
            return True
    return source is None or imports(source, "torch")


def imports(source: Path, package: str) -> bool:
    """Whether a Python file of a folder imports a package."""
    pattern = re.compile(rf"^\s*(?:from\s+{package}\b|import\s+(?:[\w., ]+,\s*)?{package}\b)", re.MULTILINE)
    for name, entry in files_of(source, Ignored()):
        if name.endswith(".py") and entry.is_file(follow_symlinks=False):
            text = Path(entry.path).read_text(encoding="utf-8", errors="replace")
            if package in text and pattern.search(text):
                return True
    return False


def requires_of(wheel: PackageFile) -> list[str]:
    """Return the names of the packages that a wheel on disk requires."""
    try:
        with ZipFile(urllib.request.url2pathname(wheel.url.removeprefix("file://"))) as file:
            name = next(entry for entry in file.namelist() if entry.endswith(".dist-info/METADATA"))
            text = file.read(name).decode("utf-8", "replace")
    except (OSError, BadZipFile, StopIteration):
        return []
    found = (name_of(line) for line in re.findall(r"^Requires-Dist: (.+)$", text, re.MULTILINE) if "extra" not in line)
    return sorted({name for name in found if name})


def name_of(requirement: str) -> str | None:
    """Return the package of a requirement; None for an address, a path, or an invalid requirement."""
    try:
        return str(canonicalize_name(Requirement(requirement).name))
    except InvalidRequirement:
        return None


def _unreachable(address: str, certificates: str | None) -> str | None:
    """Return why an index does not answer, or None. Asks twice, as a first DNS lookup may be lost."""
    if address.startswith("file:"):
        exists = Path(urllib.request.url2pathname(address.removeprefix("file://"))).exists()
        return None if exists else f"{address} is not there"
    context, reason = ssl.create_default_context(cafile=certificates or None), ""
    for _ in range(2):
        try:
            request = urllib.request.Request(address, method="HEAD")
            with urllib.request.urlopen(request, timeout=8.0, context=context):
                return None
        except urllib.error.HTTPError as error:
            reason = f"{address} answers {error.code}"
        except (OSError, ValueError) as error:
            reason = f"{address} cannot be reached: {getattr(error, 'reason', error)}"
    return reason
