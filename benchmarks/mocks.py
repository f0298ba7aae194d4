"""Our mocks beside Prism, WireMock, Specmatic and a bare FastAPI app: start, stop, GET and POST per second, memory.

`python -m benchmarks.mocks [--npm FOLDER]` runs one server at a time on one core, the load on another, and writes
results/mocks.json and the pages' tables. Ours checks every request and every answer against the contract and writes its
journal; Prism and Specmatic check requests and make up answers from the contract; WireMock answers two stubs; the
FastAPI app checks the body with pydantic and keeps what was posted.

The others come of `npm install @stoplight/prism-cli wiremock specmatic` in FOLDER; the last two need Java. Those that
were not found are named as missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from ._command import parser, publish
from ._load import first_answer, http_request, load
from ._machine import ROOT, command, machine
from ._servers import end, free_port, memory, start

BARE = Path(__file__).parent / "hosts" / "fastapi_mock.py"
CONTRACT = ROOT / "bananastand" / "banana_api" / "bananadev.yaml"
TOKEN = "at_r0123456789abcdef0123456789abcdef"
CONNECTIONS = 16
WORD = b"message"  # in each answer
BODY = json.dumps({"modelKey": "value", "modelInputs": {"prompt": "two red apples"}, "startOnly": True}).encode()
OURS = "from bananastand.cli import main; main()"
SERVERS = ("fastapi", "bananastand", "prism", "wiremock", "specmatic", "bananastand", "fastapi")
FOREIGN = {
    "prism": "node_modules/.bin/prism",
    "wiremock": "node_modules/wiremock/build/wiremock-standalone-*.jar",
    "specmatic": "node_modules/specmatic/specmatic.jar",
}


def main() -> None:
    arguments = parser(__doc__, "mocks")
    arguments.add_argument("--seconds", type=float, default=10, help="of load for each method")
    arguments.add_argument("--npm", type=Path, default=ROOT, help="the folder in which the others were installed")
    options = arguments.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in SERVERS:
            if name in FOREIGN and _foreign(name, options) is None:
                continue
            runs.setdefault(name, []).append(measure(name, options, set(cores[1:]) or set(cores), Path(folder)))
            print(f"{name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    report = {
        "what": "GET /v1/models/value and POST /v1/start (startOnly) of Banana.dev through LowCodeAPI, "
        f"{CONNECTIONS} connections, one server at a time on one core",
        "command": command("benchmarks.mocks").replace(str(options.npm), "FOLDER"),
        "machine": machine("cpu", 1),
        "missing": [name for name in FOREIGN if name not in runs],
        "runs": runs,
    }
    publish(report, options)


def measure(name: str, options: argparse.Namespace, cores: set[int], folder: Path) -> dict[str, Any]:
    """Start the server, load it, stop it."""
    port = free_port()
    words, prefix = _command(name, port, options, folder)
    begun = time.perf_counter()
    process = start(words, cores, PORT=str(port), PYTHONPATH=f"{ROOT}:{ROOT / 'mocks'}")
    get = http_request(port, "GET", f"{prefix}/v1/models/value?api_token={TOKEN}")
    post = http_request(port, "POST", f"{prefix}/v1/start?api_token={TOKEN}", BODY)
    try:
        row: dict[str, Any] = {"start_ms": round(first_answer(port, get, WORD, begun, process) * 1000)}
        row["memory_mb"] = memory(process.pid)
        for method, request in (("GET", get), ("POST", post)):
            load(port, CONNECTIONS, 1.0, request, WORD)
            row[method] = load(port, CONNECTIONS, options.seconds, request, WORD)
        row["memory_after_mb"] = memory(process.pid)
        began = time.perf_counter()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        row["stop_ms"] = round((time.perf_counter() - began) * 1000)
        return row
    finally:
        end(process)


def _command(name: str, port: int, options: argparse.Namespace, folder: Path) -> tuple[list[str], str]:
    """What starts the server, and where it serves the operations."""
    if name == "bananastand":
        return [sys.executable, "-c", OURS, "mocks", "--port", str(port)], "/lowcodeapi/bananadev"
    if name == "fastapi":
        return [sys.executable, str(BARE)], ""
    contract, program = yaml.safe_load(CONTRACT.read_text()), str(_foreign(name, options))
    paths = contract["paths"]
    # The others take the literal /v1/models/model_key first, and then want its query.
    contract["paths"] = {path: paths[path] for path in ("/v1/models/{model_key}", "/v1/start")}
    _plainer(contract)
    (folder / "openapi.yaml").write_text(yaml.safe_dump(contract))
    if name == "prism":
        return [program, "mock", "-p", str(port), "-v", "silent", str(folder / "openapi.yaml")], ""
    if name == "specmatic":
        return ["java", "-jar", program, "stub", str(folder / "openapi.yaml"), "--port", str(port)], ""
    _stubs(folder / "mappings")
    quiet = ["--disable-banner", "--no-request-journal", "--disable-request-logging"]
    return ["java", "-jar", program, "--port", str(port), "--root-dir", str(folder), *quiet], ""


def _foreign(name: str, options: argparse.Namespace) -> Path | None:
    """The program or jar of another server; None where it, or the Java it needs, is missing."""
    found = next(options.npm.glob(FOREIGN[name]), None)
    return found if name == "prism" or shutil.which("java") else None


def _plainer(part: Any) -> None:
    """Specmatic reads no array whose items may be anything unless that is said, and no link with a body."""
    if isinstance(part, dict):
        part.pop("links", None)
        if "array" in (part.get("type") or ()):
            part.setdefault("items", {})
    for item in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _plainer(item)


def _stubs(folder: Path) -> None:
    """WireMock knows no contract: the two answers, as ours gives them."""
    folder.mkdir(exist_ok=True)
    answers = {
        "get": ({"method": "GET", "urlPathPattern": "/v1/models/[^/]+"}, {"modelKey": "value", "name": "value"}),
        "post": ({"method": "POST", "urlPath": "/v1/start"}, {"id": "a", "message": "success", "callID": "b"}),
    }
    for name, (request, result) in answers.items():
        body = {"message": "Request completed", "provider": "bananadev", "result": result, "response_headers": {}}
        stub = {"request": request, "response": {"status": 200, "jsonBody": body}}
        (folder / f"{name}.json").write_text(json.dumps(stub))


if __name__ == "__main__":
    main()
