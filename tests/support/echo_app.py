"""An HTTP server that says what it was asked, whatever the method: standard library only, no Potassium.

Its first lines of a path choose what it answers; everywhere else it is JSON with method, target, headers and body.
"""

import base64
import gzip
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        path = self.path.partition("?")[0]
        if path == "/healthcheck":
            self.answer(200, b"{}")
        elif path == "/octets":
            self.answer(200, body, ("content-type", self.headers.get("content-type", "none/none")))
        elif path == "/zipped":
            self.answer(
                200, gzip.compress(b"a ripe banana"), ("content-encoding", "gzip"), ("content-type", "text/plain")
            )
        elif path == "/sets":
            self.answer(
                201, b"{}", ("set-cookie", "one=1; Path=/"), ("set-cookie", "two=2"), ("x-own", "mine"), ("etag", '"e"')
            )
        elif path == "/streams":
            self.stream(json.loads(body))
        elif path == "/empty":
            self.answer(204, b"")
        else:
            named = [[name.lower(), value] for name, value in self.headers.items()]
            request = {"method": self.command, "target": self.path, "headers": named}
            self.answer(200, json.dumps({**request, "body": base64.b64encode(body).decode()}).encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do

    def stream(self, options: dict[str, str]) -> None:
        """One piece; the second when the file that is named is there."""
        self.send_response(200)
        self.send_header("content-type", options["type"])
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.piece(b"first\n")
        until = time.monotonic() + 30
        while not Path(options["file"]).exists() and time.monotonic() < until:
            time.sleep(0.01)
        if options.get("then") == "break":
            self.close_connection = True
            return
        self.piece(b"second\n")
        self.wfile.write(b"0\r\n\r\n")

    def piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers or [("content-type", "application/json")]:
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
