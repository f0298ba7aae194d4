"""`bananastand models`: what can be served."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ._ends import fail

__all__ = ["models"]


def models(
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON list, for programs.")] = False,
) -> None:
    """List the model cards: name, pipeline, licence, memory, and whether the weights are here.

    Fetch one with [bold]python download.py NAME[/bold], then [bold]bananastand paint --model NAME[/bold]
    or [bold]MODEL=NAME python app.py[/bold].
    """
    from bananastand.diffusion.model_file import CardError, list_cards

    try:
        cards = list_cards()
    except CardError as error:
        fail(str(error))
    if as_json:
        rows = [
            {
                "name": card.name,
                "pipeline": card.pipeline,
                "licence": card.licence,
                "memory_gb": card.memory_gb,
                "fetched": card.fetched,
                "gated": card.gated,
                "repo": card.repo,
                "revision": card.revision,
                "note": card.note,
            }
            for card in cards
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "pipeline", "licence", "memory", "fetched", "note"):
        table.add_column(heading, justify="right" if heading == "memory" else "left", no_wrap=heading == "name")
    for card in cards:
        gated = " (gated)" if card.gated else ""
        fetched = "[green]yes[/green]" if card.fetched else f"no{gated}"
        table.add_row(card.name, card.pipeline, card.licence, f"{card.memory_gb:g} GB", fetched, card.note)
    Console().print(table)
