"""The Python environment of a build: one that is there and has all it asks for, or one made and kept for the next.

A made environment is keyed by what pip was told, so builds with the same requirements share it. It goes when a month
has passed and the folder of every build that used it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import re
import shutil
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bananastand

from .commands import output, run
from .errors import BuildError
from .requirements import PipCall, installed, unmet
from .settings import BuildSettings

__all__ = ["Environment", "environment_for"]

# What `bananastand serve` imports, if a Potassium app is all there is.
HOST = ("potassium", "uvicorn", "httptools", "uvloop", "prometheus-client", "typer", "rich")
MADE = ".bananastand"  # in a made environment, once it is whole: the folders of the builds that use it
KEPT = 30 * 86400  # seconds that one without any is kept


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter, and the folder of its programs."""

    python: str
    bin: str
    key: str


async def environment_for(
    calls: Sequence[PipCall],
    *,
    settings: BuildSettings,
    environment: Mapping[str, str],
    user: Path,
    log: Callable[[str], None],
) -> Environment:
    """The environment in which all that pip was told holds, kept as long as the folder `user`. Raises BuildError."""
    for python in settings.adopt:
        there = await installed(python)
        reason = "there is no such interpreter" if there is None else unmet(there, calls)
        if there is not None and reason is None and python != sys.executable and settings.install_host:
            reason = None if "bananastand" in there.packages else "bananastand is not there"
        if reason is None:
            log(f"environment: {Path(python).parent.parent} has all that is required, and is used as it is")
            return Environment(python, str(Path(python).parent), f"adopted {python}")
        log(f"environment: not {Path(python).parent.parent}: {reason}")
    told = [platform.python_version(), sys.platform, platform.machine(), settings.install_host]
    digests = [await asyncio.to_thread(call.digest) for call in calls]
    key = hashlib.sha256(json.dumps([*told, *digests]).encode()).hexdigest()[:24]
    folder = settings.cache / "environments" / key
    async with _alone(folder.with_suffix(".lock")):
        if (folder / MADE).exists():
            log(f"environment: {key} is there already, made by an earlier build")
        else:
            log(f"environment: making {key}")
            await _make(folder, calls, settings, environment, log)
        _note(folder / MADE, user)
        python = folder / "bin" / "python"
        if settings.install_host:
            await _lend_ourselves(python, settings)
    await asyncio.to_thread(_forget_unused, settings.cache / "environments")
    return Environment(str(python), str(folder / "bin"), key)


async def _make(
    folder: Path,
    calls: Sequence[PipCall],
    settings: BuildSettings,
    environment: Mapping[str, str],
    log: Callable[[str], None],
) -> None:
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    # Our own pip serves it: putting one into each takes seconds.
    without = ["--without-pip"] if importlib.util.find_spec("pip") else []
    if await run([sys.executable, "-m", "venv", *without, str(folder)], log=log):
        raise BuildError("a virtual environment could not be made; is Python's venv module installed?")
    python = str(folder / "bin" / "python")
    if settings.install_host:
        await _lend_ourselves(Path(python), settings)
    for call in calls:
        own = {**environment, **call.environment, "VIRTUAL_ENV": str(folder), "PYTHONUNBUFFERED": "1"}
        own.pop("PYTHONPATH", None)  # what it leads to would look installed
        await _pip(python, call.words, own, call.cwd, log)
    if settings.install_host:
        await _install_host(python, environment, folder, log)
    (folder / MADE).touch()


def _note(made: Path, user: Path) -> None:
    users = [each for each in made.read_text(encoding="utf-8").splitlines() if Path(each).exists()]
    made.write_text("".join(f"{each}\n" for each in dict.fromkeys([*users, str(user)])), encoding="utf-8")


def _forget_unused(environments: Path) -> None:
    for made in environments.glob(f"*/{MADE}"):
        with made.parent.with_suffix(".lock").open("w") as lock, contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            users = made.read_text(encoding="utf-8").splitlines()
            if made.stat().st_mtime < time.time() - KEPT and not any(Path(each).exists() for each in users):
                made.unlink()  # what is left of it, should the rest not go, is no environment
                shutil.rmtree(made.parent, ignore_errors=True)


