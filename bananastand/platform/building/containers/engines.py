"""Which container engine works here: one that is installed is tried once, with an image of one tiny program.

Knows the engines' commands; builds nothing of a user's.
"""

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

__all__ = ["CONTAINERS", "ENGINES", "Engine", "Found", "find_engine"]

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
class Engine:
    """An engine that works.

    isolation: buildah's --isolation, where its default does not work; else None. host_network: whether RUN lines may
    be on this machine's network.
    """

    name: str
    isolation: str | None = None
    host_network: bool = True

    @property
    def options(self) -> tuple[str, ...]:
        """Of its `build` and `run`."""
        return ("--isolation", self.isolation) if self.isolation else ()


@dataclass(frozen=True, slots=True)
class Found:
    """The first engine that works, or None; and why those that are installed and come before it do not."""

    engine: Engine | None
    problems: dict[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return "; ".join(f"{name} is installed, but {problem}" for name, problem in self.problems.items())


async def find_engine(names: Sequence[str], notes: Path) -> Found:
    """The first of the engines that builds and runs a container here.

    Args:
        names: Programs, the preferred one first.
        notes: A folder where it is noted that one works; a note holds for a day, so that builds need not wait for it.
    """
    problems = dict[str, str]()
    for name in names:
        if shutil.which(name) is None:
            continue
        status, said = await output([name, "info"], seconds=20)  # asks docker's engine too, not its client alone
        if status:
            problems[name] = "it does not answer: `" + name + " info` says why"
            continue
        engine, problem = await _noted(name, said, notes)
        if engine is not None:
            return Found(engine, problems)
        problems[name] = problem
    return Found(None, problems)


async def _noted(name: str, info: str, notes: Path) -> tuple[Engine | None, str]:
    note = notes / f"{name}.json"
    try:
        if time.time() - note.stat().st_mtime < TRUSTED:
            return Engine(**json.loads(note.read_text(encoding="utf-8"))), ""
    except (OSError, ValueError, TypeError):
        pass
    engine, problem = await _tried(name, info)
    if engine is not None:
        notes.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(dataclasses.asdict(engine)), encoding="utf-8")
    return engine, problem


async def _tried(name: str, info: str) -> tuple[Engine | None, str]:
    """Build and run the tiny program; the last line of what failed."""
    program = _program(await _machine(name))
    if program is None:
        return Engine(name), ""  # no program for it is known here: what `info` says has to do
    with tempfile.TemporaryDirectory(prefix="bananastand-engine-") as place:
        folder = Path(place)
        (folder / "works").write_bytes(program)
        (folder / "works").chmod(0o755)
        (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        first = await _problem(Engine(name), folder)
        if first is None:
            return Engine(name), ""
        other = Engine(name, CHROOT) if name == "buildah" else Engine(name, host_network=False)
        return (other, "") if await _problem(other, folder) is None else (None, first)


async def _problem(engine: Engine, folder: Path) -> str | None:
    """What this engine cannot do, or None."""
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
    """The processor that the engine's containers run on, which need not be this machine's."""
    asked = {"docker": "{{.Architecture}}", "podman": "{{.Host.Arch}}"}.get(engine)
    status, said = await output([engine, "info", "--format", asked], seconds=20) if asked else (1, "")
    name = said.strip().lower() if status == 0 and said.strip() else platform.machine().lower()
    return OTHER_NAMES.get(name, name)


def _program(machine: str) -> bytes | None:
    """A program of Linux that ends with status 0, in some 130 bytes; None for an unknown processor."""
    if machine not in PROGRAMS:
        return None
    number, code = PROGRAMS[machine]
    start, base, size = 64 + 56, 0x400000, 64 + 56 + len(code)
    head = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, number, 1, base + start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return head + segment + code


def _reason(lines: Sequence[str], status: int) -> str:
    """The line that says why: the last error that is not the engine's own word for the step."""
    errors = [line for line in lines if "rror" in line and "level=error" not in line]
    said = [line for line in errors if not OWN.search(line)] or errors or [f"it ended with status {status}"]
    return said[-1].strip()[:300]
