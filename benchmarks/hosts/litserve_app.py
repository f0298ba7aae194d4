"""The noop handler on LitServe."""

import os
from typing import Any

import litserve


class Noop(litserve.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def predict(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"output": body["prompt"]}


if __name__ == "__main__":
    server = litserve.LitServer(Noop(api_path="/"), accelerator="cpu", workers_per_device=1)
    server.run(port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False)