async def _pip(
    python: str, words: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Callable[[str], None]
) -> None:
    said = list[str]()

    def both(line: str) -> None:
        said.append(line)
        log(line)

    # --user would install outside of the environment.
    rest = [word for word in words if word != "--user"]
    if "uninstall" in rest and not {"-y", "--yes"} & set(rest):
        rest.append("--yes")
    pip = (
        [sys.executable, "-m", "pip", "--python", python] if importlib.util.find_spec("pip") else [python, "-m", "pip"]
    )
    if await run([*pip, "--no-input", *rest], log=both, cwd=cwd, environment=environment):
        errors = [line for line in said if line.startswith("ERROR:")] or said[-1:] or ["pip said nothing"]
        raise BuildError(f"pip {' '.join(rest)[:120]} failed: {errors[-1].removeprefix('ERROR:').strip()}")


async def _install_host(python: str, environment: Mapping[str, str], folder: Path, log: Callable[[str], None]) -> None:
    """What the host needs and the app did not ask for; what the app has, stays as it is."""
    there = await installed(python)
    if there is None:
        raise BuildError(f"{python} does not start")
    missing = [name for name in HOST if name not in there.packages]
    if not missing:
        return
    frozen = folder / "frozen.txt"
    lines = (f"{name}=={version}\n" for name, (version, _) in there.packages.items() if name != "bananastand")
    frozen.write_text("".join(lines), encoding="utf-8")
    ranges = _ranges()
    log(f"environment: adding what `bananastand serve` needs: {', '.join(missing)}")
    words = ["install", "--constraint", str(frozen), *[ranges.get(name, name) for name in missing]]
    own = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    try:
        await _pip(python, words, own, folder, log)
    except BuildError as error:
        raise BuildError(
            f"the app's own pins leave no room for `bananastand serve` ({error}); "
            'set the project\'s host to "potassium" to run it without'
        ) from None


def _ranges() -> dict[str, str]:
    """Our own requirement for each package of HOST, where we are installed ourselves."""
    try:
        lines = importlib.metadata.requires("bananastand") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    plain = (line.partition(";")[0].strip() for line in lines)
    return {(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]).lower().replace("_", "-"): line for line in plain}


async def _lend_ourselves(python: Path, settings: BuildSettings) -> None:
    """The running bananastand, copied aside once for each of its states, on the environment's path.

    Copied, so that a replica that runs keeps its own while this one changes; without the models, which apps bring.
    """
    place = await asyncio.to_thread(_copy_of_ourselves, settings.cache / "host")
    _, site = await output([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    note = Path(site) / "bananastand-host.pth"
    if not note.is_file() or note.read_text(encoding="utf-8") != f"{place}\n":
        new = note.with_suffix(".new")
        new.write_text(f"{place}\n", encoding="utf-8")
        new.replace(note)


def _copy_of_ourselves(folder: Path) -> Path:
    package = Path(bananastand.__file__).parent
    files = [each for each in sorted(package.rglob("*.py")) if "_models" not in each.parts]
    sha = hashlib.sha256()
    for each in files:
        sha.update(each.relative_to(package).as_posix().encode() + b"\0" + each.read_bytes())
    place = folder / sha.hexdigest()[:24]
    if not place.exists():
        fresh = place.with_name(f"{place.name}.{uuid.uuid4().hex}")
        for each in files:
            target = fresh / "bananastand" / each.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(each, target)
        about = fresh / f"bananastand-{bananastand.__version__}.dist-info"
        about.mkdir()
        lines = ["Metadata-Version: 2.1", "Name: bananastand", f"Version: {bananastand.__version__}"]
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            lines += [f"Requires-Dist: {line}" for line in importlib.metadata.requires("bananastand") or []]
            lines += [f"Provides-Extra: {each}" for each in ("serve", "mocks", "dev")]
        (about / "METADATA").write_text("\n".join([*lines, ""]), encoding="utf-8")
        (about / "INSTALLER").write_text("bananastand\n", encoding="utf-8")
        (about / "RECORD").touch()
        try:
            fresh.rename(place)
        except OSError:  # another build was quicker
            shutil.rmtree(fresh, ignore_errors=True)
    return place


@contextlib.asynccontextmanager
async def _alone(lock: Path) -> AsyncGenerator[None]:
    """One build at a time, also where several processes share the cache. Waiting can be cancelled."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield
