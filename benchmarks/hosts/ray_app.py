"""The noop handler on Ray Serve."""

import os
import time
from typing import Any

from ray import serve
from starlette.requests import Request


@serve.deployment
class Noop:
    async def __call__(self, request: Request) -> dict[str, Any]:
        return {"output": (await request.json())["prompt"]}


if __name__ == "__main__":
    serve.start(http_options={"port": int(os.environ["PORT"])})
    serve.run(Noop.bind())
    while True:
        time.sleep(1)
