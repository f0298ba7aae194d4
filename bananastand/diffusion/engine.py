"""The step-level engine: a request becomes pictures, one scheduling point at a time. Knows nothing of HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from .. import cancel
from .active import ActivePicture
from .card import Card, find_card
from .families import WholePipeline, family_of
from .loading import load_pipeline
from .request import GenerationRequest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Engine", "Painting", "Picture", "Step"]


@dataclass(frozen=True)
class Step:
    """One step is done: `done` of `steps` forwards of picture `index` (from 0) out of `images`."""

    index: int
    images: int
    done: int
    steps: int
    preview: Callable[[], Image | None] = field(repr=False, compare=False)
    """A small picture of the latents as they stand, or None where the family cannot look inside."""


@dataclass(frozen=True)
class Picture:
    """A finished picture and the seed that paints it again."""

    image: Image
    seed: int


@dataclass(frozen=True)
class Painting:
    """All pictures of a request. `timings` are seconds of wall time: waited, prompt, denoise, decode, total."""

    request: GenerationRequest
    pictures: list[Picture]
    timings: dict[str, float]


class Engine:
    """A loaded model. Threads may call it at once; pictures are painted one after the other.

    >>> engine = Engine.load("fruitstand")
    >>> engine.paint(GenerationRequest.parse({"prompt": "a red apple"}, engine.card)).pictures[0].image.save("a.png")
    """

    mode = "exact"  # a picture never depends on what else is painted

    def __init__(self, card: Card, pipeline: Any) -> None:
        self.card = card
        self.family = family_of(pipeline)
        self._turn = threading.Lock()

    @classmethod
    def load(cls, model: str = "fruitstand", *, device: str | None = None, dtype: str | None = None) -> Engine:
        """Load the card named `model` (or the card file at that path). Raises CardError or LoadError."""
        card = find_card(model)
        return cls(card, load_pipeline(card, device, dtype))

    @property
    def device(self) -> str:
        return str(self.family.device)

    def warm_up(self) -> float:
        """Paint one throw-away picture in as few steps as show every path; returns its seconds."""
        steps = min(2, self.card.steps.max)
        request = GenerationRequest.parse({"prompt": "warm up", "num_inference_steps": steps, "seed": 0}, self.card)
        return self.paint(request).timings["total"]

    def paint(self, request: GenerationRequest, on_step: Callable[[Step], None] | None = None) -> Painting:
        """Paint the request's pictures. `on_step` is called after each step and may raise to stop.

        Raises cancel.Cancelled at the next step once the current cancel scope says so.
        """
        watch, token = _Stopwatch(), cancel.current()
        with self._turn, torch.inference_mode():
            watch.lap("waited")

            def after_step(step: Step) -> None:
                if on_step is not None:
                    on_step(step)
                if token is not None:
                    token.check()

            if token is not None:
                token.check()
            if isinstance(self.family, WholePipeline):
                images = self._paint_whole(request, after_step, watch)
            else:
                images = self._paint_stepwise(request, after_step, watch)
        pictures = [Picture(image, request.seed + i) for i, image in enumerate(images)]
        return Painting(request, pictures, watch.seconds())

    def _paint_stepwise(
        self, request: GenerationRequest, after_step: Callable[[Step], None], watch: _Stopwatch
    ) -> list[Image]:
        family = self.family
        assert not isinstance(family, WholePipeline)
        waiting, images = family.begin(request), list[Any]()
        watch.lap("prompt")
        for picture in waiting:
            while not picture.finished:
                self.tick([picture])
                after_step(self._step(picture))
            watch.lap("denoise")
            images.append(_image(family.decode(picture.latents)))
            watch.lap("decode")
        return images

    def tick(self, batch: Sequence[ActivePicture]) -> None:
        """One scheduling point: one forward for all of `batch` (equal latent shapes), then each its own step."""
        family = self.family
        assert not isinstance(family, WholePipeline)
        for picture, prediction in zip(batch, family.predict(batch), strict=True):
            picture.step(prediction)

    def _step(self, picture: ActivePicture) -> Step:
        family = self.family
        assert not isinstance(family, WholePipeline)
        return Step(
            picture.index,
            picture.request.num_images,
            picture.done,
            picture.steps,
            preview=lambda: _image(family.preview(picture.latents)),
        )

    def _paint_whole(
        self, request: GenerationRequest, after_step: Callable[[Step], None], watch: _Stopwatch
    ) -> list[Image]:
        family, images = self.family, list[Any]()
        assert isinstance(family, WholePipeline)
        for index in range(request.num_images):

            def step_done(done: int, steps: int, index: int = index) -> None:
                after_step(Step(index, request.num_images, done, steps, preview=lambda: None))

            images.append(_image(family.paint(request, index, step_done)))
            watch.lap("denoise")
        return images


class _Stopwatch:
    """Adds up wall time by name; `seconds` rounds to a tenth of a millisecond."""

    def __init__(self) -> None:
        self._begun = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        laps = {**self._laps, "total": self._last - self._begun}
        return {name: round(value, 4) for name, value in laps.items()}


def _image(pixels: Any) -> Image:
    """The first of uint8 pixels (N, height, width, 3) as an image."""
    from PIL import Image as pillow

    return pillow.fromarray(pixels[0])
