"""Reads package indexes (simple API, JSON or HTML) and folders of wheels: files, their Pythons and upload times."""

from __future__ import annotations

import base64
import json
import re
import ssl
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urljoin, urlsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

__all__ = [
    "DEFAULT_INDEX",
    "PackageFile",
    "PackageIndex",
    "pythons_of",
    "format_minors",
    "version_of_file",
    "without_local",
]

DEFAULT_INDEX = "https://pypi.org/simple"
JSON = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
LARGEST = 64 * 2**20  # bytes of an answer
MINORS = range(6, 20)  # of Python 3 that are considered


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a package.

    Attributes:
        name: Of the file.
        version: Of the package.
        tags: Of a wheel; empty for a source distribution.
        requires_python: A specifier.
        uploaded: None where it is unknown.
        url: Of the file.
        yanked: Whether its publisher withdrew it, so that only an exact pin takes it.
    """

    name: str
    version: Version
    tags: frozenset[tuple[str, str, str]] = frozenset()
    requires_python: str | None = None
    uploaded: datetime | None = None
    url: str = ""
    yanked: bool = False

    @property
    def pythons(self) -> set[int]:
        """The minors of Python 3 that can install it on Linux."""
        bound = _specifier(self.requires_python)
        allowed = {minor for minor in MINORS if bound is None or bound.contains(f"3.{minor}.99")}
        if not self.tags:
            return allowed
        return {minor for minor in allowed if any(_fits(tag, minor) for tag in self.tags)}


class PackageIndex:
    """Indexes that are asked in order, and folders of files; answers are cached.

    `failures` holds the addresses that gave no answer, and why.
    """

    def __init__(
        self, indexes: Sequence[str] = (DEFAULT_INDEX,), folders: Sequence[str] = (), certificates: str | None = None,
        timeout: float = 15.0,
    ) -> None:  # fmt: skip
        self._indexes, self._folders, self._timeout, self._certificates = indexes, folders, timeout, certificates
        self._context = ssl.create_default_context(cafile=certificates if certificates else None)
        self._known = dict[str, list[PackageFile]]()
        self.failures = dict[str, str]()

    def with_indexes(self, addresses: Iterable[str]) -> PackageIndex:
        """Return an index that asks these addresses too."""
        indexes = tuple(dict.fromkeys([*self._indexes, *addresses]))
        return PackageIndex(indexes, self._folders, self._certificates, self._timeout)

    def files(self, name: str) -> list[PackageFile]:
        """Return all files of a package that are not yanked. Blocks on the network."""
        return [file for file in self.history(name) if not file.yanked]

    def history(self, name: str) -> list[PackageFile]:
        """Return all files of a package, yanked ones included. Blocks on the network."""
        name = str(canonicalize_name(name))
        if name not in self._known:
            found = [file for index in self._indexes for file in self._of_index(index, name)]
            self._known[name] = found + [file for folder in self._folders for file in _of_folder(folder, name)]
        return self._known[name]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return a package's files as the simple API's JSON has them. Blocks on the network."""
        return [row for index in self._indexes for row in self._rows(index, name)]

    def _of_index(self, index: str, name: str) -> list[PackageFile]:
        return [file for row in self._rows(index, name) if (file := _file(row, name)) is not None]

    def _rows(self, index: str, name: str) -> list[dict[str, Any]]:
        address = f"{index.rstrip('/')}/{name}/"
        try:
            if address.startswith("file:"):
                body, kind = (Path(unquote(urlsplit(address).path)) / "index.html").read_bytes(), "text/html"
            else:
                request = _request(address)
                with urllib.request.urlopen(request, timeout=self._timeout, context=self._context) as answer:
                    body, kind = answer.read(LARGEST), answer.headers.get("Content-Type", "")
            return _json_rows(body, address) if "json" in kind else _html_rows(body.decode("utf-8", "replace"), address)
        except (OSError, ValueError) as error:
            absent = isinstance(error, FileNotFoundError) or getattr(error, "code", None) in (404, 410)
            if not absent:
                self.failures[_bare(address)] = str(getattr(error, "reason", error))
            return []


