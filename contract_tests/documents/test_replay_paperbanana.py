"""Every snippet of document D, run unchanged against a mock with the document's data, gets its success response.

Host and keys are replaced. Bash runs the curls, Node the JavaScript, and one namespace all Python of the page. Two
JavaScript snippets are meant for a page: test_replay_in_a_page.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_pdf import paper
from snippets import Snippet, for_a_page, snippets

import bananastand_mocks
from bananastand_mocks.running import RunningServer, MockSession

SHOWN = "pb_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with bananastand_mocks.start("paperbanana", kind="documents") as server:
        yield server


@pytest.fixture
def stand(server: RunningServer) -> MockSession:
    """The documents world, as new."""
    server.default.reset()
    return server.default


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "paper.pdf").write_bytes(paper())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def here(example: Snippet, server: RunningServer) -> str:
    """The snippet with host and keys replaced."""
    at = server.endpoint("paperbanana")
    text = example.text.replace("https://api.paperbanana.me", at.base_url)
    return text.replace("pb_your_api_key_here", at.key).replace("YOUR_ADMIN_KEY", at.admin_key)


def run(*command: str, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_succeeded(stand: MockSession, example: Snippet) -> None:
    """The snippet's operation was called, and every call had the contract's first success."""
    calls = list(stand.journal)
    assert calls != []
    assert example.operation in {call.operation for call in calls}
    assert [call.status for call in calls if call.status >= 300] == []
    assert stand.world.breaches == []


@pytest.mark.needs("bash", "curl", "base64")
@pytest.mark.parametrize("example", snippets("paperbanana", "curl"), ids=str)
def test_a_curl_gets_its_success_answer(example: Snippet, server: RunningServer, stand: MockSession, folder: Path):
    output = run("bash", "-c", here(example, server))
    assert_succeeded(stand, example)
    if example.operation == "get_task_image":
        drawn = next(folder / name for name in ("plot.svg", "diagram.png") if name in example.text)
        assert drawn.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")
    elif example.operation == "delete_key":
        assert output == ""
    else:
        recorded = json.loads(list(stand.journal)[-1].answer)
        printed = json.loads(output)
        if example.operation == "create_key":  # shown in full this once, and never in the journal
            assert (printed.pop("key")[:3], recorded.pop("key")) == ("pb_", "[redacted]")
        assert printed == recorded


@pytest.mark.needs("node")
@pytest.mark.parametrize(
    "example",
    [snippet for snippet in snippets("paperbanana", "javascript") if snippet.operation is not None and not for_a_page(snippet)],
    ids=str,
)
def test_javascript_gets_its_success_answer(example: Snippet, server: RunningServer, stand: MockSession, folder: Path):
    (folder / "snippet.mjs").write_text(here(example, server))
    output = run("node", "snippet.mjs")
    assert_succeeded(stand, example)
    if "console.log" in example.text:
        assert output.strip() != ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # D:279 leaves its file open
def test_the_python_of_the_page_gets_its_success_answers(server: RunningServer, stand: MockSession, folder: Path):
    namespace: dict[str, Any] = {}
    for example in snippets("paperbanana", "python"):
        if example.operation is None:
            continue
        stand.journal.clear()
        exec(compile(here(example, server), str(example), "exec"), namespace)
        assert_succeeded(stand, example)
    assert namespace["r"].status_code == 204
    assert (folder / "diagram.png").read_bytes()[:5] == b"\x89PNG\r"


def posted(stand: MockSession, server: RunningServer) -> tuple[bytes, str]:
    """Body and signature of a webhook that the mock sent."""
    got: list[tuple[bytes, str]] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.splitlines()[1:])}
        got.append((await reader.readexactly(int(headers["content-length"])), headers["x-paperbanana-signature"]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def listen() -> None:
        receiver = await asyncio.start_server(receive, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
        row = stand.world.table("paperbanana.keys")[server.endpoint("paperbanana").key]
        row |= {"webhook_url": url, "webhook_secret": "whsec"}
        at = server.endpoint("paperbanana")
        plot = json.dumps({"data_json": "[1, 2]", "intent": "line"})
        headers = ["-H", f"Authorization: Bearer {at.key}", "-H", "Content-Type: application/json", "-d", plot]
        await asyncio.to_thread(run, "curl", "-s", *headers, f"{at.base_url}/api/plot")
        await asyncio.to_thread(stand.clock.advance, 0)
        receiver.close()

    asyncio.run(listen())
    return got[0]


@pytest.mark.needs("curl", "node")
def test_the_verifications_of_the_page_hold_for_what_the_mock_sends(server: RunningServer, stand: MockSession, folder: Path):
    body, signature = posted(stand, server)
    assert signature == "sha256=" + hmac.new(b"whsec", body, hashlib.sha256).hexdigest()
    python = next(snippet for snippet in snippets("paperbanana", "python") if snippet.operation is None)
    namespace: dict[str, Any] = {}
    exec(compile(python.text, str(python), "exec"), namespace)
    assert namespace["verify_signature"](body, signature, "whsec") is True
    assert namespace["verify_signature"](body + b" ", signature, "whsec") is False

    javascript = next(snippet for snippet in snippets("paperbanana", "javascript") if snippet.operation is None)
    (folder / "body").write_bytes(body)
    script = 'console.log(verifySignature(require("fs").readFileSync("body"), process.argv[2], "whsec"));'
    (folder / "verify.cjs").write_text(f"{javascript.text}\n{script}")
    assert run("node", "verify.cjs", signature) == "true\n"
    assert run("node", "verify.cjs", "sha256=" + "0" * 64) == "false\n"
