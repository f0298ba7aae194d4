"""A repository as Banana's SDXL template had it: a Potassium app, built from its Dockerfile, unchanged."""

import base64
import io

import torch
from diffusers import DiffusionPipeline
from potassium import Potassium, Request, Response

from download import MODEL

app = Potassium("banana-sdxl")


@app.init
def init() -> dict:
    gpu = torch.cuda.is_available()
    pipe = DiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float16 if gpu else torch.float32)
    return {"model": pipe.to("cuda" if gpu else "cpu")}


@app.handler("/")
def handler(context: dict, request: Request) -> Response:
    model, prompt = context["model"], request.json.get("prompt")
    generator = torch.Generator().manual_seed(request.json.get("seed", 0))
    image = model(prompt, num_inference_steps=request.json.get("steps", 25), generator=generator).images[0]
    buffered = io.BytesIO()
    image.save(buffered, format="JPEG")
    return Response(json={"output": base64.b64encode(buffered.getvalue()).decode()}, status=200)


if __name__ == "__main__":
    app.serve()
