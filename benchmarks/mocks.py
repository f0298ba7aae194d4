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
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

from . import tables
from ._machine import ROOT, command, machine, quantile
from ._servers import end, free_port, started

BARE = Path(__file__).parent / "hosts" / "fastapi_mock.py"
CONTRACT = ROOT / "bananastand" / "banana_api" / "bananadev.yaml"
TOKEN = "at_r0123456789abcdef0123456789abcdef"
CONNECTIONS = 16
START = 60.0
BODY = json.dumps({"modelKey": "value", "modelInputs": {"prompt": "two red apples"}, "startOnly": True}).encode()
OURS = "from bananastand.cli import main; main()"
SERVERS = ("fastapi", "bananastand", "prism", "wiremock", "specmatic", "bananastand", "fastapi")
FOREIGN = {
    "prism": "node_modules/.bin/prism",
    "wiremock": "node_modules/wiremock/build/wiremock-standalone-*.jar",
    "specmatic": "node_modules/specmatic/specmatic.jar",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of load for each method")
    parser.add_argument("--npm", type=Path, default=ROOT, help="the folder in which the others were installed")
    parser.add_argument("--out", type=Path, default=tables.RESULTS / "mocks.json")
    options = parser.parse_args()
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
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    tables.write()
    print(tables.mocks())


def measure(name: str, options: argparse.Namespace, cores: set[int], folder: Path) -> dict[str, Any]:
    """Start the server, load it, stop it."""
    port = free_port()
    words, prefix = _command(name, port, options, folder)
    begun = time.perf_counter()
    process = started(words, cores, PORT=str(port), PYTHONPATH=f"{ROOT}:{ROOT / 'mocks'}")
    get = _request("GET", f"{prefix}/v1/models/value?api_token={TOKEN}", port)
    post = _request("POST", f"{prefix}/v1/start?api_token={TOKEN}", port, BODY)
    try:
        row: dict[str, Any] = {"start_ms": round(asyncio.run(_first(port, get, begun, process)) * 1000)}
        row["memory_mb"] = _memory(process.pid)
        for method, request in (("GET", get), ("POST", post)):
            asyncio.run(load(port, request, 1.0))
            row[method] = asyncio.run(load(port, request, options.seconds))
        row["memory_after_mb"] = _memory(process.pid)
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
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _plainer(each)


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


def _request(method: str, target: str, port: int, body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _first(port: int, request: bytes, started: float, process: subprocess.Popen[bytes]) -> float:
    while time.perf_counter() - started < START:
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await _exchange(reader, writer, request)
            writer.close()
            return time.perf_counter() - started
        await asyncio.sleep(0.005)
    raise TimeoutError("the server never answered")


async def load(port: int, request: bytes, seconds: float) -> dict[str, float]:
    """Requests per second and latency in milliseconds, each connection with one request at a time."""
    until, taken = time.perf_counter() + seconds, list[float]()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            started = time.perf_counter()
            await _exchange(reader, writer, request)
            taken.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    spent, ordered = time.perf_counter() - started, sorted(taken)
    return {
        "requests_per_second": round(len(ordered) / spent, 1),
        "p50_ms": round(quantile(ordered, 0.5) * 1000, 3),
        "p99_ms": round(quantile(ordered, 0.99) * 1000, 3),
    }


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.split(b" ", 2)[1] == b"200", head
    if b"content-length:" in head:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    else:
        await reader.readuntil(b"\r\n0\r\n\r\n")


def _memory(pid: int) -> float:
    top = psutil.Process(pid)
    return round(sum(p.memory_info().rss for p in [top, *top.children(recursive=True)]) / 2**20, 1)


if __name__ == "__main__":
    main()
