"""bananastand.outbound: what it connects to, what it refuses, and when it gives up.

Every connection ends on loopback; "public" answers come from a fake resolver, and their connections from
a fake connect.
"""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bananastand.outbound import (
    AddressPolicy,
    Attempt,
    deliver,
    deliver_once,
    may_retry,
    sign,
    verify,
)

StartServer = Callable[[Callable[[socket.socket], None]], str]

PUBLIC = AddressPolicy.public()
LOOPBACK = AddressPolicy.loopback()


class FakeNames:
    """A resolver that gives its answers in turn, the last one for ever, and counts the questions."""

    def __init__(self) -> None:
        self.answers: list[list[str]] = []
        self.requested: list[str] = []

    def getaddrinfo(self, host: str, port: int, **_: object) -> list[Any]:
        self.requested.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in answer
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> FakeNames:
    fake = FakeNames()
    monkeypatch.setattr(socket, "getaddrinfo", fake.getaddrinfo)
    return fake


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where a connection was requested for; every one is refused, none leaves the process."""
    seen: list[Any] = []

    def connect(_: socket.socket, address: Any) -> None:
        seen.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return seen


@pytest.fixture
def raw_server() -> Iterator[StartServer]:
    """Starts a one-connection server that runs the given function on it; answers with its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def start(talk: Callable[[socket.socket], None]) -> str:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                with suppress(OSError):  # the client hangs up, as it should
                    talk(connection)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/hook"

    yield start
    for thread in threads:
        thread.join(5)
    listener.close()


# Delivery


def test_the_exact_bytes_and_headers_arrive_and_the_attempt_says_so(httpserver: HTTPServer):
    httpserver.expect_request("/hook", method="POST").respond_with_data(status=204)
    url = httpserver.url_for("/hook?key=1")

    attempt = deliver_once(url, b'{"a":  1}\n', policy=LOOPBACK, headers=[("X-Signature", "abc")])

    assert (attempt.ok, attempt.status, attempt.error) == (True, 204, None)
    assert attempt.address == "127.0.0.1"
    assert 0 < attempt.seconds < 5
    request = httpserver.log[0][0]
    assert request.get_data() == b'{"a":  1}\n'
    assert request.query_string == b"key=1"
    assert request.headers["X-Signature"] == "abc"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Host"] == f"localhost:{httpserver.port}"


