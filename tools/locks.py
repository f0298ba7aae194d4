"""Pin every package by version and hash: `python -m tools.locks` writes constraints.txt and locks/*.txt.

    python -m tools.locks              # keep the versions of constraints.txt, add what is missing
    python -m tools.locks --upgrade    # the newest versions that pyproject.toml allows

The index that uv is set to use answers. torch is in a file of its own, because a GPU image brings its own build and a
machine without a GPU takes PyTorch's CPU build: `locks/torch-cpu.sha256` lists the hashes of its wheels, as PyTorch's
index for CPUs shows them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.11"
BUILD = ("hatchling", "editables")  # what pip builds the project with, where it may fetch nothing itself
RELEASE = ("build", "cyclonedx-bom", *BUILD)
MOCKS = ("httpcore2", "httpx2", "numpy", "pillow", "rich", "typer")  # of the dependencies, what the mocks need
CUDA = re.compile(r"(nvidia|cuda)-(?!ml-py).*|triton")
ENTRY = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
HEADERS = {
    "constraints": "# Every version that the tests ran with; pip takes these where make installs something.",
    "locks": "# Written by `python -m tools.locks`; install with: pip install --require-hashes -r",
}


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions instead of the pinned ones")
    upgrade = parser.parse_args().upgrade
    for name, text in written(upgrade).items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(f"{name}: {len(entries(text))} packages")


def written(upgrade: bool) -> dict[str, str]:
    """Return the text of each file by its path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs, extras = project["dependencies"], project["optional-dependencies"]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    everything = compiled([*needs, *all_of(extras), *RELEASE], "" if upgrade else pins)
    versions = "\n".join(f"{name}=={version}" for name, version in sorted(entries(everything)))
    sets = {
        "dev": compiled([*needs, *all_of(extras), *BUILD], versions),
        "serve": compiled([*needs, *extras["paint"], *own(extras["serve"])], versions),
        "stand": compiled(
            [*needs, *extras["paint"], *own(extras["serve"]), *extras["mocks"], *own(extras["stand"])], versions
        ),
        "mocks": compiled(
            [requirement for requirement in needs if name_of(requirement) in MOCKS] + extras["mocks"], versions
        ),
        "release": compiled(RELEASE, versions),
    }
    torch = dict(entries(everything))["torch"]
    files = {"constraints.txt": f"{HEADERS['constraints']}\n{versions}\n"}
    files |= {f"locks/{name}.txt": f"{HEADERS['locks']} locks/{name}.txt\n{without_torch(text)}"
              for name, text in sets.items()}  # fmt: skip
    return files | {"locks/torch-cpu.txt": f"{HEADERS['locks']} locks/torch-cpu.txt\n{cpu_torch(torch)}"}


def compiled(requirements: Sequence[str], constraints: str) -> str:
    """Return what uv resolves requirements to, for every platform, with hashes."""
    limits = ROOT / "locks" / ".constraints.tmp"
    limits.write_text(constraints, encoding="utf-8")
    command = [
        "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate",
        "--python-version", PYTHON, "--constraint", str(limits), "-",
    ]  # fmt: skip
    try:
        text = "\n".join(requirements)
        return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
    finally:
        limits.unlink()


def entries(text: str) -> list[tuple[str, str]]:
    """Return names and versions of a lock file."""
    return [(match[1], match[2]) for line in text.splitlines() if (match := ENTRY.match(line))]


def without_torch(text: str) -> str:
    """Return a lock file without torch and what only its CUDA build needs."""
    lines, keeping = list[str](), True
    for line in text.splitlines(keepends=True):
        if match := ENTRY.match(line):
            keeping = match[1] != "torch" and CUDA.fullmatch(match[1]) is None
        if keeping:
            lines.append(line)
    return "".join(lines)


def cpu_torch(version: str) -> str:
    """Return the entry of torch's CPU build. Raises SystemExit where its hashes are not listed."""
    listing = (ROOT / "locks" / "torch-cpu.sha256").read_text(encoding="utf-8").split()
    hashes = [digest for digest, wheel in zip(listing[::2], listing[1::2], strict=True)
              if wheel.startswith((f"torch-{version}+cpu-", f"torch-{version}-"))]  # fmt: skip
    if not hashes:
        raise SystemExit(f"locks/torch-cpu.sha256 lists no wheel of torch {version}: copy them from PyTorch's index")
    return " \\\n".join([f"torch=={version}", *(f"    --hash=sha256:{digest}" for digest in hashes)]) + "\n"


def all_of(extras: dict[str, list[str]]) -> list[str]:
    """Return the requirements of all extras, without those that name the project."""
    return [requirement for extra in extras.values() for requirement in own(extra)]


def own(extra: Sequence[str]) -> list[str]:
    """Return an extra's requirements without the project's other extras."""
    return [requirement for requirement in extra if not requirement.startswith("bananastand[")]


def name_of(requirement: str) -> str:
    """Return the package that a requirement names."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return found[0] if found else requirement


if __name__ == "__main__":
    main()
