"""Calls an app with published versions of banana_dev, each in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .corpus import CorpusCall, materialize
from .potassium import require_uv

__all__ = ["SdkCaller", "is_for_sdk"]

# banana_dev 0.0.1 to 4.x know one route of an app; from 5.0 a Client has an app's URL and calls its routes.
RUN = """
import json, sys
from banana_dev.package import run
request = json.load(sys.stdin)
out = run(request["key"], request["model_key"], request["inputs"])
print("ANSWER " + json.dumps(out["modelOutputs"][0]))
"""
CLIENT = """
import inspect, json, sys
from banana_dev.client import Client
request = json.load(sys.stdin)
keys = {"model_key": request["model_key"]} if "model_key" in inspect.signature(Client).parameters else {}
out, meta = Client(api_key=request["key"], url=request["url"], **keys).call(request["route"], request["inputs"])
print("ANSWER " + json.dumps(out))
"""


def is_for_sdk(version: str, call: CorpusCall) -> bool:
    """Whether this SDK can make the call and return its response."""
    plain = call.status == 200 and call.method == "POST" and not call.send and not call.headers
    shaped = call.json is not None or bool(call.keys or call.has) or call.image is not None
    return plain and shaped and (int(version[0]) >= 5 or call.route == "/")


class SdkCaller:
    """Environments with versions of banana_dev below a folder, made when they are first used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def call(
        self, version: str, call: CorpusCall, *, key: str, project: dict[str, Any], banana: str, timeout: float
    ) -> Any:
        """Return what the SDK returns for a call. Raises RuntimeError with what it printed.

        Args:
            version: Of banana_dev.
            call: What to ask.
            key: An API key of the platform.
            project: As the platform describes it: its model_key and url are used.
            banana: The platform's stand-in for api.banana.dev, with a slash at its end.
            timeout: Seconds.
        """
        request = {
            "key": key, "model_key": project["model_key"], "url": project["url"], "route": call.route,
            "inputs": materialize(call.inputs),
        }  # fmt: skip
        ended = subprocess.run(
            [str(self._python(version)), "-c", CLIENT if int(version[0]) >= 5 else RUN],
            input=json.dumps(request), capture_output=True, text=True, timeout=timeout,
            env={"PATH": os.environ["PATH"], "BANANA_URL": banana, "NO_PROXY": "*"},
        )  # fmt: skip
        for line in ended.stdout.splitlines():
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        said = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
        raise RuntimeError(f"banana_dev {version}: {' | '.join(said[-3:])[:500]}")

    def _python(self, version: str) -> Path:
        place = self._folder / version
        if not (place / "bin" / "python").exists():
            uv = require_uv()
            subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(place)], check=True)
            install = [uv, "pip", "install", "-q", "--python", str(place), f"banana-dev=={version}", "requests"]
            subprocess.run(install, check=True, timeout=300)
        return place / "bin" / "python"