def test_an_ipv6_host_keeps_its_brackets(names: FakeNames, httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data()
    names.answers = [["127.0.0.1"]]
    assert deliver_once(f"http://[::1]:{httpserver.port}/hook", b"", policy=LOOPBACK).ok
    assert names.requested == ["::1"]
    assert httpserver.log[0][0].headers["Host"] == f"[::1]:{httpserver.port}"


def test_a_given_content_type_replaces_the_default(httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data()
    deliver_once(httpserver.url_for("/hook"), b"hi", policy=LOOPBACK, headers=[("content-type", "text/plain")])
    assert httpserver.log[0][0].headers.getlist("Content-Type") == ["text/plain"]


def test_a_redirect_is_a_failed_attempt_and_is_not_followed(httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data(status=307, headers={"Location": "/other"})
    httpserver.expect_request("/other").respond_with_data()
    attempt = deliver_once(httpserver.url_for("/hook"), b"", policy=LOOPBACK)
    assert (attempt.ok, attempt.status, attempt.error) == (False, 307, "status 307")
    assert [request.path for request, _ in httpserver.log] == ["/hook"]


def test_proxies_of_the_environment_are_ignored(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    httpserver.expect_request("/hook").respond_with_data()
    assert deliver_once(httpserver.url_for("/hook"), b"", policy=LOOPBACK).ok


def test_nobody_listening():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    attempt = deliver_once(f"http://127.0.0.1:{port}/", b"", policy=LOOPBACK)
    assert (attempt.ok, attempt.status, attempt.error) == (False, None, "connection refused")


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    attempt = deliver_once("http://hooks.example/", b"", policy=PUBLIC)
    assert (attempt.error, attempt.address) == ("host not found", None)


def test_a_server_that_does_not_speak_http(raw_server: StartServer):
    url = raw_server(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n"))
    assert deliver_once(url, b"", policy=LOOPBACK).error == "no HTTP answer"


def test_an_illegal_header_is_reported_and_not_sent(httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data()
    attempt = deliver_once(httpserver.url_for("/hook"), b"", policy=LOOPBACK, headers=[("X-A", "1\r\nX-B: 2")])
    assert attempt.error == "invalid header"
    assert httpserver.log == []


def test_the_second_address_is_tried_when_the_first_refuses(names: FakeNames, httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data()
    names.answers = [["127.0.0.2", "127.0.0.1"]]
    attempt = deliver_once(f"http://hooks.example:{httpserver.port}/hook", b"", policy=LOOPBACK)
    assert (attempt.ok, attempt.address) == (True, "127.0.0.1")


# Time


def test_headers_that_drip_end_at_the_deadline(raw_server: StartServer):
    def drip(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    attempt = deliver_once(raw_server(drip), b"", policy=LOOPBACK, timeout=0.3)
    assert (attempt.ok, attempt.status, attempt.error) == (False, None, "timed out")
    assert 0.29 < attempt.seconds < 2


def test_each_address_gets_five_seconds_to_connect_and_never_more_than_is_left(
    names: FakeNames, monkeypatch: pytest.MonkeyPatch
):
    names.answers = [["93.184.216.34", "93.184.216.35"]]
    granted: list[float | None] = []

    def connect(sock: socket.socket, _: object) -> None:
        granted.append(sock.gettimeout())
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert deliver_once("http://hooks.example/", b"", policy=PUBLIC, timeout=60.0).error == "timed out"
    assert granted == [5.0, 5.0]
    granted.clear()
    deliver_once("http://hooks.example/", b"", policy=PUBLIC, timeout=2.0)
    assert granted == [pytest.approx(2.0, abs=0.5), pytest.approx(2.0, abs=0.5)]


def test_a_receiver_that_never_answers(raw_server: StartServer):
    attempt = deliver_once(raw_server(lambda connection: time.sleep(0.5)), b"", policy=LOOPBACK, timeout=0.2)
    assert attempt.error == "timed out"


def test_a_body_that_drips_does_not_hold_the_caller_nor_undo_the_status(raw_server: StartServer):
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(500):
            connection.sendall(b"x")
            time.sleep(0.02)

    attempt = deliver_once(raw_server(drip), b"", policy=LOOPBACK, timeout=8.0)
    assert (attempt.ok, attempt.status) == (True, 200)
    assert attempt.seconds < 4


def test_an_endless_body_is_left_after_64_kib(raw_server: StartServer):
    sent: list[int] = []

    def pour(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while sum(sent) < 200_000_000:
            sent.append(connection.send(b"x" * 65536))

    assert deliver_once(raw_server(pour), b"", policy=LOOPBACK).ok
    time.sleep(0.1)
    assert sum(sent) < 20_000_000  # what the two kernels buffer, and no more


def test_a_resolver_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch):
    hang = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        hang.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    attempt = deliver_once("http://hooks.example/", b"", policy=PUBLIC, timeout=0.2)
    hang.set()
    assert attempt.error == "timed out"
    assert attempt.seconds < 2


# Addresses: the real resolver reads the strange spellings, so what is judged is what would be reached


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1/", "address not allowed"),
        ("http://localhost/", "address not allowed"),
        ("http://2130706433/", "address not allowed"),  # decimal
        ("http://0x7f000001/", "address not allowed"),  # hex
        ("http://0x7f.0.0.1/", "address not allowed"),
        ("http://017700000001/", "address not allowed"),  # octal
        ("http://0177.0.0.1/", "invalid URL"),
        ("http://127.1/", "address not allowed"),  # short
        ("http://127.0.1/", "address not allowed"),
        ("http://127。0。0。1/", "address not allowed"),  # ideographic full stops
        ("http://１２７.０.０.１/", "invalid URL"),  # full-width digits
        ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "invalid URL"),  # enclosed alphanumerics
        ("http://127%2e0.0.1/", "invalid URL"),
        ("http://0.0.0.0/", "address not allowed"),
        ("http://0/", "address not allowed"),
        ("http://10.0.0.1/", "address not allowed"),
        ("http://172.16.0.1/", "address not allowed"),
        ("http://192.168.1.1/", "address not allowed"),
        ("http://100.64.0.1/", "address not allowed"),  # carrier NAT
        ("http://198.18.0.1/", "address not allowed"),  # benchmarks
        ("http://224.0.0.1/", "address not allowed"),  # multicast
        ("http://240.0.0.1/", "address not allowed"),  # reserved
        ("http://255.255.255.255/", "address not allowed"),
        ("http://169.254.169.254/", "address not allowed"),  # link-local, cloud metadata
        ("http://2852039166/", "address not allowed"),  # the same in decimal
        ("http://168.63.129.16/", "address not allowed"),  # Azure's, which looks public
        ("http://[::]/", "address not allowed"),
        ("http://[::1]/", "address not allowed"),
        ("http://[::1%25lo]/", "invalid URL"),  # zone ids
        ("http://[fe80::1%25eth0]/", "invalid URL"),
        ("http://[fe80::1%eth0]/", "invalid URL"),
        ("http://[fe80::1]/", "address not allowed"),
        ("http://[fc00::1]/", "address not allowed"),  # unique local
        ("http://[fec0::1]/", "address not allowed"),  # site-local
        ("http://[ff0e::1]/", "address not allowed"),  # multicast
        ("http://[2001:db8::1]/", "address not allowed"),  # documentation
        ("http://[::127.0.0.1]/", "address not allowed"),  # IPv4-compatible
        ("http://[::ffff:127.0.0.1]/", "address not allowed"),  # IPv4-mapped
        ("http://[::ffff:a9fe:a9fe]/", "address not allowed"),
        ("http://[::ffff:10.0.0.1]/", "address not allowed"),
        ("http://[64:ff9b::127.0.0.1]/", "address not allowed"),  # NAT64
        ("http://[64:ff9b::a9fe:a9fe]/", "address not allowed"),
        ("http://[64:ff9b:1::a9fe:a9fe]/", "address not allowed"),
        ("http://[2002:7f00:1::]/", "address not allowed"),  # 6to4
        ("http://[2002:a9fe:a9fe::1]/", "address not allowed"),
        ("http://user:pass@8.8.8.8/", "credentials in URL"),
        ("http://user@8.8.8.8/", "credentials in URL"),
        ("http://8.8.8.8\\@127.0.0.1/", "credentials in URL"),
        ("ftp://8.8.8.8/", "invalid URL"),
        ("file:///etc/passwd", "invalid URL"),
        ("//8.8.8.8/", "invalid URL"),
        ("8.8.8.8", "invalid URL"),
        ("", "invalid URL"),
        (" http://8.8.8.8/", "invalid URL"),
        ("http://", "invalid URL"),
        ("http:///path", "invalid URL"),
        ("http://8.8.8.8:0/", "invalid URL"),
        ("http://8.8.8.8:-1/", "invalid URL"),
        ("http://8.8.8.8:65536/", "invalid URL"),
        ("http://8.8.8.8:http/", "invalid URL"),
        ("http://8.8.8.8/\r\nX-A: 1", "invalid URL"),
        ("http://a..example/", "invalid URL"),
        ("http://" + "a" * 64 + ".example/", "invalid URL"),
        ("http://xn--\ud800/", "invalid URL"),
        (None, "invalid URL"),
    ],
)
def test_a_hostile_url_is_refused_and_nothing_is_connected(url: Any, error: str, dialled: list[Any]):
    attempt = deliver_once(url, b"", policy=PUBLIC)
    assert (attempt.ok, attempt.status, attempt.error) == (False, None, error)
    assert dialled == []


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://8.8.8.8/", ("8.8.8.8", 80)),
        ("https://8.8.8.8/", ("8.8.8.8", 443)),
        ("http://134744072:8080/", ("8.8.8.8", 8080)),
        ("http://[2606:4700::1111]/", ("2606:4700::1111", 80, 0, 0)),
        ("http://[::ffff:8.8.8.8]/", ("::ffff:8.8.8.8", 80, 0, 0)),
        ("http://[64:ff9b::8.8.8.8]/", ("64:ff9b::808:808", 80, 0, 0)),  # what DNS64 networks answer with
    ],
)
def test_a_public_address_is_dialled(url: str, address: Any, dialled: list[Any]):
    attempt = deliver_once(url, b"", policy=PUBLIC)
    assert (attempt.error, attempt.address) == ("connection refused", address[0])
    assert dialled == [address]


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("8.8.8.8", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("64:ff9b::127.0.0.1", False),  # the gateway's loopback
        ("2002:7f00:1::", False),
    ],
)
def test_the_loopback_policy_permits_this_machine_alone(address: str, permitted: bool):
    assert LOOPBACK.permits(address, host="hooks.example", port=80) is permitted


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "permitted"),
    [
        ("10.1.2.3", "hooks.example", 80, "10.1.2.3", True),
        ("10.1.2.3", "hooks.example", 80, "10.1.2.4", False),
        ("10.1.2.3", "hooks.example", 80, "::ffff:10.1.2.3", True),
        ("10.1.2.3", "hooks.example", 80, "64:ff9b::10.1.2.3", False),
        ("10.1.2.3:8080", "hooks.example", 8080, "10.1.2.3", True),
        ("10.1.2.3:8080", "hooks.example", 80, "10.1.2.3", False),
        ("10.0.0.0/8", "hooks.example", 80, "10.200.0.1", True),
        ("fd00::/8", "hooks.example", 80, "fd00::1", True),
        ("::1", "hooks.example", 80, "::1", True),
        ("[::1]:9000", "hooks.example", 9000, "::1", True),
        ("[::1]:9000", "hooks.example", 80, "::1", False),
        ("hooks.internal", "hooks.internal", 80, "10.0.0.1", True),
        ("Hooks.Internal.", "HOOKS.internal.", 80, "10.0.0.1", True),
        ("hooks.internal", "other.internal", 80, "10.0.0.1", False),
        ("hooks.internal", "evil.hooks.internal", 80, "10.0.0.1", False),
        ("hooks.internal:8080", "hooks.internal", 8080, "10.0.0.1", True),
        ("hooks.internal:8080", "hooks.internal", 80, "10.0.0.1", False),
        ("169.254.169.254", "hooks.example", 80, "169.254.169.254", False),
        ("169.254.0.0/16", "hooks.example", 80, "::ffff:169.254.1.1", False),
        ("0.0.0.0/0", "hooks.example", 80, "10.0.0.1", True),
        ("0.0.0.0/0", "hooks.example", 80, "0.0.0.0", False),
        ("0.0.0.0/0", "hooks.example", 80, "224.0.0.1", False),
        ("0.0.0.0/0", "hooks.example", 80, "255.255.255.255", False),
        ("::/0", "hooks.example", 80, "fe80::1", False),
        ("::/0", "hooks.example", 80, "fe80::1%eth0", False),
        ("::/0", "hooks.example", 80, "64:ff9b::a9fe:a9fe", False),
        ("fd00::/8", "hooks.example", 80, "fd00:ec2::254", False),
        ("hooks.internal", "hooks.internal", 80, "169.254.169.254", False),
    ],
)
def test_a_listed_entry_permits_what_it_names_and_never_link_local(
    entry: str, host: str, port: int, address: str, permitted: bool
):
    assert AddressPolicy.public([entry]).permits(address, host=host, port=port) is permitted


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "http://hooks.example",
        "*.example",
        "hooks.example/path",
        "10.0.0.1/8",
        "a b",
        "user@host",
        "h:99999",
        "10.0.0.1:0",
        "[::1",
    ],
)
def test_an_entry_that_cannot_be_read_is_an_error_at_once(entry: str):
    with pytest.raises(ValueError, match="is not a host, host:port, IP address or network"):
        AddressPolicy.public([entry])


