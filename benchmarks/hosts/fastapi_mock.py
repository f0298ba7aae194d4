"""The slice of benchmarks.mocks as somebody would write it by hand on FastAPI."""

import os
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
models = {"value": {"modelKey": "value", "name": "value", "status": "live", "deployments": []}}
runs: dict[str, Any] = {}


class Start(BaseModel):
    modelKey: str
    modelInputs: Any
    startOnly: bool = False


def envelope(result: Any) -> dict[str, Any]:
    return {"message": "Request completed", "provider": "bananadev", "result": result, "response_headers": {}}


@app.get("/v1/models/{model_key}")
async def get_model(model_key: str, api_token: str) -> dict[str, Any]:
    if model_key not in models:
        raise HTTPException(404, "Model not found")
    return envelope(models[model_key])


@app.post("/v1/start")
async def start_run(body: Start, api_token: str) -> dict[str, Any]:
    run = {"id": str(uuid4()), "callID": f"call_{uuid4()}", "message": "", "finished": False, "modelOutputs": None}
    runs[run["id"]] = {**run, "inputs": body.modelInputs}
    return envelope(run)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning", access_log=False)
