"""Any other pipeline, called whole: one request at a time, with diffusers' own loop inside."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..request import GenerationRequest

__all__ = ["WholePipeline"]


class WholePipeline:
    """Hands a request to the pipeline as it is; a pipeline without a negative prompt is not given one."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.device: torch.device = pipeline.device
        self.precision = str(pipeline.dtype).removeprefix("torch.")
        self._accepted = set(inspect.signature(pipeline.__call__).parameters)

    def paint(self, request: GenerationRequest, index: int, on_step: Callable[[int, int], None]) -> Any:
        """Picture `index` of the request as uint8 pixels (1, height, width, 3). on_step(done, steps) may raise."""

        def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, max(step + 1, int(pipeline.num_timesteps)))
            return tensors

        options: dict[str, Any] = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "num_inference_steps": request.num_inference_steps,
            "guidance_scale": request.guidance_scale,
            "width": request.width,
            "height": request.height,
            "generator": torch.Generator("cpu").manual_seed(request.seed + index),
            "callback_on_step_end": after_step,
            "output_type": "np",
        }
        pixels = self.pipeline(**{k: v for k, v in options.items() if k in self._accepted}).images
        return np.round(np.asarray(pixels) * 255).astype(np.uint8)