def test_the_environment_lists_more():
    policy = AddressPolicy.from_environment({"BANANASTAND_ALLOW_WEBHOOKS": "10.0.0.0/8, hooks.internal:81,"})
    assert policy == AddressPolicy.public(["10.0.0.0/8", "hooks.internal:81"])
    assert AddressPolicy.from_environment({}) == PUBLIC


def test_a_listed_loopback_receiver_is_reached_under_the_public_policy(httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data()
    policy = AddressPolicy.public([f"127.0.0.1:{httpserver.port}"])
    url = f"http://127.0.0.1:{httpserver.port}/hook"
    assert deliver_once(url, b"", policy=policy).ok
    assert deliver_once(url, b"", policy=PUBLIC).error == "address not allowed"


def test_a_rebinding_host_is_asked_once_and_the_checked_answer_is_dialled(names: FakeNames, dialled: list[Any]):
    names.answers = [["93.184.216.34"], ["127.0.0.1"]]
    attempt = deliver_once("http://rebind.example/", b"", policy=PUBLIC)
    assert names.requested == ["rebind.example"]
    assert dialled == [("93.184.216.34", 80)]
    assert attempt.address == "93.184.216.34"


def test_a_trailing_dot_changes_nothing(names: FakeNames, dialled: list[Any]):
    names.answers = [["127.0.0.1"]]
    attempt = deliver_once("http://LOCALHOST./", b"", policy=PUBLIC)
    assert attempt.error == "address not allowed"
    assert names.requested == ["localhost."]
    assert dialled == []


def test_one_private_answer_among_public_ones_refuses_them_all(names: FakeNames, dialled: list[Any]):
    names.answers = [["93.184.216.34", "10.0.0.1"]]
    attempt = deliver_once("http://mixed.example/", b"", policy=PUBLIC)
    assert (attempt.error, attempt.address) == ("address not allowed", "10.0.0.1")
    assert dialled == []


def test_a_host_that_turns_private_is_judged_at_every_attempt(names: FakeNames, dialled: list[Any]):
    names.answers = [["93.184.216.34"], ["10.0.0.1"]]
    delivery = deliver("http://h.example/", b"", policy=PUBLIC, sleep=lambda _: None)
    assert [a.error for a in delivery.attempts] == ["connection refused", "address not allowed"]
    assert dialled == [("93.184.216.34", 80)]


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and key for hooks.example, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with the openssl program")
    path = tmp_path_factory.mktemp("tls") / "hooks.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        + ["-keyout", path, "-out", path.with_suffix(".crt"), "-days", "2", "-subj", "/CN=hooks.example"]
        + ["-addext", "subjectAltName=DNS:hooks.example"],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[tuple[HTTPServer, list[str | None]]]:
    """A server with that certificate, and the server names its callers requested for."""
    requested: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: requested.append(name)
    with HTTPServer(ssl_context=context) as server:
        server.expect_request("/hook").respond_with_data()
        yield server, requested


@pytest.mark.parametrize("host", ["hooks.example", "hooks.example."])
def test_https_checks_the_certificate_for_the_named_host_at_the_checked_address(
    host: str,
    tls_server: tuple[HTTPServer, list[str | None]],
    certificate: Path,
    names: FakeNames,
    monkeypatch: pytest.MonkeyPatch,
):
    server, requested = tls_server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names.answers = [["127.0.0.1"]]

    attempt = deliver_once(f"https://{host}:{server.port}/hook", b"{}", policy=LOOPBACK)

    assert (attempt.ok, attempt.error, attempt.address) == (True, None, "127.0.0.1")
    assert requested == ["hooks.example"]
    assert names.requested == [host]
    assert server.log[0][0].headers["Host"] == f"{host}:{server.port}"


def test_https_refuses_a_certificate_for_another_host(
    tls_server: tuple[HTTPServer, list[str | None]],
    certificate: Path,
    names: FakeNames,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names.answers = [["127.0.0.1"]]
    attempt = deliver_once(f"https://other.example:{tls_server[0].port}/hook", b"", policy=LOOPBACK)
    assert attempt.error == "certificate not trusted"
    assert tls_server[0].log == []


def test_https_refuses_a_certificate_of_an_unknown_authority(
    tls_server: tuple[HTTPServer, list[str | None]], names: FakeNames
):
    names.answers = [["127.0.0.1"]]
    attempt = deliver_once(f"https://hooks.example:{tls_server[0].port}/hook", b"", policy=LOOPBACK)
    assert attempt.error == "certificate not trusted"


# Retries


def test_a_failing_receiver_is_tried_again_after_each_wait(httpserver: HTTPServer):
    httpserver.expect_request("/hook").respond_with_data(status=503)
    slept: list[float] = []
    attempts: list[Attempt] = []

    delivery = deliver(
        httpserver.url_for("/hook"), b"x", policy=LOOPBACK, sleep=slept.append, on_attempt=attempts.append
    )

    assert not delivery.ok
    assert [attempt.status for attempt in delivery.attempts] == [503, 503, 503, 503]
    assert slept == [1.0, 5.0, 15.0]
    assert attempts == list(delivery.attempts)
    assert len(httpserver.log) == 4


def test_delivery_stops_at_the_first_success(httpserver: HTTPServer):
    statuses = [500, 429, 200]
    httpserver.expect_request("/hook").respond_with_handler(lambda _: Response(status=statuses.pop(0)))
    slept: list[float] = []
    delivery = deliver(httpserver.url_for("/hook"), b"", policy=LOOPBACK, waits=[5, 15, 60], sleep=slept.append)
    assert delivery.ok
    assert [attempt.status for attempt in delivery.attempts] == [500, 429, 200]
    assert slept == [5, 15]


def test_every_retry_carries_the_same_bytes_and_signature(httpserver: HTTPServer):
    seen: list[tuple[bytes, str]] = []

    def receive(request: Request) -> Response:
        seen.append((request.get_data(), request.headers["X-Signature"]))
        return Response(status=500 if len(seen) == 1 else 200)

    httpserver.expect_request("/hook").respond_with_handler(receive)
    headers = iter([("X-Signature", sign(b"body", "key"))])  # an iterator, read once
    deliver(httpserver.url_for("/hook"), b"body", policy=LOOPBACK, headers=headers, sleep=lambda _: None)
    assert seen == [(b"body", sign(b"body", "key")), (b"body", sign(b"body", "key"))]


def test_a_refused_address_is_final(dialled: list[Any]):
    slept: list[float] = []
    delivery = deliver("http://169.254.169.254/", b"", policy=PUBLIC, sleep=slept.append)
    assert [attempt.error for attempt in delivery.attempts] == ["address not allowed"]
    assert slept == []
    assert dialled == []


@pytest.mark.parametrize(
    ("status", "error", "again"),
    [
        (200, None, False),
        (301, "status 301", False),
        (400, "status 400", False),
        (404, "status 404", False),
        (408, "status 408", True),
        (410, "status 410", False),
        (425, "status 425", True),
        (429, "status 429", True),
        (500, "status 500", True),
        (504, "status 504", True),
        (None, "timed out", True),
        (None, "connection refused", True),
        (None, "host not found", True),
        (None, "address not allowed", False),
        (None, "invalid URL", False),
        (None, "credentials in URL", False),
        (None, "invalid header", False),
    ],
)
def test_what_is_worth_another_try(status: int | None, error: str | None, again: bool):
    assert may_retry(Attempt(error is None, status, error, 0.1, "127.0.0.1")) is again


# Signatures and secrets


def test_the_signature_is_hmac_sha256_in_hex():
    # RFC 4231, test case 2
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign(b"what do ya want for nothing?", "Jefe") == expected
    assert verify(b"what do ya want for nothing?", expected, "Jefe")


def test_a_wrong_signature_is_refused():
    signature = sign(b"body", "key")
    assert not verify(b"body ", signature, "key")
    assert not verify(b"body", signature, "other key")
    assert not verify(b"body", "", "key")
    assert not verify(b"body", "é\ud800", "key")


def test_neither_error_nor_log_holds_the_secrets_of_the_url(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "bananastand.outbound")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    attempt = deliver_once(f"http://127.0.0.1:{port}/hidden?token=hidden", b"hidden", policy=LOOPBACK)
    deliver_once("http://hidden:hidden@127.0.0.1/", b"", policy=LOOPBACK)
    assert "hidden" not in repr(attempt)
    assert "hidden" not in caplog.text
    assert f"http://127.0.0.1:{port} (127.0.0.1): connection refused in" in caplog.text
    assert "unreadable URL (None): credentials in URL in" in caplog.text


def test_importing_outbound_does_not_import_the_http_library():
    code = "import sys, bananastand.outbound; sys.exit('httpx2' in sys.modules or 'httpcore2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
