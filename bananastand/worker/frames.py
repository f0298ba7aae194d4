"""Frames on a stream socket: a JSON header and a body of bytes. Both ends use this module."""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import Any

__all__ = ["PREFIX", "FrameSocket", "decode_header", "encode"]

PREFIX = struct.Struct("!II")  # sizes of the header and of the body


def encode(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Encode a frame for the socket."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((PREFIX.pack(len(head), len(body)), head, body))


def decode_header(raw: bytes) -> dict[str, Any]:
    """Decode the header of a frame."""
    return json.loads(raw)


class FrameSocket:
    """The worker's end. Any thread may send; one thread receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Send a frame; it is dropped if the other end has closed."""
        message = encode(header, body)
        try:
            with self._lock:
                self._connection.sendall(message)
        except OSError:
            pass

    def receive(self) -> tuple[dict[str, Any], bytes] | None:
        """Receive the next frame; returns None when the other end has closed."""
        prefix = self._read(PREFIX.size)
        if prefix is None:
            return None
        head_size, body_size = PREFIX.unpack(prefix)
        head, body = self._read(head_size), self._read(body_size)
        return None if head is None or body is None else (decode_header(head), body)

    def _read(self, size: int) -> bytes | None:
        buffer = bytearray(size)
        view, done = memoryview(buffer), 0
        while done < size:
            try:
                count = self._connection.recv_into(view[done:])
            except InterruptedError:
                continue
            except OSError:
                return None
            if not count:
                return None
            done += count
        return bytes(buffer)
