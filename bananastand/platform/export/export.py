"""Renders a project for another system as YAML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import yaml

from ..errors import Refused
from .compose import compose
from .description import AppDescription
from .knative import knative
from .kuberay import kuberay

__all__ = ["FORMATS", "export"]

FORMATS: dict[str, Callable[[AppDescription, str | None], tuple[list[str], list[dict[str, Any]]]]] = {
    "knative": knative,
    "kuberay": kuberay,
    "compose": compose,
}
HEALTH = re.compile(r"/[\x21-\x7e]{0,200}")
NUMBER = re.compile(r"[-+]?(0[box][0-9a-f_]+|(\d[\d_]*\.?|\.)[\d_]*(e[-+]?\d+)?)", re.ASCII | re.IGNORECASE)


def export(app: AppDescription, format: str, *, image: str | None = None, health: str | None = None) -> str:
    """Return a project as YAML with comments. It has the names of secrets and not their values.

    Args:
        app: The project.
        format: One of FORMATS.
        image: The image to run; None for the version's own.
        health: The path that answers 200 when the app is ready; None for the one that is known.

    Raises:
        Refused: The format, the image or the path cannot be used.
    """
    if (render := FORMATS.get(format)) is None:
        raise Refused(f"format: is one of {', '.join(FORMATS)}, not {format[:50]}")
    if health is not None:
        if not HEALTH.fullmatch(health):
            raise Refused(f"--health takes a path such as /healthcheck, not {health[:200]!r}")
        app = dataclasses.replace(app, health=health)
    comments, documents = render(app, image)
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return "".join(f"# {line}\n" for line in comments) + text


class _Dumper(yaml.SafeDumper):
    """Writes what occurs twice out twice, and texts so that they are texts for every reader of YAML."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: people read anchors badly."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote what looks like a number: 1e3 and 0o17 are texts for YAML 1.1, and numbers for Kubernetes."""
    style = "'" if NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
