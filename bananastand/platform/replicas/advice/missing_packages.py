"""The packages that bring a missing Python module or shared library, from names.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

__all__ = ["MOVED", "PACKAGES", "POTASSIUM", "library_package", "python_package", "requirement_files", "requires"]

_NAMES = tomllib.loads(Path(__file__).with_name("names.toml").read_text(encoding="utf-8"))
PACKAGES: dict[str, str] = _NAMES["packages"]
MOVED: dict[str, str] = _NAMES["moved"]
LIBRARIES: dict[str, str] = _NAMES["libraries"]
POTASSIUM: dict[str, str] = _NAMES["potassium"]


def python_package(module: str) -> str:
    """Return the package that has a module: `pillow` for `PIL.Image`."""
    top = module.partition(".")[0]
    return PACKAGES.get(module) or PACKAGES.get(top) or top.replace("_", "-")


def library_package(library: str) -> str | None:
    """Return the Debian package of a shared library; None for an unknown one."""
    return LIBRARIES.get(library)


def requirement_files(source: Path) -> list[str]:
    """Return the requirement files of a repository, as paths in it."""
    found = [*source.glob("*requirements*.txt"), *source.glob("*/*requirements*.txt")]
    return sorted(str(path.relative_to(source)) for path in found)


def requires(source: Path, file: str, package: str) -> bool:
    """Whether a requirement file names a package, in any version."""
    name = _plain(re.split(r"[<>=!~\[; ]", package, maxsplit=1)[0])
    text = (source / file).read_text(encoding="utf-8", errors="replace")
    listed = (re.split(r"[<>=!~\[;@ ]", line.strip(), maxsplit=1)[0] for line in text.splitlines())
    return name in {_plain(other) for other in listed}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
