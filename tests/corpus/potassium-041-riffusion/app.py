import math
import struct
import time

from potassium import Potassium, Request, Response

app = Potassium("riffusion")


@app.init
def init():
    return {"rate": 8000}


@app.handler("/")
def sing(context: dict, request: Request) -> Response:
    pitch, beats = request.json.get("pitch", 440), request.json.get("beats", 3)

    def clip():
        for beat in range(beats):
            points = range(context["rate"] // 10)
            samples = [int(9000 * math.sin(2 * math.pi * pitch * at / context["rate"])) for at in points]
            yield struct.pack("<%dh" % len(samples), *samples)
            time.sleep(0.05)

    headers = {"Content-Type": "audio/l16;rate=8000", "X-Beats": str(beats)}
    return Response(status=200, body=clip(), headers=headers)


@app.handler("/echo")
def echo(context: dict, request: Request) -> Response:
    headers = {"x-request": request.headers.get("x-request", "none")}
    return Response(status=200, json={"id": len(request.id) > 0}, headers=headers)


@app.handler("/cover")
def cover(context: dict, request: Request) -> Response:
    return Response(status=202, body=b"\x00\x01\x02\xff", headers={"Content-Type": "application/octet-stream"})


if __name__ == "__main__":
    app.serve()
