"""The noop handler as a Potassium app: for Potassium's own server, and for ours."""

import os

from potassium import Potassium, Request, Response

app = Potassium("noop")


@app.init
def init() -> dict:
    return {}


@app.handler("/")
def noop(context: dict, request: Request) -> Response:
    return Response(json={"output": request.json["prompt"]})


if __name__ == "__main__":
    app.serve(host="127.0.0.1", port=int(os.environ["PORT"]))
