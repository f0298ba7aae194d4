"""Finds a container engine that works: each installed one is tried once with a tiny image."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import platform
import re
import shutil
import struct
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...environment import inherited
from ...replicas.start_command import ENGINE_PREFIXES as VARIABLES
from ..commands import output, run

__all__ = ["CONTAINERS", "ENGINES", "ContainerEngine", "EngineSearch", "find_engine"]

CONTAINERS = ("docker", "podman")  # they isolate what they run; buildah does where it is set up so
ENGINES = ("docker", "podman", "buildah")
CHROOT = "chroot"  # the isolation of buildah's that needs no container runtime
TRUSTED = 86400.0  # seconds for which a trial that went well holds
PATIENCE = 120.0  # seconds for the steps of a trial
DOCKERFILE = 'FROM scratch\nCOPY works /works\nRUN ["/works"]\nCMD ["/works"]\n'
# exit(0), and no more, as each processor's machine code
PROGRAMS = {
    "x86_64": (62, bytes.fromhex("31ff b83c000000 0f05")),
    "aarch64": (183, bytes.fromhex("a80b80d2 000080d2 010000d4")),
}
OWN = re.compile(r"exit status \d|at STEP|failed to solve")  # what engines say of a step beside its reason
OTHER_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class ContainerEngine:
    """An engine that works.

    Attributes:
        name: The program.
        isolation: buildah's --isolation, where its default fails; else None.
        host_network: Whether RUN lines may use the machine's network.
    """

    name: str
    isolation: str | None = None
    host_network: bool = True

    @property
    def options(self) -> tuple[str, ...]:
        """Options of its `build` and `run`."""
        return ("--isolation", self.isolation) if self.isolation else ()


@dataclass(frozen=True, slots=True)
class EngineSearch:
    """The first engine that works, or None, and the problems of installed engines that come before it."""

    engine: ContainerEngine | None
    problems: dict[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return "; ".join(f"{name} is installed, but {problem}" for name, problem in self.problems.items())


async def find_engine(names: Sequence[str], notes: Path) -> EngineSearch:
    """Return the first engine that builds and runs a container here.

    Args:
        names: Programs, the preferred one first.
        notes: A folder where it is noted that one works; a note holds for a day, so that builds need not wait for it.
    """
    problems = dict[str, str]()
    for name in names:
        if shutil.which(name) is None:
            continue
        status, info = await output([name, "info"], seconds=20)  # asks docker's engine too, not its client alone
        if status:
            problems[name] = "it does not answer: `" + name + " info` says why"
            continue
        engine, problem = await _check_engine(name, info, notes)
        if engine is not None:
            return EngineSearch(engine, problems)
        problems[name] = problem
    return EngineSearch(None, problems)


async def _check_engine(name: str, info: str, notes: Path) -> tuple[ContainerEngine | None, str]:
    note = notes / f"{name}.json"
    try:
        if time.time() - note.stat().st_mtime < TRUSTED:
            return ContainerEngine(**json.loads(note.read_text(encoding="utf-8"))), ""
    except (OSError, ValueError, TypeError):
        pass
    engine, problem = await _try_engine(name, info)
    if engine is not None:
        notes.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(dataclasses.asdict(engine)), encoding="utf-8")
    return engine, problem


async def _try_engine(name: str, info: str) -> tuple[ContainerEngine | None, str]:
    """Build and run the tiny program; return the engine, or None and the last line of what failed."""
    program = _program(await _machine(name))
    if program is None:
        return ContainerEngine(name), ""  # no program for it is known here: what `info` says has to do
    with tempfile.TemporaryDirectory(prefix="bananastand-engine-") as place:
        folder = Path(place)
        (folder / "works").write_bytes(program)
        (folder / "works").chmod(0o755)
        (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        first = await _problem(ContainerEngine(name), folder)
        if first is None:
            return ContainerEngine(name), ""
        other = ContainerEngine(name, CHROOT) if name == "buildah" else ContainerEngine(name, host_network=False)
        return (other, "") if await _problem(other, folder) is None else (None, first)


async def _problem(engine: ContainerEngine, folder: Path) -> str | None:
    """Return what this engine cannot do, or None."""
    tag = f"localhost/bananastand/works:{folder.name.rpartition('-')[2].lower()}"
    form = () if engine.name == "docker" else ("--format", "docker")
    network = ("--network", "host") if engine.host_network else ()
    build = (engine.name, "build", *engine.options, *form, *network, "--no-cache", "--tag", tag, str(folder))
    start = (engine.name, "run", "--rm", "--init", "--publish", "127.0.0.1::8000", tag)
    try:
        for command, what in ((build, "it cannot build an image"), (start, "it cannot run a container")):
            if command is start and engine.name == "buildah":
                continue  # a RUN line is run as a replica is
            lines = list[str]()
            async with asyncio.timeout(PATIENCE):
                status = await run(
                    command, log=lines.append, environment={**inherited(os.environ, *VARIABLES), "DOCKER_BUILDKIT": "1"}
                )
            if status:
                return f"{what}: {_reason(lines, status)}"
        return None
    except TimeoutError:
        return f"it did not build and run an image of one small file within {PATIENCE:.0f} s"
    finally:
        verb = ("rmi", "--force") if engine.name == "buildah" else ("image", "rm", "--force")
        await output([engine.name, *verb, tag], seconds=20)


async def _machine(engine: str) -> str:
    """Return the processor of the engine's containers, which may differ from this machine's."""
    template = {"docker": "{{.Architecture}}", "podman": "{{.Host.Arch}}"}.get(engine)
    status, text = await output([engine, "info", "--format", template], seconds=20) if template else (1, "")
    name = text.strip().lower() if status == 0 and text.strip() else platform.machine().lower()
    return OTHER_NAMES.get(name, name)


def _program(machine: str) -> bytes | None:
    """Return a Linux program of about 130 bytes that ends with status 0; None for an unknown processor."""
    if machine not in PROGRAMS:
        return None
    number, code = PROGRAMS[machine]
    start, base, size = 64 + 56, 0x400000, 64 + 56 + len(code)
    head = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, number, 1, base + start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return head + segment + code


def _reason(lines: Sequence[str], status: int) -> str:
    """Return the last error line that is about the cause, and not the engine's summary of the step."""
    errors = [line for line in lines if "rror" in line and "level=error" not in line]
    causes = [line for line in errors if not OWN.search(line)] or errors or [f"it ended with status {status}"]
    return causes[-1].strip()[:300]
