"""The noop handler on plain FastAPI, in a thread as FastAPI runs synchronous functions."""

import os
from typing import Any

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/")
def noop(body: dict[str, Any]) -> dict[str, Any]:
    return {"output": body["prompt"]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
