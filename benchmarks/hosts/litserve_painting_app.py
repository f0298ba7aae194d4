"""The embedded model on LitServe with dynamic batching of whole requests, through the stock diffusers pipeline.

A batch is what arrives within 50 ms, four at most; requests of different steps cannot share a call of the pipeline.
"""

import base64
import io
import os
from typing import Any

import litserve
import torch
from diffusers import DiffusionPipeline

from bananastand.diffusion import find_model


class Painter(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = find_model("fruitstand")
        folder = self.model.local_folder()
        self.pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        self.pipeline.set_progress_bar_config(disable=True)

    def predict(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = [{} for _ in bodies]
        for steps in sorted({body["num_inference_steps"] for body in bodies}):
            picked = [i for i, body in enumerate(bodies) if body["num_inference_steps"] == steps]
            images = self.pipeline(
                [bodies[i]["prompt"] for i in picked],
                num_inference_steps=steps,
                guidance_scale=self.model.guidance.default,
                generator=[torch.Generator("cpu").manual_seed(bodies[i]["seed"]) for i in picked],
            ).images
            for i, image in zip(picked, images, strict=True):
                out = io.BytesIO()
                image.save(out, "png", compress_level=1)
                answers[i] = {"output": base64.b64encode(out.getvalue()).decode()}
        return answers


if __name__ == "__main__":
    api = Painter(max_batch_size=4, batch_timeout=0.05, api_path="/")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=600)
    server.run(port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False)
