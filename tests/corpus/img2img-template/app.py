import base64
from io import BytesIO

import numpy as np
from PIL import Image


def init():
    global strengthen
    strengthen = lambda pixels, strength: pixels * (1 - strength) + 255 * strength


def decode(text):
    return Image.open(BytesIO(base64.b64decode(text.encode("utf-8")))).convert("RGB")


def inference(model_inputs: dict) -> dict:
    image = decode(model_inputs["init_image"])
    strength = float(model_inputs.get("strength", 0.75))
    w, h = [size - size % 32 for size in image.size]
    image = image.resize((w, h), resample=Image.LANCZOS)
    pixels = strengthen(np.asarray(image).astype(np.float32), strength)
    out = Image.fromarray(pixels.astype(np.uint8))
    buffered = BytesIO()
    out.save(buffered, format="PNG")
    return {"image_base64": base64.b64encode(buffered.getvalue()).decode("utf-8"), "size": [w, h]}
