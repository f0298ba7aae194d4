"""Stands in for the bridge's process: sends messages that are none between those that are."""

from __future__ import annotations

import json
import socket
import struct
import sys
import time

connection = socket.socket(fileno=int(sys.argv[1]))


def send(message: object) -> None:
    content = json.dumps(message).encode()
    connection.sendall(struct.pack("!I", len(content)) + content)


send({"kind": "connected"})
send({"kind": "nodes"})
send({"kind": "good"})
time.sleep(0.2)
connection.sendall(b"\xff\xff\xff\xff")
time.sleep(60)
