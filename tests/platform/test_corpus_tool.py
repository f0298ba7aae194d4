"""The tool that measures the corpus: what it finds in /proc, and the page it writes."""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.compatibility.corpus import CorpusCall, read_manifest
from tools.compatibility.expectations import HttpAnswer
from tools.compatibility.lifecycle import fetches
from tools.compatibility.page import score, together, write_page
from tools.compatibility.replicas import replica_failure, wait_for_replicas
from tools.compatibility.sdk import is_for_sdk
from tools.compatibility.sockets import descendants, exposed

LISTENER = """
import socket, sys, time
listener = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
listener.bind((sys.argv[1], 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
time.sleep(60)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.parametrize(("address", "found"), [("0.0.0.0", True), ("127.0.0.1", False), ("::", True), ("::1", False)])
def test_a_listener_outside_of_loopback_is_found(address: str, found: bool) -> None:
    if ":" in address and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    words = [sys.executable, "-S", "-c", LISTENER, address]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            port = child.stdout.readline().strip()
            expected = [f"{address}:{port} (process {child.pid})"] if found else []
            assert [socket for socket in exposed(child.pid) if f":{port} " in socket] == expected
        finally:
            child.kill()


@linux
def test_the_processes_below_a_process_are_found() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', 'print(1, flush=True); input()'])"
    words = [sys.executable, "-S", "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in descendants(child.pid)
        assert len(descendants(child.pid)) == 2
        child.communicate("\n")


def test_the_page_counts_what_was_tried_and_gives_the_reason_of_each_red_cell(tmp_path: Path) -> None:
    cells = {
        "inspected": {"ok": True, "note": "", "seconds": 1.0},
        "built": {"ok": True, "note": "", "seconds": 2.0},
        "live": {"ok": False, "note": "port 8000 | refused", "seconds": 3.0},
        "called": {"ok": False, "note": "not live", "seconds": 0.0},
        "background": {"ok": None, "note": "no background handler", "seconds": 0.0},
    }
    when = {"date": "2024-01-01", "commit": "abc", "machine": "a machine"}
    measured = {"process": {"repositories": {"http-server": {"cells": cells, "seconds": {}}}, **when}}

    page = write_page(read_manifest(), measured)

    assert score(together(measured)) == (2, 4)
    assert "**2 of 4 cells are green (50.0 %)**" in page
    assert "| http-server | text | own server | process | yes | yes | **no** | **no** | - |" in page
    assert "- http-server, process, live: port 8000 / refused" in page
    assert "called: not live" not in page


class TwoReplicas:
    """A project with two replicas, of which only some get calls; `answered` are their counts."""

    def __init__(self, serving: tuple[str, ...], body: bytes = b'{"n": 1}') -> None:
        self.answered, self._serving, self._body = {"first": 7, "second": 0}, itertools.cycle(serving), body

    def api(self, method: str, path: str, body: Any = None) -> Any:
        if path.endswith("/replicas"):
            return {"replicas": [{"id": key, "state": "ready", "answered": n} for key, n in self.answered.items()]}
        return {"name": "app", "url": "http://localhost/app"}

    def call(self, project: dict[str, Any], call: CorpusCall, timeout: float) -> HttpAnswer:
        self.answered[next(self._serving)] += 1
        return HttpAnswer(200, {}, self._body)


def test_two_replicas_that_both_answer_are_scaled() -> None:
    assert replica_failure(TwoReplicas(("first", "second")), "app", CorpusCall(json={"n": 1}), within=0.0) is None


def test_a_replica_that_never_answers_is_found_though_every_call_is_answered() -> None:
    found = replica_failure(TwoReplicas(("first",)), "app", CorpusCall(json={"n": 1}), within=0.1)

    assert found is not None
    assert re.fullmatch(r"a replica never answered: first \d+ calls, second 0 calls", found)


def test_a_wrong_answer_of_one_of_two_replicas_is_found() -> None:
    found = replica_failure(TwoReplicas(("first", "second"), b'{"n": 2}'), "app", CorpusCall(json={"n": 1}), within=0.1)

    assert found == 'with 2 replicas: / answered \'{"n": 2}\', not {"n": 1}'


def test_a_missing_replica_is_found() -> None:
    class OneReplica(TwoReplicas):
        def api(self, method: str, path: str, body: Any = None) -> Any:
            found = super().api(method, path, body)
            return {"replicas": found["replicas"][:1]} if path.endswith("/replicas") else found

    assert wait_for_replicas(OneReplica(("first",)), "app", 2, 0.0) == "2 replicas were asked for; there are 1 (ready)"


def test_the_requests_for_a_repository_of_the_hub_are_told_apart() -> None:
    requests = [
        "GET /gpt2/resolve/main/config.json 307",
        "GET /openai-community/gpt2/resolve/main/config.json 200",
        "HEAD /openai-community/gpt2/resolve/main/model.safetensors 302",
        "GET /openai-community/gpt2-large/resolve/main/config.json 200",
        "GET /api/models/openai-community/gpt2 200",
        "GET /openai-community/gpt2/resolve/main/model.safetensors 302",
    ]

    assert fetches(requests, "gpt2") == [requests[1], requests[5]]
    assert fetches(requests, "openai/clip") == []


def test_calls_are_chosen_by_sdk_version() -> None:
    by_name = {repository.name: repository for repository in read_manifest()}
    first = by_name["potassium-021-routes"].calls[0]

    assert not is_for_sdk("4.0.2", first)  # it knows one route
    assert is_for_sdk("6.3.0", first)
    assert not is_for_sdk("6.3.0", by_name["tornado-tts"].calls[0])  # it reads JSON alone
    without = [
        repository.name
        for repository in by_name.values()
        if not any(is_for_sdk(repository.sdk, call) for call in repository.calls)
    ]
    assert without == ["tornado-tts", "potassium-012-dreambooth", "potassium-041-riffusion"]
