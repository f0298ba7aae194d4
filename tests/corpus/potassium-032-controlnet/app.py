import base64
from io import BytesIO

import numpy as np
from PIL import Image
from potassium import Potassium, Request, Response

app = Potassium("controlnet")


@app.init
def init():
    return {"controlnet": dict(np.load("controlnet.npz"))}


def canny(pixels, nets):
    padded = np.pad(pixels.astype(int), 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    strength = sum(np.abs((windows * net).sum(axis=(2, 3))) for net in nets.values())
    return (strength > 200).astype(np.uint8) * 255


@app.handler()
def handler(context: dict, request: Request) -> Response:
    image = Image.open(BytesIO(base64.b64decode(request.json["image"]))).convert("L")
    edges = canny(np.asarray(image), context["controlnet"])
    buffered = BytesIO()
    Image.fromarray(edges).save(buffered, format="PNG")
    encoded = base64.b64encode(buffered.getvalue()).decode("utf-8")
    return Response(json={"output": encoded, "edge_pixels": int((edges > 0).sum())}, status=200)


if __name__ == "__main__":
    app.serve()
