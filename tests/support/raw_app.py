"""A server that answers the very bytes that a request asks for: {"raw": base64, "then": "close", "reset" or "keep"}."""

import base64
import contextlib
import json
import os
import socket
import socketserver
import struct


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while (request := self.read()) is not None:
            path, body = request
            try:
                order = json.loads(body) if path != b"/readyz" else {}
            except ValueError:
                order = {}
            if "raw" not in order:
                self.send(
                    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{"fine":true}'
                )
                continue
            self.send(base64.b64decode(order["raw"]))
            if order["then"] == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if order["then"] != "keep":
                return

    def read(self) -> tuple[bytes, bytes] | None:
        """Path and body of the next request."""
        first, length = self.rfile.readline(), 0
        if not first:
            return None
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return first.split(b" ")[1], self.rfile.read(length)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(data)
            self.wfile.flush()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 128

    def shutdown_request(self, request: socket.socket) -> None:  # no FIN before the reset
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        pass


if __name__ == "__main__":
    Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
