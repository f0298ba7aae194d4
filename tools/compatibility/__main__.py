"""Measures which repositories run unchanged, and writes docs/compatibility.md and its numbers."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import platform as machine
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .base_images import ImageMaker, engine_environment, engine_problem
from .corpus import CorpusRepository, read_manifest
from .lifecycle import LifecycleRun, MatrixCell
from .page import score, together, write_page
from .platform_process import PlatformProcess
from .potassium import compare, make_environment
from .potassium_apps import APPS, VERSIONS
from .sdk import SdkCaller

ROOT = Path(__file__).resolve().parents[2]
RESULTS = {
    "process": ROOT / "benchmarks" / "results" / "compatibility.json",
    "podman": ROOT / "benchmarks" / "results" / "compatibility-podman.json",
    "buildah": ROOT / "benchmarks" / "results" / "compatibility-buildah.json",
}
PAGE = ROOT / "docs" / "compatibility.md"
HUB = ROOT / "tests" / "support" / "hub.py"


def main() -> int:
    """Measure, and write page and numbers after each repository."""
    options = _options()
    options.builder = options.builder or [*RESULTS]
    measured = {
        builder: {} if options.fresh and builder in options.builder else _read(path)
        for builder, path in RESULTS.items()
    }
    for result in measured.values():
        result.setdefault("repositories", {})
    if options.potassium:
        measured["process"]["potassium"] = _potassium(options.folder)
    elif not options.page:
        _corpus(options, measured)
    _write(measured)
    green, tried = score(together(measured))
    print(f"{green} of {tried} cells are green; {PAGE.relative_to(ROOT)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.compatibility", description=main.__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="this repository; may be given again")
    parser.add_argument("--builder", choices=[*RESULTS], action="append", help="default: all")
    parser.add_argument("--potassium", action="store_true", help="compare Potassium's versions instead")
    parser.add_argument("--page", action="store_true", help="write the page anew from what was measured before")
    parser.add_argument("--quick", action="store_true", help="without the repositories marked slow")
    parser.add_argument("--resume", action="store_true", help="leave out what is all green already")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results of these builders")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a build")
    parser.add_argument("--folder", type=Path, help="scratch that is kept: environments and models are found again")
    parser.add_argument("--images", type=Path, help="folder of base images; default: images in the scratch")
    options = parser.parse_args()
    options.folder = (options.folder or Path(tempfile.mkdtemp(prefix="compatibility-"))).resolve()
    options.images = (options.images or options.folder / "images").resolve()
    return options


def _corpus(options: argparse.Namespace, measured: dict[str, dict[str, Any]]) -> None:
    selected = [
        repository for repository in read_manifest()
        if (not options.only or repository.name in options.only) and not (options.quick and repository.slow)
    ]  # fmt: skip
    unknown = set(options.only or ()) - {repository.name for repository in selected}
    if unknown:
        sys.exit(f"the corpus has no {', '.join(sorted(unknown))}")
    sources = options.folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    sdk = SdkCaller(options.folder / "sdks")
    for builder in options.builder:
        measured[builder] |= _when(builder)
        requests = options.folder / f"hub-requests-{builder}.log"
        requests.write_text("")
        read = lambda: requests.read_text().splitlines()  # noqa: B023, E731
        place = options.folder if builder == "process" else options.folder / builder
        (place / "data").mkdir(parents=True, exist_ok=True)
        engines = {} if builder == "process" else engine_environment(options.images)
        os.environ.update(engines)
        images = ImageMaker(options.images, engines)
        with _hub(options.folder, selected, requests) as hub, PlatformProcess(place, sources, {**engines, **hub}) as up:
            for repository in selected:
                earlier = measured[builder]["repositories"].get(repository.name)
                if options.resume and _is_done(earlier, measured[builder]["commit"]):
                    continue
                print(f"{repository.name} ({builder})", flush=True)
                if builder != "process" and engine_problem(builder) is None:
                    images.use(repository, builder, up.data / "stand.toml")
                life = LifecycleRun(repository, builder, up, sdk, sources, options.limit, read)
                life.run(_report)
                _keep_log(life, options.folder / "logs")
                cells = {name: dataclasses.asdict(cell) for name, cell in life.cells.items()}
                entry = {"cells": cells, "seconds": life.seconds, "inspected": _said(life.inspected),
                         "other": life.substitutes(), "commit": measured[builder]["commit"]}  # fmt: skip
                measured[builder]["repositories"][repository.name] = entry
                _write(measured)
            if not options.only and builder == "process":
                measured["process"]["beside"] = dataclasses.asdict(_beside(up, sdk, sources, options.limit))


def _is_done(life: dict[str, Any] | None, commit: str) -> bool:
    """Whether --resume skips a repository: something was tried at this commit, and all of it is green."""
    oks = [cell["ok"] for cell in life["cells"].values()] if life and life.get("commit") == commit else []
    return True in oks and False not in oks


def _when(builder: str) -> dict[str, Any]:
    """Return the date, commit and machine of the measurement."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "machine": f"{machine.system()} {machine.machine()}, {os.cpu_count()} cores, no GPU used",
    }


