"""Any other pipeline: one request at a time, with diffusers' own loop inside."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch

from ..active_picture import StepReport
from ..cuda import Switches
from ..request import GenerationRequest

__all__ = ["WholePicture", "WholePipeline"]


class WholePicture:
    """A picture that one call of the pipeline paints; its `latents` are the painted pixels."""

    def __init__(self, request: GenerationRequest, index: int, on_step: StepReport | None) -> None:
        self.request, self.index, self.on_step = request, index, on_step
        self.latents = torch.empty(0)
        self.done, self.steps, self.rows = 0, 1, 1

    @property
    def finished(self) -> bool:
        """Whether the picture is painted."""
        return bool(self.latents.numel())

    @property
    def forwards_left(self) -> int:
        """Calls of the pipeline still to do."""
        return 0 if self.finished else 1

    @property
    def batch_key(self) -> Hashable:
        """Pictures with equal keys take equally long."""
        return self.request.width, self.request.height, self.request.num_inference_steps

    def step(self, prediction: torch.Tensor) -> None:
        """Take the painted pixels."""
        self.latents, self.done = prediction, self.steps


class WholePipeline:
    """Calls the pipeline as it is, without the arguments that it does not take."""

    can_batch = False

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.device: torch.device = pipeline.device
        self.precision = str(pipeline.dtype).removeprefix("torch.")
        self._accepted = set(inspect.signature(pipeline.__call__).parameters)

    def accelerate(self, switches: Switches) -> None:
        """Leave the pipeline as it is: how it calls its parts is not known."""

    def begin(self, request: GenerationRequest, on_step: StepReport | None = None) -> list[WholePicture]:
        """Return the request's pictures; `on_step` is called inside `predict`."""
        return [WholePicture(request, index, on_step) for index in range(request.num_images)]

    def predict(self, batch: Sequence[Any]) -> list[torch.Tensor]:
        """Paint one picture: uint8 pixels (1, height, width, 3). Every step but the last is reported."""
        (picture,) = batch
        request: GenerationRequest = picture.request

        def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            picture.steps = max(step + 1, int(pipeline.num_timesteps))
            if picture.on_step and step + 1 < picture.steps:  # the engine reports the last one
                picture.on_step(picture.index, step + 1, picture.steps)
            return tensors

        options: dict[str, Any] = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "num_inference_steps": request.num_inference_steps,
            "guidance_scale": request.guidance_scale,
            "width": request.width,
            "height": request.height,
            "generator": torch.Generator("cpu").manual_seed(request.seed + picture.index),
            "callback_on_step_end": after_step,
            "output_type": "np",
        }
        pixels = self.pipeline(**{name: value for name, value in options.items() if name in self._accepted}).images
        return [torch.from_numpy(np.round(np.asarray(pixels) * 255).astype(np.uint8)).to(self.device)]

    def decode(self, latents: torch.Tensor) -> Any:
        """Return pixels (N, height, width, 3) as a numpy array."""
        return latents.cpu().numpy()

    def preview(self, latents: torch.Tensor) -> Any:
        """Return None: the pipeline does not show its latents."""
        return None
