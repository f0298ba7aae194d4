"""The engine: paints many requests on one model, one forward at a time.

Before each forward it chooses which requests take part. Requests join, pause, leave and are cancelled between steps.
Each has its own scheduler and generator, so its pictures are those it would get alone.
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
from .active_picture import UnfinishedPicture
from .batch_size import cheapest_batch_size, exact_batch_size
from .cuda import Switches
from .decoder import Decoder
from .errors import Busy, OutOfMemory
from .families import family_of
from .job import Estimate, Job, Painting, Step
from .loading import load_pipeline
from .model_file import ModelFile
from .model_folder import find_model
from .pace import Pace
from .policy import Policy, find_policy
from .request import GenerationRequest

__all__ = ["Engine", "Mode"]

Mode = Literal["exact", "fast"]
READING = 0.05  # seconds of a tick that may go into reading new prompts, once one is read
_Pick = tuple[Job, UnfinishedPicture]


class Engine:
    """A loaded model that paints for many callers at once. While it paints, the pipeline is its own.

    >>> engine = Engine.load("fruitstand")
    >>> engine.paint(GenerationRequest.parse({"prompt": "a red apple"}, engine.model)).pictures[0].image.save("a.png")

    Args:
        model: The model file.
        pipeline: The loaded diffusers pipeline.
        mode: "exact" paints each picture byte for byte as if it were alone: every forward has one fixed batch size,
            padded. Sizes for which this machine's kernels treat the places of a batch differently are painted one at
            a time. "fast" varies the batch size, which changes a picture by rounding errors.
        batch_size: Pictures of one forward; by default the model file's `exact_rows` in exact mode, measured by
            `warm_up` in fast mode.
        policy: Who goes next: "shortest", "fifo", "round-robin", or a function.
        queue: Most unfinished requests; more are refused with Busy.
        acceleration: What to switch on for CUDA; by default what BANANASTAND_ACCELERATION says.

    Raises:
        ValueError: There is no such mode or policy.
    """

    def __init__(
        self,
        model: ModelFile,
        pipeline: Any,
        *,
        mode: Mode = "exact",
        batch_size: int | None = None,
        policy: Policy | str = "shortest",
        queue: int = 64,
        acceleration: Switches | None = None,
    ) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"mode is {mode!r}; {' and '.join(get_args(Mode))} are known")
        self.model, self.mode, self.policy, self.queue = model, mode, find_policy(policy), queue
        self.family = family_of(pipeline)
        self.batch_size = batch_size or (model.engine.exact_batch_size if mode == "exact" else 1)
        self._jobs: list[Job] = []
        self._numbers = itertools.count()
        self._estimates: dict[Hashable, Estimate] = defaultdict(Estimate)
        self._exact_batch_sizes: dict[Hashable, int] = {}
        self._lock = threading.Lock()  # of _jobs and _running
        self._running = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._pace = Pace(self.family.device)
        # Exact decodes have one fixed size too. One: on a CPU, some kernels treat the places of a batch differently.
        self._decoder = Decoder(self.family, 8 if mode == "fast" else 1, self._wake)
        if self.family.device.type == "cuda":
            self.family.accelerate(acceleration or Switches.from_environment())
            metrics.watch_memory(self.family.device)

    @classmethod
    def load(
        cls, model: str = "fruitstand", *, device: str | None = None, dtype: str | None = None, **options: Any
    ) -> Engine:
        """Load a model.

        Args:
            model: Name of a model, or path of a model file.
            device: "cpu", "cuda" or "mps"; by default the best of this machine.
            dtype: Precision; by default the model file's for the device.
            **options: Further options of the constructor.

        Raises:
            ModelFileError: There is no such model, or its file cannot be used.
            LoadError: The model could not be loaded.
        """
        model_file = find_model(model)
        # In a thread that ends, and with it the threads that torch started for it: more threads than cores are slow.
        with ThreadPoolExecutor(1, thread_name_prefix="loading") as loading:
            return loading.submit(lambda: cls(model_file, load_pipeline(model_file, device, dtype), **options)).result()

    @property
    def device(self) -> str:
        """The device's name, such as "cuda:0"."""
        return str(self.family.device)

    def paint(self, request: GenerationRequest, on_step: Callable[[Step], None] | None = None) -> Painting:
        """Submit a request and wait for its pictures.

        Raises:
            Busy: The queue is full.
            OutOfMemory: The picture does not fit beside the model.
            Cancelled: The current cancel scope ended the request.
        """
        job = self.submit(request, on_step)
        try:
            return job.result()
        except BaseException:  # Ctrl-C in the waiting thread, too
            job.cancel()
            raise
        finally:
            del job  # which holds the error, whose traceback holds this frame

    def submit(self, request: GenerationRequest, on_step: Callable[[Step], None] | None = None) -> Job:
        """Queue a request. The current cancel scope may end it after any step.

        Args:
            request: What to paint.
            on_step: Called after each step, on the engine's thread: it must be quick.

        Raises:
            Busy: The queue is full.
        """
        job = Job(request, next(self._numbers), on_step)
        with self._lock:
            if len(self._unfinished()) >= self.queue:
                raise Busy(sum(other.remaining for other in self._jobs))
            self._jobs.append(job)
        self._wake()
        return job

    def warm_up(self) -> float:
        """Paint a picture in as few steps as use every code path; in fast mode, also measure the best batch size.

        Returns:
            Seconds that the picture took.
        """
        body = {"prompt": "warm up", "num_inference_steps": min(2, self.model.steps.max), "seed": 0}
        request = GenerationRequest.parse(body, self.model)
        painting = self.paint(request)
        if self.mode == "fast" and self.family.can_batch:
            self.batch_size = self._thread.submit(cheapest_batch_size, self.family, request).result()
        return painting.timings["total"]

    def _wake(self) -> None:
        with self._lock:
            if any(job.needs_forwards for job in self._unfinished()) and not self._running:
                self._running = True
                self._thread.submit(self._run)

    def _unfinished(self) -> list[Job]:
        """Forget the jobs that are over and return the others. The caller holds the lock."""
        self._jobs = [job for job in self._jobs if not job.over]
        metrics.QUEUE.set(len(self._jobs))
        return self._jobs

    def _run(self) -> None:
        """Tick until no job needs a forward; then the thread is free, until `submit` or a decode wakes it."""
        with torch.inference_mode():
            while True:
                with self._lock:
                    jobs = list(self._unfinished())
                    self._running = any(job.needs_forwards and not job.parked for job in jobs)
                if not self._running:
                    return
                try:
                    self.tick([job for job in jobs if job.check()])
                except BaseException as error:  # an error of the engine, not of one request: fail all, rather than hang
                    for job in jobs:
                        job.fail(error)

    def tick(self, jobs: Sequence[Job]) -> None:
        """Read new prompts, pick a batch, run one forward, step each picture, and hand on the finished ones."""
        self._begin(jobs)
        predictions = self._forward(batch) if (batch := self._pick(jobs)) else []
        for (job, picture), prediction in zip(batch, predictions, strict=False):
            picture.step(prediction)
            latents = picture.latents  # as they are now, whenever the listener looks
            job.report_step(picture.index, picture.done, picture.steps, lambda latents=latents: self._preview(latents))
            if picture.finished:
                job.pending.remove(picture)
                if not job.pending:
                    job.lap("denoise")
                self._decoder.put(job, picture.index, picture.latents)
        if batch:
            self._decoder.settle()

    def _begin(self, jobs: Sequence[Job]) -> None:
        """Read the prompts of the jobs that come next, without holding up those that paint."""
        started = time.monotonic()
        for job in sorted((job for job in jobs if not job.is_read and not job.over), key=self.policy):
            job.lap("waited")
            metrics.WAIT.observe(time.monotonic() - job.arrived)
            try:
                pictures = self.family.begin(job.request, job.report_inner_step)
                key = self._key(pictures[0])
                job.begin(pictures, self._estimates[key])
                if self._needs_exact_batch_size(key):
                    self._exact_batch_sizes[key] = exact_batch_size(self.family, job.request, self.batch_size)
            except torch.OutOfMemoryError:
                job.fail(OutOfMemory(self.model.name, "its device"))
            except BaseException as error:
                job.fail(error)
            job.lap("prompt")
            if time.monotonic() - started > READING:
                return

    def _pick(self, jobs: Sequence[Job]) -> list[_Pick]:
        """Pick the first picture of the job that the policy puts first, and pictures like it to fill the batch."""
        ranked = sorted((job for job in jobs if job.pending and not job.over and not job.parked), key=self.policy)
        waiting = [(job, picture) for job in ranked for picture in job.pending]
        if not waiting:
            return []
        key = self._key(waiting[0][1])
        alike = (pick for pick in waiting if self._key(pick[1]) == key)
        return list(itertools.islice(alike, self._batch_size_for(key)))

    def _needs_exact_batch_size(self, key: Hashable) -> bool:
        batches = self.mode == "exact" and self.batch_size > 1 and self.family.can_batch
        return batches and key not in self._exact_batch_sizes

    def _batch_size_for(self, key: Hashable) -> int:
        if not self.family.can_batch:
            return 1
        return self.batch_size if self.mode == "fast" else self._exact_batch_sizes.get(key, 1)

    def _key(self, picture: UnfinishedPicture) -> Hashable:
        """Pictures with equal keys may share a forward; in exact mode guided and unguided ones do not."""
        return picture.batch_key, picture.rows if self.mode == "exact" else None

    def _forward(self, batch: list[_Pick]) -> list[torch.Tensor]:
        """Run one forward, padded in exact mode. Returns fewer predictions than pictures where memory falls short."""
        pictures = [picture for _, picture in batch]
        missing = self._batch_size_for(self._key(pictures[0])) - len(pictures) if self.mode == "exact" else 0
        try:
            with self._pace.forward(lambda seconds: self._measure(batch, seconds)):
                return self.family.predict(pictures + pictures[:1] * missing)[: len(batch)]
        except torch.OutOfMemoryError:
            return self._make_room(batch)
        except BaseException as error:
            for job, _ in batch:
                job.fail(error)
            return []

    def _measure(self, batch: list[_Pick], seconds: float) -> None:
        """Expect of the next forward of this kind what this one took."""
        estimate = self._estimates[self._key(batch[0][1])]
        estimate.seconds += (0.3 if estimate.seconds else 1.0) * (seconds - estimate.seconds)
        if self.family.can_batch:  # a whole pipeline's call is not one forward
            metrics.STEP.observe(seconds)
            metrics.BATCH_SIZE.observe(len(batch))

    def _make_room(self, batch: list[_Pick]) -> list[torch.Tensor]:
        """Go on after memory fell short: in fast mode with a smaller batch, in exact mode once the others have left."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.mode == "fast" and len(batch) > 1:
            self.batch_size = len(batch) // 2
            return self._forward(batch[: self.batch_size])
        short = list(dict.fromkeys(job for job, _ in batch))
        with self._lock:
            others = [job for job in self._jobs if job not in short and not job.over and not job.parked]
        for job in short:
            if others and not job.behind:
                job.behind = others
            else:
                job.fail(OutOfMemory(self.model.name, self.device))
        return []

    def _preview(self, latents: torch.Tensor) -> Image.Image | None:
        with torch.inference_mode():
            pixels = self.family.preview(latents)
        return None if pixels is None else Image.fromarray(pixels[0])
