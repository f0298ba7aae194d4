"""`bananastand paint`: paints a picture file from a prompt, on this machine or by a running app."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._ends import USAGE, fail

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["paint"]

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def paint(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to paint, 1 to 2,000 characters.", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write; .png, .jpg or .webp says the format.")
    ] = Path("picture.png"),
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            envvar="MODEL",
            help="Name or file of a model; see bananastand models. [default: fruitstand]",
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Have a running app paint, as in http://127.0.0.1:8000.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed paints the same picture; else a random one.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Denoising steps. [default: the model's]")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="How closely to follow the prompt. [default: the model's]")
    ] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What the picture must not show.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels. [default: the model's]")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels. [default: the model's]")] = None,
    num_images: Annotated[
        int, typer.Option("-n", "--num-images", help="Pictures; number i (from 0) has the seed seed + i.")
    ] = 1,
) -> None:
    """Paint a picture from a prompt.

    Paints here with the model on this machine, or with --url by an app that runs. Several pictures are
    written as NAME-0.png, NAME-1.png, ...

    Example: [bold]bananastand paint "two small red apples on a blue background" --seed 7 -o apples.png[/bold]
    """
    picture_format = FORMATS.get(output.suffix.lower())
    if picture_format is None:
        fail(f"{output} must end in {', '.join(FORMATS)}, which says the format", USAGE)
    if not output.parent.is_dir():
        fail(f"there is no folder {output.parent}", USAGE)
    if url is not None and str(context.get_parameter_source("model")).endswith("COMMANDLINE"):
        fail("--model chooses a model of this machine; the app at --url has its own", USAGE)
    body: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "width": width,
        "height": height,
        "seed": seed,
        "num_images": num_images,
        "format": picture_format,
    }
    body = {name: value for name, value in body.items() if value is not None}
    from rich.console import Console

    from ._progress import painting

    try:
        with painting(Console(stderr=True)) as progress:
            painted = _remote(progress, url, body) if url else _local(progress, model or "fruitstand", body)
    except KeyboardInterrupt:
        fail("stopped", 130)
    for path, image in zip(_paths(output, len(painted)), painted, strict=True):
        try:
            path.write_bytes(image["bytes"])
        except OSError as error:
            fail(f"{path} cannot be written: {error.strerror}")
        seed_of = f" (seed {image['seed']})" if "seed" in image else ""
        typer.echo(f"{path}{seed_of}")


def _local(progress: Progress, model: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    task = progress.add_task(f"loading {model}", total=None)
    try:
        from bananastand.diffusion import (
            Engine,
            GenerationRequest,
            InvalidRequest,
            LoadError,
            ModelFileError,
            Step,
            encode,
            find_model,
        )
    except ImportError as error:
        fail(f"the package {error.name} is not installed: pip install 'bananastand[paint]'")

    from ._progress import update

    try:
        request = GenerationRequest.parse(
            body, find_model(model)
        )  # before the model loads: a typing error should not wait for it
        engine = Engine.load(model)
    except InvalidRequest as error:
        fail(error.message, USAGE)
    except (ModelFileError, LoadError) as error:
        fail(str(error))

    def on_step(step: Step) -> None:
        update(progress, task, {"image": step.index, "step": step.done, "steps": step.steps}, request.num_images)

    painting = engine.paint(request, on_step)
    return [{"bytes": encode(picture.image, request.format), "seed": picture.seed} for picture in painting.pictures]


def _remote(progress: Progress, url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    from bananastand.clients.potassium import AppError, AppUnreachable, PotassiumApp

    from ._progress import update

    task = progress.add_task(f"asking {url}", total=None)
    answer: dict[str, Any] = {}
    try:
        with PotassiumApp(url) as app:
            try:
                for event in app.stream(body):
                    if event.name == "step":
                        update(progress, task, event.data, body["num_images"])
                    elif event.name == "result":
                        answer = event.data
            except AppError as error:
                if error.status not in (404, 405):
                    raise
                answer = app.run(body)  # an app without /stream: no steps to show
    except AppUnreachable as error:
        fail(f"{error}; is the app running? (make app)")
    except AppError as error:
        fail(str(error), USAGE if error.status == 400 else 1)
    images: list[dict[str, Any]] = answer.get("images") or [{"base64": answer.get("output")}]
    try:
        return [{**image, "bytes": base64.b64decode(image["base64"], validate=True)} for image in images]
    except (binascii.Error, KeyError, TypeError, ValueError):
        fail(f"{url} answered without a picture in images or output")


def _paths(output: Path, count: int) -> list[Path]:
    return [output] if count == 1 else [output.with_stem(f"{output.stem}-{i}") for i in range(count)]
