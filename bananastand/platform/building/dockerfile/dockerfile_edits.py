"""Applies the [build] table of bananastand.toml to a Dockerfile's text, for an engine that reads it."""

from __future__ import annotations

import re
import shlex

from ..overrides import BuildOverrides
from .dockerfile import Dockerfile, Instruction

__all__ = ["apply_overrides"]

PIP = re.compile(r"\bpip3?\b[^&|;]*\binstall\b|\bconda\b[^&|;]*\b(install|create|env)\b")


def apply_overrides(text: str, dockerfile: Dockerfile, overrides: BuildOverrides) -> str:
    """Return the text with lines left out, requirements and pins replaced, and Debian packages added."""
    lines, edits = text.splitlines(), dict[int, tuple[int, list[str]]]()
    placed = False
    for stage in dockerfile.stages:
        if stage is dockerfile.stages[-1] and overrides.system_packages:
            names = shlex.join(overrides.system_packages)
            edits[stage.line] = (
                stage.line,
                [lines[stage.line - 1], f"RUN apt-get update && apt-get install -y {names}"],
            )
        for instruction, first, after in dockerfile.spans(stage, len(lines)):
            here = lines[first - 1 : after - 1]
            if any(instruction.text.startswith(prefix) for prefix in overrides.skip):
                edits[instruction.line] = (after - 1, [])
            elif _installs(instruction) and overrides.requirements:
                edits[instruction.line] = (after - 1, [] if placed else _requirements(overrides))
                placed = True
            elif _installs(instruction) and overrides.pins:
                edits[instruction.line] = (
                    after - 1,
                    [*here, f"RUN python3 -m pip install {shlex.join(overrides.pins)}"],
                )
    for start in sorted(edits, reverse=True):
        end, new = edits[start]
        lines[start - 1 : end] = new
    return "\n".join([*lines, ""])


def _installs(instruction: Instruction) -> bool:
    return instruction.name == "RUN" and PIP.search(instruction.value) is not None


def _requirements(overrides: BuildOverrides) -> list[str]:
    found = list[str]()
    for at, file in enumerate(overrides.requirements):
        found += [
            f"COPY {file} /tmp/requirements-{at}.txt",
            f"RUN python3 -m pip install -r /tmp/requirements-{at}.txt",
        ]
    return found + ([f"RUN python3 -m pip install {shlex.join(overrides.pins)}"] if overrides.pins else [])
