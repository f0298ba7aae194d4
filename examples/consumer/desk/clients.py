"""The desk's own little clients of PaperBanana and Banana."""

import json
import time
from typing import Any

from models.figure import Figure

from .http import send


class PaperBanana:
    def __init__(self, base_url: str, key: str, log: Any) -> None:
        self.base_url, self.log = base_url, log
        self.headers = {"Authorization": f"Bearer {key}"}

    def plot(self, data: Any, intent: str, *, poll: float = 4.0) -> Figure:
        body = {"data_json": json.dumps(data), "intent": intent}
        task = json.loads(send("POST", f"{self.base_url}/api/plot", self.headers, body))
        while task["status"] in ("pending", "running"):
            self.log.write(task["status"])
            task = json.loads(send("GET", f"{self.base_url}/api/tasks/{task['task_id']}", self.headers))
            time.sleep(poll if task["status"] in ("pending", "running") else 0)
        if task["status"] == "failed":
            raise RuntimeError(task["error"])
        png = send("GET", f"{self.base_url}/api/tasks/{task['task_id']}/image", self.headers)
        return Figure(task["description"], png)


class Banana:
    def __init__(self, base_url: str, key: str) -> None:
        self.base_url, self.key = base_url, key

    def paint(self, model_key: str, prompt: str) -> Any:
        body = {"apiKey": self.key, "modelKey": model_key, "modelInputs": {"prompt": prompt}}
        answer = json.loads(send("POST", f"{self.base_url}/start/v4", {}, body))
        while not answer.get("modelOutputs"):
            if "error" in answer["message"].lower():
                raise RuntimeError(answer["message"])
            call = answer.get("callID") or body["callID"]
            body = {"apiKey": self.key, "callID": call, "longPoll": True}
            answer = json.loads(send("POST", f"{self.base_url}/check/v4", {}, body))
        return answer["modelOutputs"][0]
