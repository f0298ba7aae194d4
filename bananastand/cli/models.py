"""`bananastand models`: the models that can be served."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ._ends import fail

__all__ = ["models"]


def models(
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON list, for programs.")] = False,
) -> None:
    """List the models: name, pipeline, licence, memory, and whether the weights are here.

    Fetch one with [bold]python download.py NAME[/bold], then [bold]bananastand paint --model NAME[/bold]
    or [bold]MODEL=NAME python app.py[/bold].
    """
    from bananastand.diffusion import ModelFileError, list_models

    try:
        found = list_models()
    except ModelFileError as error:
        fail(str(error))
    if as_json:
        rows = [
            {
                "name": model.name,
                "pipeline": model.pipeline,
                "licence": model.licence,
                "memory_gb": model.memory_gb,
                "fetched": model.fetched,
                "gated": model.gated,
                "repo": model.repo,
                "revision": model.revision,
                "note": model.note,
            }
            for model in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "pipeline", "licence", "memory", "fetched", "note"):
        table.add_column(heading, justify="right" if heading == "memory" else "left", no_wrap=heading == "name")
    for model in found:
        gated = " (gated)" if model.gated else ""
        fetched = "[green]yes[/green]" if model.fetched else f"no{gated}"
        table.add_row(model.name, model.pipeline, model.licence, f"{model.memory_gb:g} GB", fetched, model.note)
    Console().print(table)
