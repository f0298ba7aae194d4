"""A picture between its first noise and its last step: its latents, its own scheduler and its own generator."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from .cuda.pinned_memory import to_device
from .request import GenerationRequest

__all__ = ["ActivePicture", "Conditioning", "StepReport", "UnfinishedPicture"]

StepReport = Callable[[int, int, int], None]
"""Takes a step inside a forward: the picture's index, steps done, steps in all. May raise to end the picture."""


class UnfinishedPicture(Protocol):
    """What the engine needs of a picture that is being painted."""

    request: GenerationRequest
    index: int
    done: int
    latents: torch.Tensor

    @property
    def steps(self) -> int:
        """Steps in all."""
        ...

    @property
    def rows(self) -> int:
        """Rows of the denoiser's input: two with guidance, one without."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        ...

    @property
    def forwards_left(self) -> int:
        """Forwards still to do."""
        ...

    @property
    def batch_key(self) -> Hashable:
        """Pictures with equal keys may share a forward."""
        ...

    def step(self, prediction: torch.Tensor) -> None:
        """Apply what a forward returned for this picture."""
        ...


@dataclass(frozen=True)
class Conditioning:
    """A prompt as the denoiser reads it: one row without guidance, two with it, unguided first.

    Attributes:
        states: Text states, (rows, tokens, width).
        added: Further conditions by name, each (rows, ...), as SDXL has them.
        guidance: Guidance scale.
    """

    states: torch.Tensor
    added: dict[str, torch.Tensor]
    guidance: float

    @property
    def rows(self) -> int:
        """Rows of the denoiser's input."""
        return self.states.shape[0]


class ActivePicture:
    """One picture of a request between its first noise and its last step.

    All randomness comes from its own CPU generator: a seed means the same noise on every device, and other pictures
    cannot change this one.

    Args:
        request: The request.
        index: Number of the picture, from 0.
        scheduler: Scheduler of the pipeline; the picture steps a copy.
        schedule: Arguments of the scheduler's `set_timesteps`.
        conditioning: The prompt as the denoiser reads it.
        latent_shape: (1, channels, height, width).
        pinned: Copy the noise through pinned memory.
    """

    def __init__(
        self,
        request: GenerationRequest,
        index: int,
        *,
        scheduler: Any,
        schedule: dict[str, Any],
        conditioning: Conditioning,
        latent_shape: tuple[int, ...],
        pinned: bool = False,
    ) -> None:
        states = conditioning.states
        self.request = request
        self.index = index
        self.conditioning = conditioning
        self.generator = torch.Generator("cpu").manual_seed(request.seed + index)
        self.scheduler = copy.deepcopy(scheduler)
        self.scheduler.set_timesteps(**schedule, device=states.device)
        self.timesteps: torch.Tensor = self.scheduler.timesteps
        self.done = 0
        noise = torch.randn(latent_shape, generator=self.generator, dtype=states.dtype)
        noise = to_device(noise, states.device, pinned)
        self.latents: torch.Tensor = noise * getattr(self.scheduler, "init_noise_sigma", 1.0)
        self._scales_input = hasattr(self.scheduler, "scale_model_input")  # flow matching has no need to
        accepted = inspect.signature(self.scheduler.step).parameters
        options: dict[str, Any] = {"eta": 0.0, "generator": self.generator}
        self._options = {name: value for name, value in options.items() if name in accepted}

    @property
    def steps(self) -> int:
        """Forwards of the denoiser in all; a second-order scheduler takes more than the requested steps."""
        return len(self.timesteps)

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.done == self.steps

    @property
    def rows(self) -> int:
        """Rows of the denoiser's input: two with guidance, one without."""
        return self.conditioning.rows

    @property
    def forwards_left(self) -> int:
        """Forwards still to do."""
        return self.steps - self.done

    @property
    def batch_key(self) -> Hashable:
        """Pictures with equal keys may share a forward."""
        return self.latents.shape, self.latents.dtype, self.conditioning.states.shape[1:]

    @property
    def timestep(self) -> torch.Tensor:
        """The timestep of the next forward, a scalar tensor."""
        return self.timesteps[self.done]

    def model_input(self) -> torch.Tensor:
        """Return the latents as the denoiser expects them now: (1, channels, height, width)."""
        return self.scheduler.scale_model_input(self.latents, self.timestep) if self._scales_input else self.latents

    def step(self, prediction: torch.Tensor) -> None:
        """Apply guidance to a prediction, (rows, channels, height, width), then step the scheduler."""
        if self.conditioning.rows == 2:
            unguided, guided = prediction.chunk(2)
            prediction = unguided + self.conditioning.guidance * (guided - unguided)
        self.latents = self.scheduler.step(prediction, self.timestep, self.latents, **self._options, return_dict=False)[
            0
        ]
        self.done += 1
