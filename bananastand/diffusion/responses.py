"""What an app answers: plain dictionaries ready for JSON. Knows no transport, only the shapes Banana's users read."""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Iterator
from typing import Any

from .. import cancel
from .engine import Engine
from .images import encode, to_base64
from .job import Painting, Step
from .request import GenerationRequest

__all__ = ["answer", "events"]

PREVIEW_EVERY = 4  # steps
PREVIEW_SIDE = 64  # pixels


def answer(engine: Engine, painting: Painting) -> dict[str, Any]:
    """{"output", "images", "model", "mode", "precision", "timings"}; `output` is the first picture, as in Banana's own
    template. `precision` is that of the denoiser: float32, bfloat16, float16, or float8 where that was asked for.
    """
    request = painting.request
    images = [
        {
            "base64": to_base64(encode(picture.image, request.format)),
            "format": request.format,
            "width": picture.image.width,
            "height": picture.image.height,
            "seed": picture.seed,
        }
        for picture in painting.pictures
    ]
    return {
        "output": images[0]["base64"],
        "images": images,
        "model": engine.card.name,
        "mode": engine.mode,
        "precision": engine.family.precision,
        "timings": painting.timings,
    }


def events(engine: Engine, request: GenerationRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paint in a thread and yield (name, data): queued, step (a preview now and then), at last result or error.

    Closing the iterator calls the work off at the next step. Only errors of this module's own are raised.
    """
    happened: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    token = cancel.current() or cancel.Token()

    def work() -> None:
        try:
            with cancel.scope(token):
                painting = engine.paint(request, lambda step: happened.put(("step", _progress(step))))
                happened.put(("result", answer(engine, painting)))
        except cancel.Cancelled as error:  # nobody may take it: with its traceback it would hold this frame and itself
            happened.put(("failed", error.with_traceback(None)))
        except BaseException as error:
            happened.put(("failed", error))

    threading.Thread(target=work, name="painting", daemon=True).start()
    yield "queued", {"model": engine.card.name, "seed": request.seed, "images": request.num_images}
    try:
        while True:
            name, data = happened.get()
            if name == "failed":
                raise data
            yield name, data
            if name == "result":
                return
    finally:
        token.cancel("the caller is gone")


def _progress(step: Step) -> dict[str, Any]:
    """Runs between two steps, so it costs a preview only every PREVIEW_EVERY steps and never at the last."""
    data: dict[str, Any] = {"image": step.index, "step": step.done, "steps": step.steps}
    if step.done % PREVIEW_EVERY == 0 and step.done < step.steps and (preview := step.preview()) is not None:
        preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        data["preview"] = "data:image/jpeg;base64," + base64.b64encode(encode(preview, "jpeg")).decode()
    return data
