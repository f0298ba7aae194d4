"""The file of a recording: a YAML document whose list of interactions grows at its end.

version: 1
services: {falai: https://api.lowcodeapi.com/falai}
interactions:
- provider: falai
  request: {method: GET, path: /v1/models, query: {limit: '2'}, headers: {...}, body: {json: ...}}
  response: {status: 200, headers: {...}, body: {json: ...}}
  recorded_at: '2026-01-31T12:00:00Z'

A recorded entry ends in `recorded_at`, so an entry that a crash has cut off is known by the lack of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from ..plain_yaml import PlainLoader
from .bodies import Body, content_of, pack
from .cassette_file import CassetteFile, InUse
from .scrubber import Scrubber

__all__ = ["Cassette", "CassetteError", "Interaction", "read_cassette"]

log = logging.getLogger("bananastand_mocks")

HEADER = "# Recorded by bananastand mocks. Keys, cookies and the like are replaced by [redacted].\n"
_TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
_BODY: dict[str, Any] = {
    "type": ["object", "null"],
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "json": {},
        "text": {"type": "string"},
        "base64": {"type": "string"},
        "events": {"type": "array", "items": {"type": "string"}},
    },
}
_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["method", "path"],
    "properties": {
        "method": {"type": "string"},
        "path": {"type": "string", "pattern": "^/"},
        "query": {"type": "object", "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}}},
        "headers": _TEXTS,
        "body": _BODY,
    },
}
_RESPONSE: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "integer", "minimum": 100, "maximum": 599},
        "headers": _TEXTS,
        "body": _BODY,
    },
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["version", "interactions"],
    "properties": {
        "version": {"const": 1},
        "services": _TEXTS,
        "interactions": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["provider", "request", "response"],
                "properties": {"provider": {"type": "string"}, "request": _REQUEST, "response": _RESPONSE},
            },
        },
    },
}


class CassetteError(ValueError):
    """The file is no cassette, or cannot be written; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request and its response, without secrets.

    Attributes:
        cassette: The name of the cassette's file.
        number: Its place in the cassette, from 1.
        provider: The provider's name.
        method: The HTTP method.
        path: The path below the provider's base URL.
        query: The query parameters; a name that came twice has a list.
        content_type: The type of the request's body.
        body: The request's body.
        status: The status of the response.
        headers: Its headers, their names in lower case.
        answer: Its body.
    """

    cassette: str
    number: int
    provider: str
    method: str
    path: str
    query: Mapping[str, Any]
    content_type: str
    body: Body
    status: int
    headers: Mapping[str, str]
    answer: Body

    def __str__(self) -> str:
        return f"entry {self.number} of {self.cassette}, {self.method} {self.path}"


class Cassette:
    """A cassette that is written as its interactions come, readable by its owner alone.

    Args:
        path: The file.
        services: The base URLs that are recorded, by provider.
        scrubber: Its secrets.
        append: Whether to add to a file that exists.

    Raises:
        CassetteError: The file exists and nothing is to be added to it, or it cannot be written.
    """

    def __init__(self, path: Path, services: Mapping[str, str], scrubber: Scrubber, *, append: bool = False) -> None:
        self.path, self.scrubber = path, scrubber
        self._secrets = scrubber.count
        for address in services.values():
            scrubber.learn_value(address)
        services = {name: scrubber.text(address) for name, address in services.items()}
        self._head = HEADER + _yaml({"version": 1, "services": services}) + "interactions:\n"
        self._entries: list[str] = []
        self._is_whole = True  # whether the file has all entries
        is_new = not append or not path.exists()
        try:
            self._file = CassetteFile(path, is_new=is_new)
            if not is_new:
                document = _load(path)
                self._head = HEADER + _yaml({"version": 1, "services": {**document.get("services", {}), **services}})
                self._head += "interactions:\n"
                self._entries = [_yaml([entry]) for entry in document["interactions"] or ()]
            self._file.rewrite(self._head + "".join(self._entries))
        except FileExistsError:
            raise CassetteError(f"{path} exists: delete it, name another file, or replay it too to add to it") from None
        except InUse as error:
            raise CassetteError(f"{error}: end that recording, or name another file") from None
        except OSError as error:
            raise CassetteError(f"{path} cannot be written: {error.strerror}") from None

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write an interaction and the time.

        If its secrets occur in earlier ones, these are written anew. If it cannot be written, the next call writes it.

        Raises:
            OSError: The disk is full, or another reason.
        """
        entry = {**entry, "recorded_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}  # must be the last field
        text = _yaml([_scrubbed(entry, self.scrubber)])  # its request too: the answer may have shown a secret of it
        if self.scrubber.count != self._secrets:
            self._secrets = self.scrubber.count
            if any(self.scrubber.occurs_in(earlier) for earlier in self._entries):
                entries = [yaml.load(earlier, PlainLoader)[0] for earlier in self._entries]
                self._entries = [_yaml([_scrubbed(earlier, self.scrubber)]) for earlier in entries]
                self._is_whole = False
        self._entries.append(text)
        if self._is_whole:
            try:
                self._file.append(text)
            except FileNotFoundError:
                self._is_whole = False
            except OSError:
                self._is_whole = False
                raise
        if not self._is_whole:
            self._file.rewrite(self._head + "".join(self._entries))
            self._is_whole = True


def read_cassette(path: Path) -> list[Interaction]:
    """Read a cassette.

    Raises:
        CassetteError: It cannot be read, or is none; the text names the line or the place.
    """
    return list(_interactions(path, _load(path)["interactions"] or ()))


def _interactions(path: Path, entries: Sequence[Any]) -> Iterator[Interaction]:
    for number, entry in enumerate(entries, 1):
        request, response = entry["request"], entry["response"]
        for body in (request.get("body"), response.get("body")):
            try:
                content_of(body)
            except ValueError as error:
                raise CassetteError(f"{path}: entry {number}: {error}") from None
        headers = {name.lower(): value for name, value in request.get("headers", {}).items()}
        yield Interaction(
            path.name,
            number,
            entry["provider"],
            request["method"],
            request["path"],
            request.get("query", {}),
            headers.get("content-type", ""),
            request.get("body"),
            response["status"],
            {name.lower(): value for name, value in response.get("headers", {}).items()},
            response.get("body"),
        )


def _load(path: Path) -> Any:
    """Read a cassette, without an entry at its end that a crash has cut off."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CassetteError(f"{path} cannot be read: {error.strerror}") from None
    is_ours, entry = content.startswith(HEADER.encode()), (content + b" ").rfind(b"\n- ")
    try:
        document = _parse(path, content)
        if not is_ours or not document["interactions"] or document["interactions"][-1].get("recorded_at"):
            return document
    except CassetteError:
        if not is_ours or entry < 0:
            raise
    document = _parse(path, content[: entry + 1])
    log.warning("the last entry of %s is cut off and left out", path)
    return document


def _parse(path: Path, content: bytes) -> Any:
    try:
        document = yaml.load(content.decode("utf-8"), PlainLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CassetteError(f"{path} is no YAML: {error}") from None
    error = next(jsonschema_rs.Draft202012Validator(_SCHEMA).iter_errors(document), None)
    if error is not None:
        place = ".".join(map(str, error.instance_path)) or "the file"
        raise CassetteError(f"{path} is no cassette: {place}: {error.message[:300]}")
    return document


def _scrubbed(entry: Mapping[str, Any], scrubber: Scrubber) -> dict[str, Any]:
    return {**entry, **{part: _hidden(entry[part], scrubber) for part in ("request", "response")}}


def _hidden(value: Any, scrubber: Scrubber) -> Any:
    if isinstance(value, dict):
        if "base64" in value:
            return pack(scrubber.content(content_of(value), ""), "")
        return {scrubber.text(key): _hidden(item, scrubber) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, scrubber) for item in value]
    return scrubber.text(value) if isinstance(value, str) else value


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and repeats what occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> Any:
    # A block that ends in empty lines would end the document.
    is_block = "\n" in text and not text.endswith("\n\n") and all(line == line.rstrip() for line in text.split("\n"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if is_block else None)


_Dumper.add_representer(str, _text)
