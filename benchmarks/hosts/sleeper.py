"""A Potassium app that sleeps for as long as it is told, or not at all."""

import os
import time
from typing import Any

from potassium import Potassium, Request, Response

app = Potassium("sleeper")


@app.init
def init() -> dict[str, Any]:
    return {}


@app.handler("/")
def sleep(context: dict[str, Any], request: Request) -> Response:
    if seconds := request.json.get("seconds"):
        time.sleep(seconds)
    return Response(json=request.json)


if __name__ == "__main__":
    app.serve(port=int(os.environ.get("PORT", "8000")))