def pythons_of(files: Iterable[PackageFile], when: datetime | None = None) -> tuple[set[int], set[int]]:
    """Return the minors of Python 3 with a wheel among the files, and those with a source distribution."""
    wheels, sources = set[int](), set[int]()
    for file in files:
        if when is None or file.uploaded is None or file.uploaded <= when:
            (wheels if file.tags else sources).update(file.pythons)
    return wheels, sources


def format_minors(minors: Iterable[int]) -> str:
    """Format minors of Python 3 as ranges.

    >>> format_minors({6, 7, 8, 11})
    '3.6-3.8, 3.11'
    """
    runs = list[list[int]]()
    for minor in sorted(minors):
        if runs and runs[-1][-1] == minor - 1:
            runs[-1].append(minor)
        else:
            runs.append([minor])
    return ", ".join(f"3.{run[0]}" if len(run) == 1 else f"3.{run[0]}-3.{run[-1]}" for run in runs)


def without_local(specifier: SpecifierSet) -> SpecifierSet:
    """Return the specifier without local parts, such as +cu113, which a CPU build does not have."""
    return SpecifierSet(",".join(f"{clause.operator}{clause.version.partition('+')[0]}" for clause in specifier))


def version_of_file(filename: str) -> Version | None:
    """Return the version in the name of a wheel or source distribution, or None for any other name."""
    try:
        parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
        return parse(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def _request(address: str) -> urllib.request.Request:
    """Return a request with the address's user name and password in a header, as urllib needs it."""
    headers, parts = {"Accept": ACCEPT}, urlsplit(address)
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return urllib.request.Request(_bare(address), headers=headers)


def _bare(address: str) -> str:
    """Return the address without user name and password."""
    return re.sub(r"(?<=//)[^/@]*@", "", address, count=1)


def _fits(tag: tuple[str, str, str], minor: int) -> bool:
    interpreter, abi, platform = tag
    if not (platform == "any" or ("linux" in platform and platform.endswith("x86_64"))):
        return False
    if interpreter in ("py3", "py2.py3") or interpreter == f"py3{minor}":
        return True
    if (found := re.fullmatch(r"cp3(\d+)", interpreter)) is None:
        return False
    return int(found[1]) == minor or (abi == "abi3" and int(found[1]) <= minor)


def _specifier(text: str | None) -> SpecifierSet | None:
    try:
        return SpecifierSet(text) if text else None
    except InvalidSpecifier:
        return None


def _json_rows(body: bytes, address: str) -> list[dict[str, Any]]:
    answer: Any = json.loads(body)
    files = cast("list[dict[str, Any]]", answer.get("files", []) if isinstance(answer, dict) else [])
    return [{**row, "url": urljoin(address, str(row.get("url", "")))} for row in files]


def _html_rows(text: str, address: str) -> list[dict[str, Any]]:
    rows = list[dict[str, Any]]()
    for attributes, name in re.findall(r"<a\s([^>]*)>([^<]*)</a>", text, re.IGNORECASE):
        found = dict(re.findall(r"([\w-]+)=[\"']([^\"']*)[\"']", attributes))
        row = {"filename": unescape(name).strip(), "url": urljoin(address, unescape(found.get("href", "")))}
        requires = unescape(found.get("data-requires-python", "")) or None
        rows.append({**row, "requires-python": requires, "yanked": "data-yanked" in attributes})
    return rows


def _file(row: Mapping[str, Any], name: str) -> PackageFile | None:
    filename = str(row.get("filename", ""))
    try:
        if filename.endswith(".whl"):
            found, version, _, tags = parse_wheel_filename(filename)
            named = frozenset((tag.interpreter, tag.abi, tag.platform) for tag in tags)
        else:
            found, version = parse_sdist_filename(filename)
            named = frozenset[tuple[str, str, str]]()
        uploaded = datetime.fromisoformat(str(row["upload-time"])) if row.get("upload-time") else None
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion, ValueError):
        return None
    if str(found) != name:
        return None
    yanked = bool(row.get("yanked"))
    return PackageFile(
        filename, version, named, row.get("requires-python") or None, uploaded, str(row.get("url", "")), yanked
    )


def _of_folder(folder: str, name: str) -> list[PackageFile]:
    path = Path(unquote(urlsplit(folder).path)) if folder.startswith("file:") else Path(folder)
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    rows = ({"filename": file.name, "url": file.resolve().as_uri()} for file in files)
    return [file for row in rows if (file := _file(row, name)) is not None]
