"""An HTTP server of a user's own that answers as it is asked to, and counts: standard library only, no Potassium.

A POST to /ANYTHING with {"status", "headers", "body", "times"} is answered so, up to `times` times, and then with 200.
GET /count says how often the POSTs of each path have run.
"""

import json
import os
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RUNS = Counter()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200, {}, json.dumps(RUNS) if self.path == "/count" else "{}")

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        RUNS[self.path] += 1
        if RUNS[self.path] > order.get("times", 1000):
            self.answer(200, {}, '{"done": true}')
        else:
            self.answer(order["status"], order.get("headers", {}), order.get("body", ""))

    def answer(self, status: int, headers: dict[str, str], body: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
