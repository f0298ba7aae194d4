"""A server that answers after 20 ms, and writes the id of each call that it has seen to the file EXECUTED names."""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: else they wait for each other

    def do_GET(self) -> None:
        self.answer({"ready": True, "concurrency": 8} if self.path == "/readyz" else {})

    def do_POST(self) -> None:
        number = json.loads(self.rfile.read(int(self.headers["content-length"])))["number"]
        with open(os.environ["EXECUTED"], "a", encoding="utf-8") as file:
            file.write(f"{number}\n")
        time.sleep(0.02)
        self.answer({"number": number})

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200 if self.command == "POST" or self.path == "/readyz" else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
