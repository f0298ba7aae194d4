"""A picture on its way: its latents, its own scheduler and its own generator. Torch, but no HTTP and no pipeline."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch

from .cuda.pinned_memory import to_device
from .request import GenerationRequest

__all__ = ["ActivePicture", "Conditioning"]


@dataclass(frozen=True)
class Conditioning:
    """What the text says to the denoiser, one row without guidance, two with it: unguided first, then guided.

    states: (rows, tokens, width). added: further conditions by name, each (rows, ...), as SDXL has them.
    """

    states: torch.Tensor
    added: dict[str, torch.Tensor]
    guidance: float

    @property
    def rows(self) -> int:
        return self.states.shape[0]


class ActivePicture:
    """One picture of a request between its first noise and its last step.

    Every draw of randomness comes from its own CPU generator, so a seed means the same noise on every device, and
    nothing that happens to other pictures can change this one.
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
        self._scaled = hasattr(self.scheduler, "scale_model_input")  # flow matching has no need to
        accepted = inspect.signature(self.scheduler.step).parameters
        options: dict[str, Any] = {"eta": 0.0, "generator": self.generator}
        self._options = {name: value for name, value in options.items() if name in accepted}

    @property
    def steps(self) -> int:
        """Forwards of the denoiser in all; a second-order scheduler takes more than the steps asked for."""
        return len(self.timesteps)

    @property
    def finished(self) -> bool:
        return self.done == self.steps

    @property
    def timestep(self) -> torch.Tensor:
        """The timestep of the next forward, a scalar."""
        return self.timesteps[self.done]

    def model_input(self) -> torch.Tensor:
        """The latents as the denoiser wants to see them now: (1, channels, height, width)."""
        return self.scheduler.scale_model_input(self.latents, self.timestep) if self._scaled else self.latents

    def step(self, prediction: torch.Tensor) -> None:
        """Go one step: guide (rows, channels, height, width) down to one row, then step the scheduler."""
        if self.conditioning.rows == 2:
            unguided, guided = prediction.chunk(2)
            prediction = unguided + self.conditioning.guidance * (guided - unguided)
        self.latents = self.scheduler.step(prediction, self.timestep, self.latents, **self._options, return_dict=False)[
            0
        ]
        self.done += 1
