"""`bananastand up` with its own builder, as a user starts it: repositories that are deployed, and calls of them."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servers import PlatformProcess, free_port

__all__ = ["DOCKERFILE", "POTASSIUM", "RealPlatform", "packed"]

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "mocks")))
DOCKERFILE = """FROM python:3.11-slim
WORKDIR /app
COPY . .
CMD ["python3", "-u", "app.py"]
"""
# An app whose handler runs the Python that it is sent, and answers what that leaves in `out`.
POTASSIUM = """from potassium import Potassium, Request, Response
app = Potassium("app")

@app.init
def init():
    return {}

@app.handler("/")
def handler(context: dict, request: Request) -> Response:
    names = {"out": None, "context": context}
    try:
        exec(request.json["code"], names)
    except BaseException as error:
        names["out"] = f"{type(error).__name__}: {error}"
    return Response(json={"out": names["out"]}, status=200)

@app.background("/background")
def background(context: dict, request: Request) -> None:
    open("/tmp/background.txt", "w").write("done")

if __name__ == "__main__":
    app.serve()
"""


class RealPlatform(PlatformProcess):
    """A platform in a process of its own. options: of `bananastand up`."""

    def __init__(
        self, data: Path, *options: str, environment: Mapping[str, str] | None = None, terminal: bool = False
    ) -> None:
        port = free_port()
        command = [sys.executable, "-m", "bananastand", "up", "--port", str(port), "--data", str(data), *options]
        variables = {"PYTHONPATH": PATHS, **(environment or {})}
        super().__init__(command, port, data, terminal=terminal, cwd=data.parent, **variables)

    def deploy(self, name: str, files: Mapping[str, str], **order: Any) -> dict[str, Any]:
        """The build of these files, uploaded as an archive, once it is over."""
        words = base64.b64encode(json.dumps({"builder": "process", **order}).encode()).decode()
        answer = self.http.post(
            f"/stand/v1/projects/{name}/archive", content=packed(files), headers={"x-stand-order": words}
        )
        answer.raise_for_status()
        return self.built(answer.json()["build_id"])

    def deploy_source(self, name: str, source: str, **body: Any) -> dict[str, Any]:
        """The build of a source that is named, once it is over."""
        body = {"source": source, "builder": "process", **body}
        answer = self.http.post(f"/stand/v1/projects/{name}/deploy", json=body)
        answer.raise_for_status()
        return self.built(answer.json()["build_id"])

    def built(self, build: str) -> dict[str, Any]:
        """A build that is over, with its log."""
        log = self.http.get(f"/stand/v1/builds/{build}/log?follow=true").text
        lines = [json.loads(line)["line"] for line in log.splitlines()]
        return {**self.http.get(f"/stand/v1/builds/{build}").json(), "log": "\n".join(lines)}

    def run(self, name: str, code: str) -> Any:
        """What the code leaves in `out`, run in a replica of the app above."""
        answer = self.http.post(f"/stand/v1/projects/{name}/call/", json={"code": code})
        assert answer.status_code == 200, answer.text
        return answer.json()["out"]

    def replicas(self, name: str) -> list[dict[str, Any]]:
        """A project's replicas."""
        return self.http.get(f"/stand/v1/projects/{name}/replicas").json()["replicas"]

    def command(self, *words: str, status: int = 0) -> str:
        """What a command of ours prints on this data directory."""
        environment = {**os.environ, "PYTHONPATH": PATHS, "BANANASTAND_DATA": str(self.data)}
        done = subprocess.run(
            [sys.executable, "-m", "bananastand", *words], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


def packed(files: Mapping[str, str]) -> bytes:
    """A tar.gz of files by their names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(text.encode()), 0o644
            tar.addfile(about, io.BytesIO(text.encode()))
    return buffer.getvalue()
