"""Measures what runs unchanged: `python -m tools.compatibility`. Writes docs/compatibility.md and its numbers."""

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

from .base_images import container_engine, engine_environment, make_images, missing_programs
from .corpus import Repository, read_manifest
from .matrix import Cell, Life
from .page import score, together, write_page
from .platform import Platform
from .potassium import compare, make_environment
from .potassium_apps import APPS, VERSIONS
from .sdk import SdkCaller

ROOT = Path(__file__).resolve().parents[2]
RESULTS = {
    "process": ROOT / "benchmarks" / "results" / "compatibility.json",
    "container": ROOT / "benchmarks" / "results" / "compatibility-container.json",
}
PAGE = ROOT / "docs" / "compatibility.md"
HUB = ROOT / "tests" / "support" / "hub.py"


def main() -> int:
    """Measure, and write page and numbers after each repository."""
    options = _options()
    measured = {builder: {} if options.fresh else _read(path) for builder, path in RESULTS.items()}
    for each in measured.values():
        each.setdefault("repositories", {})
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
    parser.add_argument("--builder", choices=["process", "container"], action="append", help="default: both")
    parser.add_argument("--potassium", action="store_true", help="compare Potassium's versions instead")
    parser.add_argument("--page", action="store_true", help="write the page anew from what was measured before")
    parser.add_argument("--quick", action="store_true", help="without the repositories marked slow")
    parser.add_argument("--resume", action="store_true", help="leave out what is all green already")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results of both builders")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a build")
    parser.add_argument("--folder", type=Path, help="scratch that is kept: environments and models are found again")
    options = parser.parse_args()
    options.folder = (options.folder or Path(tempfile.mkdtemp(prefix="compatibility-"))).resolve()
    return options


def _corpus(options: argparse.Namespace, measured: dict[str, dict[str, Any]]) -> None:
    wanted = [
        each for each in read_manifest()
        if (not options.only or each.name in options.only) and not (options.quick and each.slow)
    ]  # fmt: skip
    unknown = set(options.only or ()) - {each.name for each in wanted}
    if unknown:
        sys.exit(f"the corpus has no {', '.join(sorted(unknown))}")
    sources = options.folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    builders = options.builder or ("process", "container")
    engines = _engines(options, wanted) if "container" in builders else {}
    for builder in builders:
        measured[builder] |= _when(builder)
    requests = options.folder / "hub-requests.log"
    requests.write_text("")
    served = _hub(options.folder, wanted, requests)
    with served as hub, Platform(options.folder, sources, {**engines, **hub}) as platform:
        sdk = SdkCaller(options.folder / "sdks")
        for repository in wanted:
            for builder in builders:
                if options.resume and _is_done(measured[builder]["repositories"].get(repository.name)):
                    continue
                print(f"{repository.name} ({builder})", flush=True)
                read = lambda: requests.read_text().splitlines()  # noqa: E731
                life = Life(repository, builder, platform, sdk, sources, options.limit, read)
                life.run(_report)
                _keep_log(life, options.folder / "logs")
                cells = {name: dataclasses.asdict(cell) for name, cell in life.cells.items()}
                entry = {"cells": cells, "seconds": life.seconds, "inspected": _said(life.inspected),
                         "other": life.substitutes()}  # fmt: skip
                measured[builder]["repositories"][repository.name] = entry
                _write(measured)
        if not options.only and "process" in builders:
            measured["process"]["beside"] = dataclasses.asdict(_beside(platform, sdk, sources, options.limit))


def _is_done(life: dict[str, Any] | None) -> bool:
    """Whether --resume leaves it out: something was tried, and all of that is green."""
    oks = [cell["ok"] for cell in life["cells"].values()] if life else []
    return True in oks and False not in oks


def _when(builder: str) -> dict[str, Any]:
    """What the page says of when, where and with what was measured."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    found = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "machine": f"{machine.system()} {machine.machine()}, {os.cpu_count()} cores, no GPU used",
    }
    return found | ({"engine": container_engine()} if builder == "container" else {})


def _keep_log(life: Life, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{life.name}.log").write_text("\n".join(life.log))
    (folder / f"{life.name}.inspect").write_text(json.dumps(life.inspected, indent=1))


def _engines(options: argparse.Namespace, wanted: list[Repository]) -> dict[str, str]:
    """Make stand-ins for the base images where an engine works; the variables for it."""
    place = options.folder / "images"
    environment = engine_environment(place)
    os.environ.update(environment)
    if missing_programs() is None and container_engine() is not None:
        images = make_images(wanted, place, environment)
        data = options.folder / "data"
        data.mkdir(exist_ok=True)
        rows = "".join(f'"{pattern}" = "{image}"\n' for pattern, image in images.items())
        (data / "stand.toml").write_text(f"[images]\n{rows}", encoding="utf-8")
    return environment


def _said(inspected: dict[str, Any]) -> dict[str, Any]:
    """What the page says of an inspection."""
    if not inspected:
        return {}
    template, base = inspected["template"]["title"], inspected["base"]["python"]
    return {"template": template, "python": base, "runs": inspected["runs"]}


def _beside(platform: Platform, sdk: SdkCaller, sources: Path, limit: float) -> Cell:
    """Two apps with one fixed port, both live, each answering for itself."""
    by_name = {each.name: each for each in read_manifest()}
    pair = [by_name["http-server"], by_name["flask-markov"]]
    lives = [Life(each, "process", platform, sdk, sources, limit) for each in pair]
    for life in lives:
        built = platform.deploy(life.name, life.source, "process", limit=limit)
        if built["state"] != "live":
            return Cell(False, built["error"] or "failed")
        platform.api("PATCH", f"projects/{life.name}", {"min_replicas": 1})
    cells = [life._try(life._call) for life in (*lives, lives[0])]
    for life in lives:
        life._remove()
    return next((cell for cell in cells if not cell.ok), Cell(True))


@contextlib.contextmanager
def _hub(folder: Path, wanted: list[Repository], requests: Path) -> Iterator[dict[str, str]]:
    """The hub of the tests with what these repositories fetch, and the variables that lead to it.

    requests: the file into which it writes what it is asked.
    """
    names = sorted({each.successors.get(name, name) for each in wanted for name in each.weights})
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


def _report(name: str, cell: Cell) -> None:
    mark = {True: "yes", False: "NO ", None: "-  "}[cell.ok]
    print(f"  {name:<11} {mark} {cell.seconds:7.1f} s  {cell.note[:240]}", flush=True)


def _read(path: Path) -> dict[str, Any]:
    """What was measured before with one builder."""
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