def _keep_log(life: LifecycleRun, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{life.name}.log").write_text("\n".join(life.log))
    (folder / f"{life.name}.inspect").write_text(json.dumps(life.inspected, indent=1))


def _said(inspected: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of an inspection."""
    if not inspected:
        return {}
    template, base = inspected["template"]["title"], inspected["base"]["python"]
    return {"template": template, "python": base, "runs": inspected["runs"]}


def _beside(platform: PlatformProcess, sdk: SdkCaller, sources: Path, limit: float) -> MatrixCell:
    """Run two apps with one fixed port at the same time and call both."""
    by_name = {repository.name: repository for repository in read_manifest()}
    pair = [by_name["http-server"], by_name["flask-markov"]]
    lives = [LifecycleRun(repository, "process", platform, sdk, sources, limit) for repository in pair]
    for life in lives:
        built = platform.deploy(life.name, life.source, "process", limit=limit)
        if built["state"] != "live":
            return MatrixCell(False, built["error"] or "failed")
        platform.api("PATCH", f"projects/{life.name}", {"min_replicas": 1})
    cells = [life.call() for life in (*lives, lives[0])]
    for life in lives:
        life.remove()
    return next((cell for cell in cells if not cell.ok), MatrixCell(True))


@contextlib.contextmanager
def _hub(folder: Path, selected: list[CorpusRepository], requests: Path) -> Iterator[dict[str, str]]:
    """Serve what these repositories fetch from a hub on loopback, and yield the variables that lead to it."""
    names = sorted({repository.successors.get(name, name) for repository in selected for name in repository.weights})
    if not names:
        yield {}
        return
    command = [sys.executable, str(HUB), "--folder", str(folder / "hub"), "--log", str(requests)]
    for name in names:
        command += ["--only", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if not line.startswith("HF_ENDPOINT="):
            raise RuntimeError(f"the hub of the tests did not start: {line}")
        yield {"HF_ENDPOINT": line.partition("=")[2], "HF_HOME": str(folder / "hub-cache")}
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _potassium(folder: Path) -> list[dict[str, str]]:
    rows = list[dict[str, str]]()
    for version in VERSIONS:
        began = time.monotonic()
        place = folder / "apps" / version.name
        place.mkdir(parents=True, exist_ok=True)
        (folder / "potassium").mkdir(exist_ok=True)
        found = list(compare(version, make_environment(version, folder / "potassium"), place, APPS[version.app]))
        rows += [dataclasses.asdict(row) for row in found]
        count = sum(row.verdict == "wrong" for row in found)
        print(f"potassium {version.name}: {len(found)} features, {count} wrong, {time.monotonic() - began:.1f} s")
    return rows


def _report(name: str, cell: MatrixCell) -> None:
    mark = {True: "yes", False: "NO ", None: "-  "}[cell.ok]
    print(f"  {name:<11} {mark} {cell.seconds:7.1f} s  {cell.note[:240]}", flush=True)


def _read(path: Path) -> dict[str, Any]:
    """Return earlier results of one builder."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name, life in found.get("repositories", {}).items():
        if "cells" not in life:  # as both builders stood in one file
            found["repositories"][name] = life["process"]
    return found


def _write(measured: dict[str, dict[str, Any]]) -> None:
    for builder, path in RESULTS.items():
        path.write_text(json.dumps(measured[builder], indent=1, sort_keys=True) + "\n")
    PAGE.write_text(write_page(read_manifest(), measured))


if __name__ == "__main__":
    sys.exit(main())
