import base64
from io import BytesIO

import numpy as np
from PIL import Image


def init():
    global decoder
    decoder = np.load("decoder.npy")


def inference(model_inputs):
    prompt = model_inputs.get("prompt")
    if prompt is None:
        return {"message": "No prompt provided"}
    height = model_inputs.get("height", 64)
    width = model_inputs.get("width", 64)
    seed = model_inputs.get("seed", 0)
    latents = np.random.RandomState(seed + len(prompt)).rand(height, width, 8)
    pixels = (latents @ decoder).clip(0, 4) / 4 * 255
    image = Image.fromarray(pixels.astype(np.uint8))
    buffered = BytesIO()
    image.save(buffered, format="JPEG")
    return {"image_base64": base64.b64encode(buffered.getvalue()).decode("utf-8")}
