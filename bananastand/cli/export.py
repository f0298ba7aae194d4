"""`bananastand export`: a project as a file for Knative, KubeRay or Compose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from ._connection import Key, Url, connected
from ._ends import USAGE, fail

__all__ = ["export"]


def export(
    project: Annotated[str, typer.Argument(help="The project's name or model key.")],
    knative: Annotated[bool, typer.Option("--knative", help="A Service of Knative, which scales to zero.")] = False,
    kuberay: Annotated[
        bool, typer.Option("--kuberay", help="A RayCluster of KubeRay: the platform itself, with GPU pods.")
    ] = False,
    compose: Annotated[bool, typer.Option("--compose", help="A file of Compose: one replica on one machine.")] = False,
    image: Annotated[
        str | None,
        typer.Option(
            help=r"The app's image, by digest for Knative; with --kuberay one that has bananastand\[cluster]."
        ),
    ] = None,
    health: Annotated[
        str | None, typer.Option(metavar="PATH", help="Answers 200 when the app is ready; default: what is known.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write; default: print it.")
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write a project's live version as a file for another system: image, scaling, timeouts, probes, GPUs, secrets.

    The file has the names of secrets and not their values; comments say how to make them, and what does not come along.
    The durable queue stays here, except with --kuberay.

    Knative needs an image by digest: [bold]docker push[/bold] prints it. A project that runs as a process has no image:
    build one from its Dockerfile first, and name it with --image.

    Example: [bold]bananastand export my-app --knative --image ghcr.io/me/my-app@sha256:4e1f... -o my-app.yaml[/bold]
    """
    formats = {"knative": knative, "kuberay": kuberay, "compose": compose}
    chosen = [name for name, is_chosen in formats.items() if is_chosen]
    if len(chosen) != 1:
        fail("choose one of --knative, --kuberay and --compose", USAGE)
    query = {name: value for name, value in {"image": image, "health": health}.items() if value is not None}
    with connected(url, key) as platform:
        text = str(platform.get(f"/projects/{quote(project, safe='')}/export/{chosen[0]}?{urlencode(query)}")["yaml"])
    if output is None:
        return typer.echo(text, nl=False)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    return typer.echo(f"{output} has {project} for {chosen[0].title()}: read its comments, they say what comes first")
