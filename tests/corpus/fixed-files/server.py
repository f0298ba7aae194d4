"""Writes what it is sent to a file of always the same name, and counts in it, as transcribers did."""

import base64
import json
import os
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

os.close(os.open("server.lock", os.O_CREAT | os.O_EXCL))  # one server in a container


class Transcriber(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/healthcheck" else 404, {"state": "healthy"})

    def do_POST(self):
        inputs = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("input.mp3", "wb") as file:
            file.write(base64.b64decode(inputs["mp3BytesString"]))
        time.sleep(inputs.get("seconds", 0.2))
        with open("input.mp3", "rb") as file:
            text = file.read().decode()
        os.remove("input.mp3")
        self.answer(200, {"text": text})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


HTTPServer(("0.0.0.0", 8000), Transcriber).serve_forever()
