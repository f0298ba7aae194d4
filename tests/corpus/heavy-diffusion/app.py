import base64
from io import BytesIO

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline


def init():
    global model
    name = "runwayml/stable-diffusion-v1-5"
    scheduler = DPMSolverMultistepScheduler.from_pretrained(name, subfolder="scheduler")
    model = StableDiffusionPipeline.from_pretrained(name, scheduler=scheduler)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")


def inference(model_inputs: dict) -> dict:
    global model
    prompt = model_inputs.get("prompt", None)
    if prompt == None:
        return {"message": "No prompt provided"}
    generator = torch.Generator().manual_seed(model_inputs.get("seed", 0))
    image = model(
        prompt,
        height=model_inputs.get("height", 64),
        width=model_inputs.get("width", 64),
        num_inference_steps=model_inputs.get("num_inference_steps", 2),
        guidance_scale=model_inputs.get("guidance_scale", 7.5),
        generator=generator,
    ).images[0]
    buffered = BytesIO()
    image.save(buffered, format="JPEG")
    return {"image_base64": base64.b64encode(buffered.getvalue()).decode("utf-8")}
