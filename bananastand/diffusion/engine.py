"""The step-level engine: many requests on one model, one forward at a time. Knows nothing of HTTP.

Before each forward it chooses anew who takes part. Requests join, pause, leave and are called off between steps; each
has its own scheduler and generator, so its pictures are those it would get alone.
"""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, get_args

import torch
from PIL import Image

from . import metrics
from .active_picture import ActivePicture
from .model_file import Card, find_card
from .cuda import Switches, accelerate
from .decoder import Decoder
from .errors import Busy, OutOfMemory
from .families import WholePipeline, family_of
from .job import Estimate, Job, Painting, Step
from .loading import load_pipeline
from .pace import Pace
from .policy import Policy, find_policy
from .request import GenerationRequest
from .batch_size import cheapest_rows, exact_rows

__all__ = ["Engine", "Mode"]

Mode = Literal["exact", "fast"]
READING = 0.05  # seconds of a tick that may go into reading new prompts, once one is read
_Pick = tuple[Job, ActivePicture]


class Engine:
    """A loaded model that paints for many callers at once. The pipeline is its own while it paints.

    mode: "exact" paints each picture byte for byte as if it were alone: forwards have one fixed size, the card's
    `exact_rows` (or `rows`), padded; one, for sizes at which this machine does not treat each row alike. "fast" lets it
    vary, which changes a picture by rounding errors.
    policy: who goes next: shortest, fifo, round-robin, or a function of your own.
    queue: requests that may be here at once; more are refused with Busy.
    acceleration: what to switch on for CUDA; what BANANASTAND_ACCELERATION says where it is not given.

    >>> engine = Engine.load("fruitstand")
    >>> engine.paint(GenerationRequest.parse({"prompt": "a red apple"}, engine.card)).pictures[0].image.save("a.png")
    """

    def __init__(
        self,
        card: Card,
        pipeline: Any,
        *,
        mode: Mode = "exact",
        rows: int | None = None,
        policy: Policy | str = "shortest",
        queue: int = 64,
        acceleration: Switches | None = None,
    ) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"mode is {mode!r}; {' and '.join(get_args(Mode))} are known")
        self.card, self.mode, self.policy, self.queue = card, mode, find_policy(policy), queue
        self.family = family_of(pipeline)
        self.rows = rows or (card.engine.exact_rows if mode == "exact" else 1)
        self._jobs: list[Job] = []
        self._numbers = itertools.count()
        self._estimates: dict[Hashable, Estimate] = defaultdict(Estimate)
        self._exact_rows: dict[Hashable, int] = {}
        self._lock = threading.Lock()  # of _jobs and _running
        self._running = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._pace = Pace(self.family.device)
        if not isinstance(self.family, WholePipeline):
            # Exact decodes have one fixed size too. One: on a CPU, some of its kernels mind a picture's place.
            self._decoder = Decoder(self.family, 8 if mode == "fast" else 1, self._wake)
            if self.family.device.type == "cuda":
                accelerate(self.family, acceleration or Switches.from_environment())
                metrics.watch_memory(self.family.device)

    @classmethod
    def load(
        cls, model: str = "fruitstand", *, device: str | None = None, dtype: str | None = None, **options: Any
    ) -> Engine:
        """Load the card named `model` (or the card file at that path); `options` are those of the constructor.

        Raises CardError or LoadError.
        """
        card = find_card(model)
        # In a thread that ends, and takes along the threads that torch made for it: more than cores slow all (Decoder).
        with ThreadPoolExecutor(1, thread_name_prefix="loading") as loading:
            return loading.submit(lambda: cls(card, load_pipeline(card, device, dtype), **options)).result()

    @property
    def device(self) -> str:
        return str(self.family.device)

    def paint(self, request: GenerationRequest, on_step: Callable[[Step], None] | None = None) -> Painting:
        """Submit the request and wait. Raises what went wrong; Busy where there is no room."""
        job = self.submit(request, on_step)
        try:
            return job.result()
        except BaseException:  # Ctrl-C in the waiting thread, too
            job.cancel()
            raise
        finally:
            del job  # which holds the error, whose traceback holds this frame

    def submit(self, request: GenerationRequest, on_step: Callable[[Step], None] | None = None) -> Job:
        """Queue the request. `on_step` runs on the engine's thread after each of its steps: be quick there.

        The current cancel scope is the job's: it is called off at the next step once that scope says so.
        """
        job = Job(request, next(self._numbers), on_step)
        with self._lock:
            if len(self._present()) >= self.queue:
                raise Busy(sum(other.remaining for other in self._jobs))
            self._jobs.append(job)
        self._wake()
        return job

    def _wake(self) -> None:
        with self._lock:
            if any(job.pending != [] for job in self._present()) and not self._running:
                self._running = True
                self._thread.submit(self._run)

    def _present(self) -> list[Job]:
        """Those that are not over. To be called with the lock."""
        self._jobs = [job for job in self._jobs if not job.over]
        metrics.QUEUE.set(len(self._jobs))
        return self._jobs

    def _run(self) -> None:
        """Tick until nobody needs a step; the thread is free then, and `submit` or a finished decode starts anew."""
        with torch.inference_mode():
            while True:
                with self._lock:
                    jobs = list(self._present())
                    self._running = any(job.pending != [] and not job.parked for job in jobs)
                if not self._running:
                    return
                try:
                    self.tick([job for job in jobs if job.check()])
                except BaseException as error:  # ours, not a request's: say so to all rather than hang
                    for job in jobs:
                        job.fail(error)

    def tick(self, jobs: Sequence[Job]) -> None:
        """One scheduling point: read new prompts, pick, forward once, step each, retire the finished."""
        self._begin(jobs)
        predictions = self._forward(batch) if (batch := self._pick(jobs)) else []
        for (job, picture), prediction in zip(batch, predictions, strict=False):
            picture.step(prediction)
            latents = picture.latents  # as they stand now, whenever the listener looks
            job.step_done(picture.index, picture.done, picture.steps, lambda at=latents: self._preview(at))
            if picture.finished:
                assert job.pending is not None
                job.pending.remove(picture)
                if not job.pending:
                    job.lap("denoise")
                self._decoder.put(job, picture.index, picture.latents)
        if batch:
            self._decoder.settle()

    def _begin(self, jobs: Sequence[Job]) -> None:
        """Read the prompts of those whose turn comes next, without holding up those that paint."""
        started = time.monotonic()
        for job in sorted((job for job in jobs if job.pending is None and not job.over), key=self.policy):
            job.lap("waited")
            metrics.WAIT.observe(time.monotonic() - job.arrived)
            try:
                if isinstance(self.family, WholePipeline):
                    self._paint_whole(self.family, job)
                else:
                    job.pending = self.family.begin(job.request)
                    key = self._key(job.pending[0])
                    job.estimate = self._estimates[key]
                    if self.mode == "exact" and self.rows > 1 and key not in self._exact_rows:
                        self._exact_rows[key] = exact_rows(self.family, job.request, self.rows)
            except BaseException as error:
                job.fail(_clear(error, self.card))
            job.lap("prompt")
            if time.monotonic() - started > READING:
                return

    def _pick(self, jobs: Sequence[Job]) -> list[_Pick]:
        """The first picture of the request that the policy puts first, and those like it that fill the forward."""
        ranked = sorted((job for job in jobs if job.pending and not job.over and not job.parked), key=self.policy)
        waiting = [(job, picture) for job in ranked for picture in job.pending or ()]
        alike = (pick for pick in waiting if self._key(pick[1]) == self._key(waiting[0][1]))
        return list(itertools.islice(alike, self._most(waiting[0][1]))) if waiting else []

    def _most(self, picture: ActivePicture) -> int:
        """How many pictures like this one a forward holds."""
        return self.rows if self.mode == "fast" else self._exact_rows.get(self._key(picture), 1)

    def _key(self, picture: ActivePicture) -> Hashable:
        """Pictures of one key may share a forward."""
        latents, states = picture.latents, picture.conditioning.states
        rows = picture.conditioning.rows if self.mode == "exact" else None
        return latents.shape, latents.dtype, states.shape[1:], rows

    def _forward(self, batch: list[_Pick]) -> list[torch.Tensor]:
        """One forward of the denoiser, in exact mode padded to its one size. Fewer predictions than the batch, or
        none, where memory falls short."""
        family = self.family
        assert not isinstance(family, WholePipeline)
        pictures = [picture for _, picture in batch]
        padding = pictures[:1] * (self._most(pictures[0]) - len(pictures)) if self.mode == "exact" else []
        try:
            with self._pace.forward(lambda seconds: self._took(batch, seconds)):
                return family.predict(pictures + padding)[: len(batch)]
        except torch.OutOfMemoryError:
            return self._make_room(batch)
        except BaseException as error:
            for job, _ in batch:
                job.fail(error)
            return []

    def _took(self, batch: list[_Pick], seconds: float) -> None:
        """What a forward took is what the next of its kind is expected to take."""
        estimate = self._estimates[self._key(batch[0][1])]
        estimate.seconds += (0.3 if estimate.seconds else 1.0) * (seconds - estimate.seconds)
        metrics.STEP.observe(seconds)
        metrics.ROWS.observe(len(batch))

    def _make_room(self, batch: list[_Pick]) -> list[torch.Tensor]:
        """Memory fell short. Fast: fewer rows. Exact: the same rows, once the others have left."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.mode == "fast" and len(batch) > 1:
            self.rows = len(batch) // 2
            return self._forward(batch[: self.rows])
        mine = list(dict.fromkeys(job for job, _ in batch))
        with self._lock:
            others = [job for job in self._jobs if job not in mine and not job.over and not job.parked]
        for job in mine:
            if others and not job.behind:
                job.behind = others
            else:
                job.fail(OutOfMemory(self.card.name, self.device))
        return []

    def warm_up(self) -> float:
        """Paint a throw-away picture in as few steps as show every path; returns its seconds.

        In fast mode also find how many pictures make a forward cheapest.
        """
        asked = {"prompt": "warm up", "num_inference_steps": min(2, self.card.steps.max), "seed": 0}
        request = GenerationRequest.parse(asked, self.card)
        painting = self.paint(request)
        if not isinstance(self.family, WholePipeline) and self.mode == "fast":
            self.rows = self._thread.submit(cheapest_rows, self.family, request).result()
        return painting.timings["total"]

    def _preview(self, latents: torch.Tensor) -> Image.Image:
        family = self.family
        assert not isinstance(family, WholePipeline)
        with torch.inference_mode():
            return Image.fromarray(family.preview(latents)[0])

    def _paint_whole(self, family: WholePipeline, job: Job) -> None:
        """Hand the job to a pipeline that has no adapter; it has the model to itself until its last picture."""
        for index in range(job.request.num_images):

            def step_done(done: int, steps: int, index: int = index) -> None:
                job.step_done(index, done, steps, lambda: None)
                if not job.check():
                    raise _Over

            try:
                pixels = family.paint(job.request, index, step_done)
            except _Over:
                break
            job.lap("denoise")
            job.deliver(index, Image.fromarray(pixels[0]))
        job.pending = []


class _Over(Exception):
    """The job ended while its pipeline ran."""


def _clear(error: BaseException, card: Card) -> BaseException:
    return OutOfMemory(card.name, "its device") if isinstance(error, torch.OutOfMemoryError) else error
