"""A small HTTP server that behaves like a replica, started in a tenth of a second: standard library only, no Potassium.

It writes the id of each call that a handler has seen, and when, to the file EXECUTED names, if there is one.
"""

import itertools
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

AT_WORK = threading.Semaphore(int(os.environ.get("SLOTS", "1")))
BACKGROUND: list[float] = []
CALLS: set[object] = set()


def hold_the_interpreter(after: float) -> None:
    time.sleep(after)
    sum(itertools.repeat(1))  # one call of C for ever


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0" if os.environ.get("ONE_THREAD") else "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/readyz" and os.environ.get("NEVER_READY"):
            self.answer(503, {"error": {"code": "loading", "message": "not ready"}})
        elif self.path == "/_k/status":
            free = AT_WORK.acquire(blocking=False)
            if free:
                AT_WORK.release()
            self.answer(200, {"gpu_available": free and not any(time.time() < until for until in BACKGROUND)})
        elif self.path == "/readyz":
            background = sum(time.time() < until for until in BACKGROUND)
            counts = {"in_progress": len(CALLS) + background, "background": background}
            self.answer(200, {"ready": True, "concurrency": int(os.environ.get("TAKES", "1")), **counts})
        else:
            self.answer(404, {})

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["content-length"])) or "null")
        order = order if isinstance(order, dict) else {"value": order}
        if os.environ.get("EXECUTED"):
            with open(os.environ["EXECUTED"], "a") as file:
                file.write(f"{self.headers['x-banana-request-id']} {time.time()}\n")
        if os.environ.get("CRASH_ON_CALL") or self.path == "/crash":
            sys.stderr.write("about to crash\n")
            sys.stderr.flush()
            os._exit(7)
        with AT_WORK:
            CALLS.add(self)
            time.sleep(order.get("seconds", 0))
            CALLS.discard(self)
        if self.path == "/events":
            self.events(order.get("events", 3), order.get("then"))
        elif self.path == "/fails":
            self.answer(500, {"error": {"message": "the handler failed"}})
        elif self.path == "/answers":
            self.answer(order["status"], order.get("body"), *map(tuple, order.get("headers", ())))
        elif self.path == "/hang":
            self.answer(200, {"hangs": "from now on"})
            threading.Thread(target=hold_the_interpreter, args=(0.2,)).start()
        elif self.path == "/large":
            self.answer(200, {"large": "x" * order["bytes"]})
        elif self.path == "/background":
            BACKGROUND.append(time.time() + order["for"])
            self.answer(200, {"started": True})
        elif self.path == "/environment":
            self.answer(200, dict(os.environ))
        elif self.path in ("/", "/sleep"):
            self.answer(200, {"got": order, "pid": os.getpid(), "version": os.environ.get("VERSION")})
        else:
            self.answer(404, None)

    def events(self, count: int, then: str | None) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(count):
            event = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(0.05)
        if then == "crash":
            os._exit(7)
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, status: int, value: object, *headers: tuple[str, str]) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    sys.stdout.write(f"a line of the app, {os.environ.get('TOKEN', 'no token')}\n")
    sys.stdout.flush()
    if os.environ.get("CRASH_AT_START"):
        sys.exit("no model here")
    time.sleep(float(os.environ.get("START_SECONDS", "0")))
    ThreadingHTTPServer.daemon_threads = True
    Server = HTTPServer if os.environ.get("ONE_THREAD") else ThreadingHTTPServer
    Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
