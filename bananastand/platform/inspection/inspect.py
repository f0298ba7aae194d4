"""Inspects a repository."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

from ..building.environments.as_of import resolve_as_of
from ..building.environments.base_images import BaseImage, base_image
from ..building.environments.pythons import python_of_lines
from .behaviour import absolute_paths, handlers, health_path, listening_port, variables, webhooks
from .differences import differences
from .downloads import downloads
from .findings import InspectedBase, Inspection, Weight
from .hub import ask_hub, known_weights
from .memory import estimate
from .packages import pip_installs, system_packages, torch_of
from .repository import SourceRepository
from .resolution import NOT_ASKED, resolve
from .template import template_of

__all__ = ["inspect_source"]


def inspect_source(
    folder: Path, *, source: str | None = None, as_of: str | None = None, committed: str | None = None,
    hub: bool = True, index: bool = False,
) -> Inspection:  # fmt: skip
    """Read a repository and say what it is, what it needs and what will differ here.

    Args:
        folder: Where its files are.
        source: What the user named; the folder's own path if left out.
        as_of: "now" or a date for open requirements; None for bananastand.toml's, else the last commit's.
        committed: The date of the last commit, where whoever fetched the files knows it.
        hub: Ask the model hub about weights.
        index: Ask the package index whether the requirements can be had and fit together. Blocks on the network, and
            must not be asked for inside of an event loop.

    Raises:
        BuildError: bananastand.toml cannot be read, or `as_of` is no date.
    """
    repository = SourceRepository(folder)
    day = resolve_as_of(as_of or repository.overrides.build.as_of, committed, folder)
    calls = pip_installs(repository)
    lines = [line for call in calls for line in call.requirements]
    image, base = _base(repository, day.day)
    template = template_of(repository, lines)
    torch = torch_of(lines, image, day.day)
    renamed = dict(repository.overrides.build.weights)
    weights, unasked = known_weights(downloads(repository), renamed), None
    if hub:
        weights, unasked = ask_hub(weights, renamed)
    resolved = _with_tokens(repository, weights)
    port, environment = listening_port(repository, template.kind), variables(repository)
    resolution, against = resolve(calls, base.python, base.reason, day) if index else (NOT_ASKED, [])
    return Inspection(
        source=source or str(folder),
        template=template,
        base=base,
        as_of=str(day),
        torch=torch,
        memory=estimate(resolved, _is_halved(repository)),
        command=" ".join(repository.command[0]) if repository.command is not None else None,
        port=port,
        health=health_path(repository, template.kind),
        requirements=tuple(lines),
        resolution=resolution,
        weights=tuple(resolved),
        system_packages=tuple(system_packages(repository)),
        variables=tuple(environment),
        handlers=tuple(handlers(repository)),
        webhooks=tuple(webhooks(repository)),
        paths=tuple(absolute_paths(repository)),
        unread=(*repository.unread, *([f"weights: {unasked}"] if unasked else [])),
        differences=tuple(differences(repository, template, base, torch, lines, resolved, environment, port, against)),
    )


def _base(repository: SourceRepository, when: date | None) -> tuple[BaseImage | None, InspectedBase]:
    chosen = repository.overrides.build.python
    stage = repository.stages[-1] if repository.stages else None
    dockerfile = repository.dockerfile
    while stage is not None and dockerfile is not None and (lower := dockerfile.stage(stage.base, stage.index)):
        stage = lower
    if stage is None:
        python = chosen or None
        reason = "bananastand.toml" if chosen else "no Dockerfile: as Banana's templates are built"
        return None, InspectedBase(None, python, reason)
    image, where = base_image(stage.base, when), f"Dockerfile:{stage.line}"
    lines = [(instruction.line, instruction.text) for built in repository.stages for instruction in built.instructions]
    stated = python_of_lines(lines)
    if chosen:
        return image, InspectedBase(stage.base, chosen, "bananastand.toml names the Python", where)
    if stated is not None:
        return image, InspectedBase(stage.base, stated.version, f"{stated.reason} names it", where)
    reason = "the image's name says so" if image.exact else "what the image holds" if image.known else "not known"
    return image, InspectedBase(stage.base, image.python, reason, where)


def _with_tokens(repository: SourceRepository, weights: list[Weight]) -> list[Weight]:
    """Mark all weights as sending a token where the code logs in."""
    logs_in = any(
        re.search(r"\b(huggingface_hub\.login|notebook_login|HfFolder\.save_token|login\(token)", module.text)
        for module in repository.code.modules.values()
    )
    return [replace(weight, token=True) if logs_in and weight.source == "hub" else weight for weight in weights]


def _is_halved(repository: SourceRepository) -> bool:
    texts = (module.text for module in repository.code.modules.values())
    return any(
        re.search(r"torch\.float16|torch\.bfloat16|\.half\(\)|revision=[\"']fp16|fp16=True", text) for text in texts
    )
