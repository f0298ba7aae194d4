"""Every method of the clients turns a response against the contract into an error of ours, in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx  # noqa: TID251 - respx answers in its words
import pytest
import respx

from bananastand.clients import errors
from client_calls import CASES, CLIENTS, Case
from contract_tests.clients.test_documented import JSON_CASES, KEY, called

HTML = "<html><head><title>502 Bad Gateway</title></head></html>"
# The app's or the model's own answer, whatever it is.
ANY_JSON = ("banana-native.call_project", "banana-native.warmup_project", "fal-queue.result", "fal-queue.run")
ONE_EACH = [
    next(case for case in CASES if case.provider == provider and case.operation == operation)
    for provider, operation in (
        ("bananadev", "list_models"), ("falai", "get_pricing"), ("banana-native", "list_projects"),
        ("gobananas", "get_profile"), ("paperbanana", "list_keys"),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "text/plain"),
        (HTML.encode(), "text/html"),
        (b'{"result": {"models": [{"id"', "application/json"),
        (b"\xff\xfe\x00\x01", "application/json"),
        (b"[" * 50_000, "application/json"),
        (b'"a word"', "application/json"),
        (b"12", "application/json"),
        (b"[[[1]]]", "application/json"),
        (b'{"result": 4, "data": 4}', "application/json"),
    ],
    ids=["empty", "html", "truncated", "no text", "deep", "a word", "a number", "lists", "wrong type"],
)
@pytest.mark.parametrize("case", [json_case for json_case in JSON_CASES if str(json_case) not in ANY_JSON], ids=str)
def test_an_answer_against_the_contract_is_an_error(
    case: Case, content: bytes, kind: str, caught: respx.MockRouter
) -> None:
    route = caught.route().respond(200, content=content, content_type=kind)

    with pytest.raises(errors.APIResponseError) as error:
        called(case)

    assert len(route.calls) == 1, "asking again does not help"
    assert KEY not in str(error.value)


@pytest.mark.parametrize("content", [b"", HTML.encode(), b'{"output": "iVBOR', b"\xff\xfe", b"[" * 50_000])
@pytest.mark.parametrize("name", ANY_JSON)
def test_a_run_url_returns_any_json_but_only_json(name: str, content: bytes, caught: respx.MockRouter) -> None:
    case = next(other_case for other_case in CASES if str(other_case) == name)
    caught.route().respond(200, content=content, content_type="application/json")

    with pytest.raises(errors.APIResponseError, match="no JSON"):
        called(case)


@pytest.mark.parametrize("case", [other_case for other_case in CASES if other_case.operation != "get_base"], ids=str)
def test_a_redirect_is_an_error(case: Case, caught: respx.MockRouter) -> None:
    route = caught.route().respond(307, headers={"location": "https://elsewhere.example.com/"})
    with pytest.raises(errors.APIStatusError, match="307"):
        called(case)

    assert len(route.calls) == 1


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("broken", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_broken_connection_is_an_error_of_ours(case: Case, broken: Any, caught: respx.MockRouter) -> None:
    import httpcore2

    caught.route().mock(side_effect=getattr(httpcore2, broken.__name__)("gone"))

    with pytest.raises(errors.APIConnectionError, match="gone"):
        called(case)


@contextmanager
def answering(head: bytes, chunk: bytes, pause: float, *, reset: bool = False) -> Iterator[str]:
    """A server that says its head and then the same chunk for ever, or resets the connection after the first."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    try:
                        connection.sendall(head)
                        while not over.is_set():
                            connection.sendall(chunk)
                            if reset:
                                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                                break
                            over.wait(pause)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_a_slow_answer_is_a_timeout(case: Case, twin: int) -> None:
    began = time.monotonic()
    with answering(OK, b" ", 0.02) as url, pytest.raises(errors.APITimeoutError):
        called(case, twin=twin, base_url=url, timeout=0.1)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_a_reset_is_an_error(case: Case, twin: int) -> None:
    with answering(OK, b"{", 0.0, reset=True) as url, pytest.raises(errors.APIConnectionError):
        called(case, twin=twin, base_url=url)


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_a_huge_answer_is_an_error(case: Case, twin: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bananastand.clients.client.LARGEST", 300_000)
    with answering(OK, b" " * 65536, 0.0) as url, pytest.raises(errors.APIResponseError, match="larger than 300000"):
        called(case, twin=twin, base_url=url)


def test_no_more_than_256_mb_are_read() -> None:
    from bananastand.clients import client

    assert client.LARGEST == 256 * 1024 * 1024
    assert all(hasattr(item, "send") for pair in CLIENTS.values() for item in pair)
