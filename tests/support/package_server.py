"""A package index on loopback (PEP 503 and PEP 691) with packages that the test makes."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["PackageServer", "sdist", "wheel"]


def wheel(name: str, version: str, tag: str = "py3-none-any", requires: tuple[str, ...] = (), code: str = "") -> bytes:
    """Return a package of one module, which knows its version."""
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    files = {
        f"{name}.py": f"version = {version!r}\n{code}",
        f"{about}/METADATA": metadata,
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"]))
    return out.getvalue()


def sdist(name: str, version: str, setup: str) -> bytes:
    """Return a source distribution with this setup.py."""
    files = {"setup.py": setup, "PKG-INFO": f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{name}-{version}/{path}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


class PackageServer:
    """Serves /NAME/simple/... for each index; `add` puts a file into one."""

    def __init__(self) -> None:
        self.files = dict[tuple[str, str], dict[str, tuple[bytes, str | None]]]()
        self.requests = list[str]()
        self.authorizations = list[str]()  # of requests that have one
        self.yanked = set[str]()  # names of files

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def do_HEAD(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, index: str = "main") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{index}/simple"

    def add(self, filename: str, content: bytes, uploaded: str | None = None, index: str = "main") -> None:
        name = re.sub(r"[-_.]+", "-", filename.partition("-")[0]).lower()
        self.files.setdefault((index, name), {})[filename] = (content, uploaded)

    def add_wheel(
        self, name: str, version: str, *, uploaded: str | None = None, tag: str = "py3-none-any",
        requires: tuple[str, ...] = (), index: str = "main",
    ) -> None:  # fmt: skip
        self.add(f"{name}-{version}-{tag}.whl", wheel(name, version, tag, requires), uploaded, index)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        self.requests.append(path)
        if authorization := handler.headers.get("Authorization"):
            self.authorizations.append(authorization)
        _, index, kind, *rest = [*path.split("/"), "", ""]
        files = self.files.get((index, rest[0] if rest else ""), {})
        if kind == "simple" and files:
            rows = [_row(index, rest[0], filename, *file) for filename, file in files.items()]
            rows = [{**row, "yanked": "broken"} if row["filename"] in self.yanked else row for row in rows]
            body = json.dumps({"meta": {"api-version": "1.1"}, "name": rest[0], "versions": [], "files": rows}).encode()
            self._send(handler, 200, body, "application/vnd.pypi.simple.v1+json")
        elif kind == "files" and len(rest) > 1 and rest[1] in files:
            self._send(handler, 200, files[rest[1]][0], "application/octet-stream")
        else:
            self._send(handler, 404, b"", "text/plain")

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)


def _row(index: str, name: str, filename: str, content: bytes, uploaded: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "filename": filename,
        "url": f"/{index}/files/{name}/{filename}",
        "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
        "size": len(content),
    }
    return {**row, "upload-time": uploaded} if uploaded else row


def put(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> Path:
    """Write a wheel to disk."""
    path = folder / f"{name}-{version}-{tag}.whl"
    path.write_bytes(wheel(name, version, tag))
    return path
