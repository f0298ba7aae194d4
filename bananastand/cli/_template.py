"""The files of a Banana repository that `bananastand init` writes; @WORDS@ are replaced."""

from __future__ import annotations

__all__ = ["FILES"]

APP = '''"""@NAME@: a Potassium app. init() loads the model once, the handler answers every call."""

import base64
import io

import torch
from diffusers import DiffusionPipeline
from potassium import Potassium, Request, Response

MODEL = "@MODEL@"
app = Potassium("@NAME@")


@app.init
def init() -> dict:
    gpu = torch.cuda.is_available()
    pipe = DiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float16 if gpu else torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return {"pipe": pipe.to("cuda" if gpu else "cpu")}


@app.handler("/")
def handler(context: dict, request: Request) -> Response:
    inputs = request.json
    prompt = inputs.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        return Response(json={"message": "No prompt provided"}, status=400)
    seed = inputs.get("seed")
    picture = context["pipe"](
        prompt,
        negative_prompt=inputs.get("negative_prompt"),
        num_inference_steps=int(inputs.get("num_inference_steps", @STEPS@)),
        guidance_scale=float(inputs.get("guidance_scale", @GUIDANCE@)),
        width=int(inputs.get("width", @SIZE@)),
        height=int(inputs.get("height", @SIZE@)),
        generator=torch.Generator().manual_seed(seed) if isinstance(seed, int) else None,
    ).images[0]
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return Response(json={"output": base64.b64encode(file.getvalue()).decode()}, status=200)


if __name__ == "__main__":
    app.serve()
'''

DOWNLOAD = '''"""Runs while the image is built, so that a replica starts with the weights at hand."""

import os

from diffusers import DiffusionPipeline

MODEL = "@MODEL@"

if __name__ == "__main__":
    if os.path.isdir(MODEL):
        print(f"{MODEL}/ is in the repository: nothing to fetch")
    else:
        DiffusionPipeline.download(MODEL)
'''

DOCKERFILE = """FROM pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime
WORKDIR /app

# Packages, then weights, then code: what changes rarely comes first, and is not built again.
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

@WEIGHTS@COPY download.py .
RUN python3 download.py

COPY . .
EXPOSE 8000
CMD ["python3", "-u", "app.py"]
"""

REQUIREMENTS = """potassium==0.5.0
diffusers
transformers
safetensors
pillow
"""

CONFIG = """{
    "version": "1",
    "inputs": [
        {
            "name": "prompt",
            "description": "What to paint.",
            "type": "string",
            "required": true,
            "default": "two small red apples on a blue background"
        },
        {
            "name": "seed",
            "description": "The same seed gives the same picture.",
            "type": "number",
            "required": false
        },
        {
            "name": "num_inference_steps",
            "description": "Denoising steps: more take longer.",
            "type": "number",
            "required": false,
            "default": @STEPS@
        }
    ],
    "output": {
        "picture": {
            "type": "image",
            "source": "base64",
            "path": "output"
        }
    }
}
"""

FILES = {
    "app.py": APP,
    "download.py": DOWNLOAD,
    "Dockerfile": DOCKERFILE,
    "requirements.txt": REQUIREMENTS,
    "banana_config.json": CONFIG,
    ".dockerignore": ".git\n.venv\n**/__pycache__\n",
    ".gitignore": ".venv\n__pycache__/\n",
}
