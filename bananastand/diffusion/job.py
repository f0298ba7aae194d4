"""A request in the engine: its pictures on their way, its clock, and the promise of its painting."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import cancel
from .active_picture import ActivePicture
from .request import GenerationRequest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Estimate", "Job", "Painting", "Picture", "Step"]


@dataclass(frozen=True)
class Step:
    """One step is done: `done` of `steps` forwards of picture `index` (from 0) out of `images`."""

    index: int
    images: int
    done: int
    steps: int
    preview: Callable[[], Image | None] = field(repr=False, compare=False)
    """A small picture of the latents as they stood, or None where the family cannot look inside."""


@dataclass(frozen=True)
class Picture:
    """A finished picture and the seed that paints it again."""

    image: Image
    seed: int


@dataclass(frozen=True)
class Painting:
    """All pictures of a request.

    `timings` are seconds of wall time, one after the other: waited for a turn, prompt, denoise (pauses for other
    requests within), decode (what of it came after the last step), and their total.
    """

    request: GenerationRequest
    pictures: list[Picture]
    timings: dict[str, float]


@dataclass
class Estimate:
    """Seconds of a forward, as last measured. Requests of one size share it, or it would decide between two alike."""

    seconds: float = 0.0


class Job:
    """What `Engine.submit` returns. Any thread may wait for its result or cancel it."""

    def __init__(self, request: GenerationRequest, number: int, on_step: Callable[[Step], None] | None = None) -> None:
        self.request = request
        self.number = number
        self.arrived = self.stepped = time.monotonic()
        self.estimate = Estimate()
        self.pending: list[ActivePicture] | None = None  # pictures that need forwards; None before the prompt is read
        self.behind: list[Job] = []  # those that must leave before memory suffices
        self._token = cancel.current() or cancel.Token()
        self._on_step = on_step
        self._images: dict[int, Image] = {}
        self._painting: Future[Painting] = Future()
        self._laps: dict[str, float] = {}
        self._lapped = time.perf_counter()

    @property
    def remaining(self) -> float:
        """Seconds of forwards still to do, as estimated."""
        if self.pending is None:
            return self.estimate.seconds * self.request.num_inference_steps * self.request.num_images
        return self.estimate.seconds * sum(picture.steps - picture.done for picture in self.pending)

    @property
    def over(self) -> bool:
        """Painted, failed or cancelled."""
        return self._painting.done()

    @property
    def parked(self) -> bool:
        """Waiting for others to leave their memory."""
        return any(not other.over for other in self.behind)

    def result(self, timeout: float | None = None) -> Painting:
        """Wait for the painting. Raises what went wrong, cancel.Cancelled, or TimeoutError after `timeout` seconds."""
        painting = self._painting
        try:
            return painting.result(timeout)
        finally:
            del self, painting  # the error's traceback holds this frame

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Call the job off; its rows are free at the next step."""
        self._token.cancel(reason)

    def check(self) -> bool:
        """Whether it is still wanted; a job that was called off or is out of time ends here."""
        try:
            self._token.check()
        except cancel.Cancelled as error:
            self.fail(error.with_traceback(None))  # it would hold this frame, and this frame the job
        return not self.over

    def lap(self, name: str) -> None:
        """The time since the last lap was spent on `name`."""
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._lapped
        self._lapped = now

    def step_done(self, index: int, done: int, steps: int, preview: Callable[[], Image | None]) -> None:
        """Tell the listener. What it raises ends this job and no other."""
        self.stepped = time.monotonic()
        if self._on_step is not None:
            try:
                self._on_step(Step(index, self.request.num_images, done, steps, preview))
            except BaseException as error:
                self.fail(error)

    def deliver(self, index: int, image: Image) -> None:
        """Picture `index` is painted; the last one ends the job."""
        self._images[index] = image
        if len(self._images) == self.request.num_images:
            self.lap("decode")
            laps = {**self._laps, "total": sum(self._laps.values())}
            pictures = [Picture(self._images[i], self.request.seed + i) for i in sorted(self._images)]
            with suppress(InvalidStateError):  # it failed or was cancelled meanwhile
                timings = {name: round(seconds, 4) for name, seconds in laps.items()}
                self._painting.set_result(Painting(self.request, pictures, timings))

    def fail(self, error: BaseException) -> None:
        """End the job with that error; the first end stands."""
        with suppress(InvalidStateError):
            self._painting.set_exception(error)
