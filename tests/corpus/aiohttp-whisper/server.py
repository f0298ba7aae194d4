import argparse
import base64
import io
import wave

import numpy as np
from aiohttp import web


async def healthcheck(request):
    return web.json_response({"state": "healthy", "gpu": False})


async def transcribe(request):
    inputs = await request.json()
    sound = wave.open(io.BytesIO(base64.b64decode(inputs["base64String"])))
    samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)
    seconds = sound.getnframes() / sound.getframerate()
    spoken = "silence" if not np.abs(samples).max() else "a tone"
    return web.json_response({"text": spoken, "seconds": seconds})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=5000)
    app = web.Application(client_max_size=64 * 1024**2)
    app.add_routes([web.get("/healthcheck", healthcheck), web.post("/", transcribe)])
    web.run_app(app, host="0.0.0.0", port=parser.parse_args().port)
