"""`bananastand init`: writes a Banana repository that runs as it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

from ._ends import USAGE, fail
from ._template import FILES

__all__ = ["init"]

EMBEDDED = "fruitstand"


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; its name is the project's.")],
    model: Annotated[
        str | None, typer.Option(help="A diffusers model of the hub, as stabilityai/sdxl-turbo; else a small one.")
    ] = None,
) -> None:
    """Write a Banana repository: app.py, download.py, Dockerfile, requirements.txt, banana_config.json.

    Without --model the embedded model comes along as a folder, so that the app paints with no GPU and no network.
    """
    name = folder.resolve().name
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name) is None:
        fail(f"{name} is no name for a project: small letters, digits and -, 40 at most", USAGE)
    if model is not None and re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model) is None:
        fail(f"{model} is no model of the hub; give it as OWNER/NAME", USAGE)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{folder} is there already and not empty", USAGE)
    size = 512 if model else 128
    words = {"@NAME@": name, "@MODEL@": model or "model", "@SIZE@": str(size), "@STEPS@": "25" if model else "10",
             "@GUIDANCE@": "7.5" if model else "2.5", "@WEIGHTS@": "" if model else "COPY model/ model/\n"}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in FILES.items():
        for word, value in words.items():
            text = text.replace(word, value)
        (folder / file).write_text(text, encoding="utf-8")
    if model is None:
        _embed(folder / "model")
    typer.echo(f"{folder} is a Banana repository: {', '.join(FILES)}\n")
    typer.echo(f"Deploy it to a platform (bananastand up starts one):\n\n  cd {folder} && bananastand deploy .\n")


def _embed(target: Path) -> None:
    """Copy the embedded model in diffusers' layout."""
    from bananastand.diffusion import find_model

    source = find_model(EMBEDDED).local_folder()
    if source is None:
        fail("the embedded model is not here; give another with --model")
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("README.md", "scores.json", "*.png"))
