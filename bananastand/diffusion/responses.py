"""The bodies of an app's responses: plain dictionaries ready for JSON, in the shapes of Banana's template."""

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

__all__ = ["response_body", "response_events"]

PREVIEW_EVERY = 4  # steps
PREVIEW_SIDE = 64  # pixels


def response_body(engine: Engine, painting: Painting) -> dict[str, Any]:
    """Return {"output", "images", "model", "mode", "precision", "timings"}.

    `output` is the first picture in base64. `precision` is the denoiser's: float32, bfloat16, float16 or float8.
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
        "model": engine.model.name,
        "mode": engine.mode,
        "precision": engine.family.precision,
        "timings": painting.timings,
    }


def response_events(engine: Engine, request: GenerationRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paint in a thread and iterate over what happens. Closing the iterator cancels the work after the next step.

    Args:
        engine: The engine that paints.
        request: What to paint.

    Yields:
        Name and data of an event: "queued", "step" (every PREVIEW_EVERY steps with a preview), and at last "result".

    Raises:
        BaseException: What `engine.paint` raised.
    """
    events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    token = cancel.current() or cancel.Token()

    def work() -> None:
        try:
            with cancel.scope(token):
                painting = engine.paint(request, lambda step: events.put(("step", _progress(step))))
                events.put(("result", response_body(engine, painting)))
        except cancel.Cancelled as error:  # its traceback would hold this frame, and this frame the error
            events.put(("failed", error.with_traceback(None)))
        except BaseException as error:
            events.put(("failed", error))

    threading.Thread(target=work, name="painting", daemon=True).start()
    yield "queued", {"model": engine.model.name, "seed": request.seed, "images": request.num_images}
    try:
        while True:
            name, data = events.get()
            if name == "failed":
                raise data
            yield name, data
            if name == "result":
                return
    finally:
        token.cancel("the caller is gone")


def _progress(step: Step) -> dict[str, Any]:
    """Return an event's data. It runs between two steps, so previews are rare; the last step has none."""
    data: dict[str, Any] = {"image": step.index, "step": step.done, "steps": step.steps}
    if step.done % PREVIEW_EVERY == 0 and step.done < step.steps and (preview := step.preview()) is not None:
        preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        data["preview"] = "data:image/jpeg;base64," + base64.b64encode(encode(preview, "jpeg")).decode()
    return data
