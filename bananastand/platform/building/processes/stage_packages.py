"""Python packages that COPY --from takes from an earlier stage: virtual environments and site-packages.

Packages are in the build's environment and in no folder of a stage, so the pip calls are taken over instead of files.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stage import StageBuild

__all__ = ["copy_packages"]

# Where an image's Python keeps packages and their programs.
INSTALLED = re.compile(
    r"/(usr/local(/(bin|lib(64)?)(/.*)?)?|usr/lib/python3(/.*)?|usr/bin/.+|opt/conda(/.*)?|(root|home/[^/]+)/\.local(/.*)?)"
)
VENV = re.compile(r"(.*/)?\.?(venv|env|virtualenv)(/.*)?")  # of poetry and uv too, which make it by themselves


def copy_packages(stage: StageBuild, other: StageBuild, sources: Sequence[str], target: str) -> list[str]:
    """Take over the packages that a COPY --from would bring.

    Args:
        stage: The one that copies.
        other: The one that it copies from.
        sources: The paths or patterns of the line.
        target: Where they go.

    Returns:
        The sources that are files of the other stage, for a copy.
    """
    left = list[str]()
    for source in sources:
        path = posixpath.normpath(posixpath.join("/", source))
        if not _holds_packages(path, other):
            left.append(source)
            continue
        own = {name: value for name, value in other.environment.items() if name.startswith(("PIP_", "UV_"))}
        calls = [dataclasses.replace(call, environment={**own, **call.environment}) for call in other.pip]
        stage.pip += [call for call in calls if call not in stage.pip]
        stage.packages += [package for package in other.packages if package not in stage.packages]
        stage.pip_words.editable += [
            folder for folder in other.pip_words.editable if folder not in stage.pip_words.editable
        ]
        place = posixpath.normpath(posixpath.join(stage.workdir, target))
        stage.pip_words.places.append(place)
        if _is_venv(path, other):
            stage.made_environments.append(place)
        if any(other.rootfs.root.glob(path.lstrip("/"))) and other.rootfs.has(path):
            left.append(source)
    return left


def _holds_packages(path: str, other: StageBuild) -> bool:
    if not other.pip:
        return False
    return _is_venv(path, other) or other.pip_words.is_place(path, "/") or INSTALLED.fullmatch(path) is not None


def _is_venv(path: str, other: StageBuild) -> bool:
    environments = [posixpath.normpath(posixpath.join("/", folder)) for folder in other.made_environments]
    if any(path == folder or path.startswith(f"{folder}/") for folder in environments):
        return True
    return VENV.fullmatch(path) is not None and not other.rootfs.has(path)
