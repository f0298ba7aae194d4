"""The part of Redis that Potassium's Store uses: GET and SET, in memory, without expiry."""

from __future__ import annotations

import socketserver
import threading

__all__ = ["RedisServer"]


class _Handler(socketserver.StreamRequestHandler):
    values: dict[bytes, bytes]

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = list[bytes]()
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2])
            self.wfile.write(self._answer(words))

    def _answer(self, words: list[bytes]) -> bytes:
        if words[0].upper() == b"GET":
            found = self.values.get(words[1])
            return b"$-1\r\n" if found is None else b"$%d\r\n%s\r\n" % (len(found), found)
        if words[0].upper() == b"SET":
            self.values[words[1]] = words[2]
        return b"+OK\r\n"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


class RedisServer:
    """Serves on a port of an address of this machine while it is entered."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._server = _Server((host, 0), type("Handler", (_Handler,), {"values": {}}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> RedisServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
