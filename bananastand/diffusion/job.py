"""A request in the engine: its unfinished pictures, its timings, and the future of its painting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import cancel
from .active_picture import UnfinishedPicture
from .request import GenerationRequest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Estimate", "Job", "Painting", "Picture", "Step"]


@dataclass(frozen=True)
class Step:
    """A step that is done.

    Attributes:
        index: Number of the picture, from 0.
        images: Pictures of the request.
        done: Steps done.
        steps: Steps in all.
        preview: Returns a small picture of the latents after the step, or None where the family has no previews.
    """

    index: int
    images: int
    done: int
    steps: int
    preview: Callable[[], Image | None] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Picture:
    """A finished picture and the seed that paints it again."""

    image: Image
    seed: int


@dataclass(frozen=True)
class Painting:
    """All pictures of a request.

    Attributes:
        request: The request.
        pictures: The pictures in order.
        timings: Seconds of wall time by part: "waited" for a turn, "prompt", "denoise" (with the pauses for other
            requests), "decode" (after the last step), and their "total".
    """

    request: GenerationRequest
    pictures: list[Picture]
    timings: dict[str, float]


@dataclass
class Estimate:
    """Seconds of a forward, as last measured. Requests of one size share it, so that arrival decides between them."""

    seconds: float = 0.0


class Job:
    """A submitted request. Any thread may wait for its result or cancel it."""

    def __init__(self, request: GenerationRequest, number: int, on_step: Callable[[Step], None] | None = None) -> None:
        self.request = request
        self.number = number
        self.arrived = self.stepped = time.monotonic()
        self.estimate = Estimate()
        self.is_read = False  # whether the prompt is encoded
        self.pending: list[UnfinishedPicture] = []  # pictures that need forwards
        self.behind: list[Job] = []  # jobs that must leave before memory suffices
        self._token = cancel.current() or cancel.Token()
        self._on_step = on_step
        self._images: dict[int, Image] = {}
        self._painting: Future[Painting] = Future()
        self._laps: dict[str, float] = {}
        self._lapped = time.perf_counter()

    @property
    def remaining(self) -> float:
        """Seconds of forwards still to do, as estimated."""
        if not self.is_read:
            return self.estimate.seconds * self.request.num_inference_steps * self.request.num_images
        return self.estimate.seconds * sum(picture.forwards_left for picture in self.pending)

    @property
    def needs_forwards(self) -> bool:
        """Whether the prompt is unread or a picture needs forwards."""
        return not self.is_read or bool(self.pending)

    @property
    def over(self) -> bool:
        """Whether the job is painted, failed or cancelled."""
        return self._painting.done()

    @property
    def parked(self) -> bool:
        """Whether the job waits until others have left their memory."""
        return any(not other.over for other in self.behind)

    def result(self, timeout: float | None = None) -> Painting:
        """Wait for the painting.

        Args:
            timeout: Seconds; None waits for any time.

        Raises:
            TimeoutError: The timeout is over; the job goes on.
            Cancelled: The job was cancelled.
            DiffusionError: The job failed.
        """
        painting = self._painting
        try:
            return painting.result(timeout)
        finally:
            del self, painting  # the error's traceback holds this frame

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Cancel the job; its places in the batch are free after the step."""
        self._token.cancel(reason)

    def check(self) -> bool:
        """End the job if it was cancelled or is out of time; return whether it goes on."""
        try:
            self._token.check()
        except cancel.Cancelled as error:
            self.fail(error.with_traceback(None))  # it would hold this frame, and this frame the job
        return not self.over

    def lap(self, name: str) -> None:
        """Add the time since the last lap to the timing `name`."""
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._lapped
        self._lapped = now

    def begin(self, pictures: Sequence[UnfinishedPicture], estimate: Estimate) -> None:
        """Take the pictures of the encoded prompt and the estimate that jobs like it share."""
        self.pending, self.estimate, self.is_read = list(pictures), estimate, True

    def report_inner_step(self, index: int, done: int, steps: int) -> None:
        """Report a step inside a forward. Raises Cancelled if the job is over."""
        self.report_step(index, done, steps, lambda: None)
        if not self.check():
            raise cancel.Cancelled("the job is over")

    def report_step(self, index: int, done: int, steps: int, preview: Callable[[], Image | None]) -> None:
        """Call the listener. An error of the listener ends this job only."""
        self.stepped = time.monotonic()
        if self._on_step is not None:
            try:
                self._on_step(Step(index, self.request.num_images, done, steps, preview))
            except BaseException as error:
                self.fail(error)

    def deliver(self, index: int, image: Image) -> None:
        """Take the painted picture `index`; the last one ends the job."""
        self._images[index] = image
        if len(self._images) == self.request.num_images:
            self.lap("decode")
            laps = {**self._laps, "total": sum(self._laps.values())}
            pictures = [Picture(self._images[index], self.request.seed + index) for index in sorted(self._images)]
            with suppress(InvalidStateError):  # it failed or was cancelled meanwhile
                timings = {name: round(seconds, 4) for name, seconds in laps.items()}
                self._painting.set_result(Painting(self.request, pictures, timings))

    def fail(self, error: BaseException) -> None:
        """End the job with an error, unless it is over."""
        with suppress(InvalidStateError):
            self._painting.set_exception(error)
