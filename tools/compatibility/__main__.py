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

from .corpus import Repository, read_manifest
from .matrix import Cell, Life
from .page import score, write_page
from .platform import Platform
from .potassium import compare, make_environment
from .potassium_apps import APPS, VERSIONS
from .sdk import SdkCaller

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "compatibility.json"
PAGE = ROOT / "docs" / "compatibility.md"
HUB = ROOT / "tests" / "hub.py"


def main() -> int:
    """Measure, and write page and numbers after each repository."""
    options = _options()
    measured = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.fresh else {}
    measured.setdefault("repositories", {})
    if options.potassium:
        measured["potassium"] = _potassium(options.folder)
    else:
        _corpus(options, measured)
    _write(measured)
    green, tried = score(measured["repositories"])
    print(f"{green} of {tried} cells are green; {PAGE.relative_to(ROOT)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.compatibility", description=main.__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="this repository; may be given again")
    parser.add_argument("--builder", choices=["process", "container"], action="append", help="default: both")
    parser.add_argument("--potassium", action="store_true", help="compare Potassium's versions instead")
    parser.add_argument("--quick", action="store_true", help="without the repositories marked slow")
    parser.add_argument("--resume", action="store_true", help="leave out what is all green already")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a build")
    parser.add_argument("--folder", type=Path, help="scratch that is kept: environments and models are found again")
    options = parser.parse_args()
    options.folder = (options.folder or Path(tempfile.mkdtemp(prefix="compatibility-"))).resolve()
    return options


def _corpus(options: argparse.Namespace, measured: dict[str, Any]) -> None:
    wanted = [
        each for each in read_manifest()
        if (not options.only or each.name in options.only) and not (options.quick and each.slow)
    ]  # fmt: skip
    unknown = set(options.only or ()) - {each.name for each in wanted}
    if unknown:
        sys.exit(f"the corpus has no {', '.join(sorted(unknown))}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    measured["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    measured["commit"] = commit.stdout.strip()
    measured["machine"] = f"{machine.system()} {machine.machine()}, {os.cpu_count()} cores, no GPU used"
    sources = options.folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    requests = options.folder / "hub-requests.log"
    requests.write_text("")
    with _hub(options.folder, wanted, requests) as hub, Platform(options.folder, sources, hub) as platform:
        sdk = SdkCaller(options.folder / "sdks")
        for repository in wanted:
            for builder in options.builder or ("process", "container"):
                known = measured["repositories"].get(repository.name, {}).get(builder)
                if options.resume and known and all(cell["ok"] is not False for cell in known["cells"].values()):
                    continue
                print(f"{repository.name} ({builder})", flush=True)
                read = lambda: requests.read_text().splitlines()  # noqa: E731
                life = Life(repository, builder, platform, sdk, sources, options.limit, read)
                life.run(_report)
                log = options.folder / "logs" / f"{life.name}.log"
                log.parent.mkdir(exist_ok=True)
                log.write_text("\n".join(life.log))
                (log.parent / f"{life.name}.inspect").write_text(json.dumps(life.inspected, indent=1))
                cells = {name: dataclasses.asdict(cell) for name, cell in life.cells.items()}
                entry = {"cells": cells, "seconds": life.seconds, "inspected": _said(life.inspected),
                         "other": life.substitutes()}  # fmt: skip
                measured["repositories"].setdefault(repository.name, {})[builder] = entry
                _write(measured)
        if not options.only:
            measured["beside"] = dataclasses.asdict(_beside(platform, sdk, sources, options.limit))


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


def _write(measured: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(write_page(read_manifest(), measured))


if __name__ == "__main__":
    sys.exit(main())
