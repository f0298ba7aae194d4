"""The noop handler as an ASGI application and nothing else: what uvicorn alone costs."""

import json
import os
from typing import Any

import uvicorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    output = json.dumps({"output": json.loads(body)["prompt"]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(output)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": output})


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", access_log=False, lifespan="off")
