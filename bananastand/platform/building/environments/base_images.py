"""The contents of published base images: their Python, torch and CUDA, from base_images.toml."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

__all__ = ["BaseImage", "base_image", "newest_python", "newest_torch", "packages_of_torch", "table", "version_numbers"]

PREFIX = re.compile(r"^(docker\.io/|index\.docker\.io/)?(library/)?")
VERSION = re.compile(r"v?(\d+(?:\.\d+){0,2})(?=[-_+]|$)")
CUDA = re.compile(r"cu(?:da)?-?(\d{2})\.?(\d)(?:\.\d+)?")
PYTHON_IN_TAG = re.compile(r"(?:^|[-_.])py(?:thon)?-?(3)\.?(\d{1,2})(?=[-_.]|$)")


@dataclass(frozen=True, slots=True)
class BaseImage:
    """The contents of an image.

    Attributes:
        name: As FROM has it.
        python: Such as "3.8"; None where the name does not tell.
        exact: Whether the name promises this Python, as python:3.8 does.
        packages: Requirements that are installed in it.
        cuda: Such as "11.3".
        system: Such as "ubuntu 20.04".
        known: Whether the table has it.
    """

    name: str
    python: str | None = None
    exact: bool = False
    packages: tuple[str, ...] = ()
    cuda: str | None = None
    system: str | None = None
    known: bool = True


def base_image(name: str, when: date | None = None) -> BaseImage:
    """Look an image up by the name that a FROM line has.

    Args:
        name: With or without registry, tag and digest.
        when: The day that `latest`, `python:3` and the like are meant of; None for today.

    >>> base_image("pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime").python
    '3.8'
    """
    repository, tag = _parts(name)
    cuda, stated = CUDA.search(tag), PYTHON_IN_TAG.search(tag)
    image = _looked_up(name, repository, tag, when)
    version = f"{cuda[1]}.{cuda[2]}" if cuda else image.cuda
    python, exact = (f"{stated[1]}.{stated[2]}", True) if stated else (image.python, image.exact)
    return BaseImage(name, python, exact, image.packages, version, image.system, image.known or stated is not None)


def packages_of_torch(version: str) -> tuple[str, ...]:
    """Return the packages of an image with this torch, as requirements.

    >>> packages_of_torch("1.11.0")
    ('torch==1.11.0', 'torchvision==0.12.0')
    """
    row = table()["torch"].get(version, {})
    names = ["torchvision", "torchaudio"] if version_numbers(version) >= (1, 13) else ["torchvision"]
    return (f"torch=={version}", *(f"{name}=={row[name]}" for name in names if name in row))


def newest_torch(when: date | None = None) -> str:
    """Return the newest torch of a day, None meaning today."""
    rows: dict[str, dict[str, Any]] = table()["torch"]
    found = [version for version, row in rows.items() if when is None or row["release"] <= when]
    return max(found or list(rows)[:1], key=version_numbers)


def newest_python(when: date | None) -> str | None:
    """Return the newest Python of a day, as python:3 had it; None for today."""
    if when is None:
        return None
    found = [version for version, first in table()["python"].items() if first <= when]
    return max(found, key=version_numbers, default=None)


@functools.cache
def table() -> Mapping[str, Any]:
    """Return the content of base_images.toml."""
    return tomllib.loads(Path(__file__).with_name("base_images.toml").read_text(encoding="utf-8"))


def _parts(name: str) -> tuple[str, str]:
    """Split a name into repository and tag, without the default registry and a digest."""
    plain = PREFIX.sub("", name.partition("@")[0])
    repository, colon, tag = plain.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (plain, "latest")


def _looked_up(name: str, repository: str, tag: str, when: date | None) -> BaseImage:
    family = table()["family"]
    last = repository.rpartition("/")[2]
    if repository in family:
        return _of_family(name, family[repository], tag, when)
    if last == "pytorch":
        return _of_torch(name, tag, when)
    if last == "python" and "/" not in repository:
        found = re.match(r"(3)\.(\d+)", tag)
        return BaseImage(name, f"3.{found[2]}", exact=True) if found else BaseImage(name, newest_python(when))
    if repository == "nvidia/cuda" or repository.endswith("/nvidia/cuda"):
        return _of_cuda(name, tag)
    if repository in ("ubuntu", "debian"):
        system, python = _system(repository, tag)
        return BaseImage(name, python, system=system, known=system is not None)
    return BaseImage(name, known=False)


def _of_torch(name: str, tag: str, when: date | None) -> BaseImage:
    found = VERSION.match(tag)
    if found is None or "." not in found[1]:  # latest, 2, main-devel
        if when is None:
            return BaseImage(name, packages=("torch", "torchvision"), system="ubuntu")
        version = newest_torch(when)
    else:
        version = found[1] if found[1].count(".") == 2 else f"{found[1]}.0"
    row = table()["torch"].get(version)
    if row is None:  # a release that is younger than the table, or none
        rows: list[str] = sorted(table()["torch"], key=version_numbers)
        newer = version_numbers(version) > version_numbers(rows[-1])
        python = table()["torch"][rows[-1]]["python"] if newer else None
        return BaseImage(name, python, packages=(f"torch=={version}",), known=newer)
    cuda = CUDA.search(tag)
    python = row.get("python_by_cuda", {}).get(f"{cuda[1]}.{cuda[2]}" if cuda else "", row["python"])
    return BaseImage(name, python, packages=packages_of_torch(version), system="ubuntu")


def _of_cuda(name: str, tag: str) -> BaseImage:
    found = re.match(r"(\d+)\.(\d)", tag)
    system, python = _system("ubuntu", tag) if "ubuntu" in tag else _system("centos", tag)
    if system is None:  # tags without one are of Ubuntu 18.04
        system, python = _system("ubuntu", "18.04")
    return BaseImage(name, python, cuda=f"{found[1]}.{found[2]}" if found else None, system=system)


def _system(kind: str, tag: str) -> tuple[str | None, str | None]:
    """Return a distribution and its Python; any part of a tag such as -ubuntu20.04 may name it."""
    words = re.split(r"[-_]", tag)
    rows = cast("dict[str, dict[str, Any]]", table()["system"])
    for system, row in rows.items():
        if system.startswith(kind) and any(word in row["names"] for word in words):
            return system, str(row["python"])
    if tag == "latest":
        newest = [system for system in rows if system.startswith(kind)][-1]
        return newest, str(rows[newest]["python"])
    return None, None


def _of_family(name: str, rows: Mapping[str, Mapping[str, Any]], tag: str, when: date | None) -> BaseImage:
    found = re.match(r"v?(\d+(?:\.\d+){0,2})", tag)
    versions = sorted(rows, key=version_numbers)
    if found:
        fitting = [version for version in versions if version_numbers(version) <= version_numbers(found[1])]
    else:  # latest, as it was on that day
        fitting = [version for version in versions if when is None or rows[version].get("since", when) <= when]
    row = rows[fitting[-1] if fitting else versions[0]]
    packages = list[str](row.get("open", ()))
    if "torch" in row:
        packages += packages_of_torch(row["torch"])
    version = found[1] if found and found[1].count(".") == 2 else None
    packages += [
        f"{library}=={version}" if version else library
        for library in ("tensorflow", "transformers")
        if row.get(library)
    ]
    return BaseImage(name, row["python"], packages=tuple(packages))


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without its local part, for comparisons: (1, 13, 1) of "1.13.1+cu117"."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))
