"""Webhooks of background tasks: a few threads, only some of them to one host, and a bounded queue."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bananastand.outbound import AddressPolicy, Attempt
from bananastand.webhooks import WebhookQueue


class Receiver(ThreadingHTTPServer):
    """Takes webhooks, slowly if wanted, and counts how many come at once."""

    daemon_threads = True

    def __init__(self, seconds: float = 0.0, failures: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seconds, self.failures = seconds, failures
        self.lock, self.now, self.most, self.bodies = threading.Lock(), 0, 0, list[bytes]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
            fails = self.server.failures > 0
            self.server.failures -= 1
        time.sleep(self.server.seconds)
        with self.server.lock:
            self.server.now -= 1
            if not fails:
                self.server.bodies.append(body)
        self.send_response(503 if fails else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def wait(holds: object) -> None:
    limit = time.monotonic() + 20
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.01)


def threads() -> int:
    return sum(thread.name == "webhook" for thread in threading.enumerate())


def test_many_webhooks_take_few_threads_and_few_connections_to_one_host() -> None:
    with Receiver(seconds=0.01) as receiver:
        queue, most = WebhookQueue(AddressPolicy.loopback(), threads=6, per_host=2, length=1000), 0
        for number in range(200):
            queue.send(receiver.url, str(number).encode())
            most = max(most, threads())
        wait(lambda: len(receiver.bodies) == 200)

    assert most <= 6
    assert receiver.most <= 2
    wait(lambda: threads() == 0)


def test_a_host_that_takes_its_time_does_not_hold_up_another() -> None:
    with Receiver(seconds=0.5) as slow, Receiver() as quick:
        queue = WebhookQueue(AddressPolicy.loopback(), threads=4, per_host=2)
        for _ in range(6):
            queue.send(slow.url, b"slow")
        queue.send(quick.url, b"quick")
        wait(lambda: quick.bodies)
        assert len(slow.bodies) < 6
        wait(lambda: len(slow.bodies) == 6)


def test_a_full_queue_makes_the_sender_wait() -> None:
    with Receiver(seconds=0.2) as receiver:
        queue, began = WebhookQueue(AddressPolicy.loopback(), per_host=1, length=2), time.monotonic()
        for _ in range(4):
            queue.send(receiver.url, b"one")
        assert time.monotonic() - began >= 0.35
        wait(lambda: len(receiver.bodies) == 4)


@pytest.mark.parametrize(("failures", "arrives"), [(2, True), (3, False)])
def test_a_webhook_is_tried_again_and_its_last_failure_is_told(failures: int, arrives: bool) -> None:
    failed = list[Attempt]()
    with Receiver(failures=failures) as receiver:
        queue = WebhookQueue(AddressPolicy.loopback(), waits=(0.05, 0.05))
        queue.send(receiver.url, b"again", failed=failed.append)
        wait(lambda: receiver.bodies or failed)

    assert bool(receiver.bodies) is arrives
    assert [delivery.error for delivery in failed] == ([] if arrives else ["status 503"])


def test_a_receiver_that_is_not_there_is_told_and_leaves_no_thread() -> None:
    failed = list[Attempt]()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    WebhookQueue(AddressPolicy.loopback(), waits=()).send(url, b"", failed=failed.append)

    wait(lambda: failed)
    assert failed[0].error == "connection refused"
    wait(lambda: threads() == 0)


def test_a_failure_of_one_webhook_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Every place among the threads, and of the host, is free again: there are more failures than either has."""

    def breaks(attempt: Attempt) -> None:
        raise ZeroDivisionError("a mistake of the sender")

    with Receiver(failures=12) as receiver:
        queue = WebhookQueue(AddressPolicy.loopback(), threads=2, per_host=1, length=4, waits=())
        for number in range(12):
            queue.send(receiver.url, b"%d" % number, failed=breaks)
        queue.send(receiver.url, b"the last")
        wait(lambda: receiver.bodies == [b"the last"])
        wait(lambda: threads() == 0)

    assert caplog.text.count("is dropped") == 12
