#!/usr/local/bin/python3
"""Stands in for conda in base images made here: its environments are virtual ones, with packages of pip's index."""

from __future__ import annotations

import os
import subprocess
import sys

ENVIRONMENTS = "/opt/conda/envs"
FLAGS = ("-y", "--yes", "-q", "--quiet", "--no-capture-output", "--live-stream")
VALUES = ("-n", "--name", "-c", "--channel")


def main(words: list[str]) -> int:
    """Run `create`, `install`, `run` or `update` of conda; other commands do nothing."""
    command, name, rest = words[0], "base", words[1:]
    while rest and rest[0].startswith("-"):
        if rest[0] in VALUES:
            name = rest[1] if rest[0] in ("-n", "--name") else name
            rest = rest[2:]
        elif rest[0] in FLAGS:
            rest = rest[1:]
        else:
            sys.exit(f"conda: this stand-in has no {rest[0]}")
    folder = "/usr/local" if name == "base" else f"{ENVIRONMENTS}/{name}"
    if command == "run":
        path = f"{folder}/bin:{os.environ.get('PATH', os.defpath)}"
        os.execvpe(rest[0], rest, {**os.environ, "PATH": path, "CONDA_DEFAULT_ENV": name})
    if command == "create":
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    packages = [word.replace("=", "==") for word in rest if word not in FLAGS and not word.startswith("python=")]
    if command in ("create", "install") and packages:
        return subprocess.run([f"{folder}/bin/python3", "-m", "pip", "install", *packages]).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
