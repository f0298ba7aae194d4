import subprocess
import sys
import time

import requests

BACKEND = "http://127.0.0.1:7860"


def init():
    subprocess.Popen([sys.executable, "-u", "backend.py", "7860"])
    for _ in range(120):
        try:
            requests.get(BACKEND, timeout=1)
            return
        except requests.exceptions.ConnectionError:
            time.sleep(0.25)
    raise RuntimeError("the backend did not start")


def inference(model_inputs):
    endpoint, params = model_inputs["endpoint"], model_inputs["params"]
    return requests.post(BACKEND + "/sdapi/v1/" + endpoint, json=params).json()
