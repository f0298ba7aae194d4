"""Reads the corpus: its manifest, and each repository as a checkout with a last commit on its date."""

from __future__ import annotations

import base64
import io
import math
import os
import shutil
import struct
import subprocess
import tomllib
import wave
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["CORPUS", "CorpusCall", "CorpusRepository", "check_out", "materialize", "read_manifest"]

CORPUS = Path(__file__).resolve().parents[2] / "tests" / "corpus"


@dataclass(frozen=True)
class CorpusCall:
    """A request and the expected response, as the head of tests/corpus/manifest.toml describes."""

    inputs: Any = None
    route: str = "/"
    method: str = "POST"
    status: int = 200
    send: dict[str, str] = field(default_factory=dict)
    json: Any = None
    has: dict[str, Any] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    image: dict[str, Any] | None = None
    text: str | None = None
    octets: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: int = 0
    webhook: Any = None
    then: dict[str, Any] | None = None


@dataclass(frozen=True)
class CorpusRepository:
    """An entry of the manifest."""

    name: str
    kind: str
    generation: str
    as_of: str
    sdk: str
    calls: tuple[CorpusCall, ...]
    background: CorpusCall | None = None
    python: str | None = None
    health: str | None = None
    port: int = 8000
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    successors: dict[str, str] = field(default_factory=dict)
    slow: bool = False

    @property
    def folder(self) -> Path:
        return CORPUS / self.name


def read_manifest() -> list[CorpusRepository]:
    """Return all repositories, in the manifest's order."""
    read = tomllib.loads((CORPUS / "manifest.toml").read_text())["repository"]
    return [_repository(dict(entry)) for entry in read]


def _repository(entry: dict[str, Any]) -> CorpusRepository:
    calls = tuple(CorpusCall(**call) for call in entry.pop("call"))
    background = entry.pop("background", None)
    for name in ("features", "needs", "weights"):
        entry[name] = tuple(entry.get(name, ()))
    entry["as_of"] = str(entry["as_of"])
    return CorpusRepository(calls=calls, background=CorpusCall(**background) if background else None, **entry)


def check_out(repository: CorpusRepository, folder: Path) -> Path:
    """Check the repository out below `folder`, with one commit on its date.

    Successors of weights are written into bananastand.toml: that is the one thing a repository's user adds.
    """
    place = folder / repository.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(repository.folder, place, ignore=shutil.ignore_patterns("__pycache__"))
    date = f"{repository.as_of}T12:00:00+00:00"
    environment = {**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": os.devnull}
    identity = ["-c", "user.name=corpus", "-c", "user.email=corpus@localhost", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "The last commit"]):
        subprocess.run(["git", *identity, *command], cwd=place, env=environment, check=True, capture_output=True)
    if repository.successors:
        pairs = "".join(f'"{old}" = "{new}"\n' for old, new in repository.successors.items())
        (place / "bananastand.toml").write_text(f"[build.weights]\n{pairs}")
    return place


def materialize(value: Any) -> Any:
    """Return inputs with pictures and sounds: "png:70x40:10,20,30" and "wav:0.5" become base64."""
    if isinstance(value, dict):
        return {key: materialize(item) for key, item in value.items()}
    if isinstance(value, str) and value.startswith("png:"):
        _, size, colour = value.split(":")
        width, height = map(int, size.split("x"))
        return base64.b64encode(_png(width, height, bytes(map(int, colour.split(","))))).decode()
    if isinstance(value, str) and value.startswith("wav:"):
        return base64.b64encode(_wav(float(value.partition(":")[2]))).decode()
    return value


def _png(width: int, height: int, colour: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + colour * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _wav(seconds: float, rate: int = 16000) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        count = int(rate * seconds)
        sound.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(at * 0.1))) for at in range(count)))
    return written.getvalue()
