"""A registry of container images on loopback: the routes of the OCI distribution API that push and pull by digest need.

Of the OCI distribution specification 1.1: end-1 (GET /v2/), end-2 (blobs), end-3 and end-7 (manifests), end-4a and
end-6 (uploads), with the chunk of end-5.
"""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

__all__ = ["ImageRegistry"]

OBJECT = re.compile(r"/v2/(?P<name>[a-z0-9/._-]+)/(?P<kind>blobs|manifests)/(?P<reference>[\w.:-]+)")
UPLOAD = re.compile(r"/v2/(?P<name>[a-z0-9/._-]+)/blobs/uploads/(?P<id>\w*)(\?digest=(?P<digest>[\w:%]+))?")


class ImageRegistry:
    """Holds what is pushed in memory, under its digest and, for manifests, its tag; `pulled` has what was read."""

    def __init__(self) -> None:
        self.objects = dict[tuple[str, str], tuple[bytes, str]]()  # (kind, reference) -> content, media type
        self.uploads = dict[str, bytes]()
        self.pulled = list[str]()

    def __enter__(self) -> Self:
        registry = self

        class Handler(_Handler):
            held = registry

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, kind: str, reference: str, content: bytes, media: str = "application/octet-stream") -> str:
        """Store an object under its reference and its digest, which is returned."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.objects[kind, reference] = self.objects[kind, digest] = content, media
        return digest


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    held: ImageRegistry

    def do_GET(self) -> None:
        if self.path == "/v2/":
            return self._answer(200)
        found = OBJECT.fullmatch(self.path)
        entry = self.held.objects.get((found["kind"], found["reference"])) if found else None
        if found is None or entry is None:
            return self._answer(404)
        content, media = entry
        if self.command == "GET":
            self.held.pulled.append(found["reference"])
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return self._answer(200, content, {"Content-Type": media, "Docker-Content-Digest": digest})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        found = UPLOAD.fullmatch(self.path)
        if found is None:
            return self._answer(404)
        id = uuid.uuid4().hex
        self.held.uploads[id] = self._body()
        return self._answer(202, headers={"Location": f"/v2/{found['name']}/blobs/uploads/{id}"})

    def do_PATCH(self) -> None:
        found = UPLOAD.fullmatch(self.path)
        if found is None or found["id"] not in self.held.uploads:
            return self._answer(404)
        self.held.uploads[found["id"]] += self._body()
        size = len(self.held.uploads[found["id"]])
        return self._answer(202, headers={"Location": self.path, "Range": f"0-{size - 1}"})

    def do_PUT(self) -> None:
        body = self._body()
        if (found := UPLOAD.fullmatch(self.path)) is not None and found["digest"] is not None:
            body, digest = self.held.uploads.pop(found["id"]) + body, found["digest"].replace("%3A", ":")
            if self.held.put("blobs", digest, body) != digest:
                return self._answer(400)
            return self._answer(201, headers={"Location": f"/v2/{found['name']}/blobs/{digest}"})
        if (found := OBJECT.fullmatch(self.path)) is None:
            return self._answer(404)
        digest = self.held.put(found["kind"], found["reference"], body, self.headers["Content-Type"])
        headers = {"Location": f"/v2/{found['name']}/manifests/{digest}", "Docker-Content-Digest": digest}
        return self._answer(201, headers=headers)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = list[bytes]()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *words: object) -> None:
        """Print nothing."""
