"""A model hub on loopback, which huggingface_hub of any age, transformers and diffusers reach through HF_ENDPOINT.

As a fixture, with the tiny models of hub_models.py under their real names or with files of the test's own:

    from hub import Hub, Repository

    with Hub([Repository("me/model", folder)]) as hub:
        subprocess.run([old_python, "download.py"], env={**os.environ, "HF_ENDPOINT": hub.url})

As a command, for programs that run under another Python (it prints its address once every model is there):

    python tests/support/hub.py --port 8999 --folder /tmp/hub            # all the models of hub_models.py
    python tests/support/hub.py --port 8999 --only stable-diffusion-v1-5/stable-diffusion-v1-5 --only gpt2

Tokens: `hf_member` may read everything; `hf_stranger` is valid but may read nothing gated or private; any other one is
refused as invalid. The standard library alone is used; hub_models.py, which makes the models, is imported by the
command and by whoever wants it. What differs from the real hub: no git, no Xet, no uploads, no search.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

__all__ = ["MEMBER", "STRANGER", "Hub", "Repository"]

MEMBER, STRANGER = "hf_member", "hf_stranger"
LFS = (".bin", ".safetensors", ".pt", ".pth", ".ckpt", ".onnx", ".msgpack", ".h5")
DATE = "2023-03-01T12:00:00.000Z"
API = re.compile(r"/api/(?P<kind>models|datasets|spaces)/(?P<rest>.+)")
FILE = re.compile(r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+(?:/[^/]+)?)/(?:resolve|raw)/(?P<rest>.+)")
ACTIONS = ("revision", "tree", "paths-info", "refs", "commits")


@dataclass(frozen=True)
class Repository:
    """A repository and its files.

    branches: more revisions, each with a folder of its own. gated: anybody may see that it is there, members alone may
    read its files. private: members alone know of it. disabled: taken down by the hub. license: as its card names it.
    """

    name: str
    folder: Path
    branches: Mapping[str, Path] = field(default_factory=dict)
    kind: Literal["models", "datasets", "spaces"] = "models"
    gated: bool = False
    private: bool = False
    disabled: bool = False
    license: str | None = None
    pipeline: str | None = None

    @cached_property
    def commits(self) -> dict[str, Revision]:
        """Every name of a revision: branches, and the commits they stand for."""
        found: dict[str, Revision] = {}
        for name, folder in {"main": self.folder, **self.branches}.items():
            revision = Revision(folder)
            found |= {name: revision, revision.commit: revision}
        return found


class Revision:
    """The files of a folder, read once."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        digests = b"".join(name.encode() + hashlib.sha1(content).digest() for name, content in self.files.items())
        self.commit = hashlib.sha1(b"commit" + digests).hexdigest()

    def describe(self, name: str) -> dict[str, Any]:
        """A file as /tree lists it."""
        content = self.files[name]
        pointer = content
        listed: dict[str, Any] = {"type": "file", "size": len(content), "path": name}
        if name.endswith(LFS):
            oid = hashlib.sha256(content).hexdigest()
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()
            listed["lfs"] = {"oid": oid, "size": len(content), "pointerSize": len(pointer)}
        return {**listed, "oid": hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()}

    def folders(self) -> set[str]:
        return {
            "/".join(parts[:at]) for name in self.files for parts in [name.split("/")] for at in range(1, len(parts))
        }


class Hub:
    """Serves repositories on 127.0.0.1 while it is entered.

    aliases: an old name and the one it was renamed to, as the hub redirects. broken: a regular expression of paths and
    the status that they are answered with, whatever is there. requests: "METHOD path status" in their order, which are
    written to the file `log` as well.
    """

    def __init__(
        self, repositories: Iterable[Repository], *, aliases: Mapping[str, str] | None = None, port: int = 0,
        log: Path | None = None,
    ) -> None:  # fmt: skip
        self.repositories = {(repository.kind, repository.name): repository for repository in repositories}
        self.aliases = dict(aliases or {})
        self.broken: dict[str, int] = {}
        self.requests: list[str] = []
        self._log = log
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def cdn(self) -> str:
        """Another host as far as a client can tell: where large files are, as with the real hub."""
        return f"http://localhost:{self._server.server_port}"

    def environment(self, cache: Path) -> dict[str, str]:
        """The variables that lead a program to this hub, with a cache of its own."""
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}

    def note(self, request: str) -> None:
        """Keep "METHOD path status"."""
        self.requests.append(request)
        if self._log is not None:
            with self._log.open("a") as file:
                file.write(f"{request}\n")

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _ErrorAnswer(Exception):
    """An error answer: status, X-Error-Code and text."""

    def __init__(self, status: int, code: str | None, text: str, commit: str | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.commit = status, code, commit


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that went away
            super().handle()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        self.query, path = parse_qs(address.query), unquote(address.path)
        self.form = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            for pattern, status in self.hub.broken.items():
                if re.search(pattern, path):
                    raise _ErrorAnswer(status, None, "the hub is out of order")
            self._route(path, address.path)
        except _ErrorAnswer as refused:
            code = {"X-Error-Code": refused.code} if refused.code else {}
            commit = {"X-Repo-Commit": refused.commit} if refused.commit else {}
            headers = {"Content-Type": "application/json", "X-Error-Message": str(refused), **code, **commit}
            self._send(refused.status, json.dumps({"error": str(refused)}).encode(), headers)

    def _route(self, path: str, raw: str) -> None:
        if path == "/api/whoami-v2":
            if self._token() is None:
                raise _ErrorAnswer(401, None, "Invalid username or password.")
            self._json({"type": "user", "name": self._token(), "fullname": self._token(), "orgs": []})
        elif path in ("/api/models", "/api/datasets", "/api/spaces"):
            kind = path.rpartition("/")[2]
            public = [
                repository
                for repository in self.hub.repositories.values()
                if repository.kind == kind and not repository.private
            ]
            self._json([_info(repository, repository.commits["main"], False) for repository in public])
        elif path.startswith("/cdn/"):
            self._content(self._from_cdn(path.rpartition("/")[2]), {})
        elif api := API.fullmatch(path):
            self._api(api["kind"], api["rest"], raw)
        elif file := FILE.fullmatch(path):
            self._file(file["kind"] or "models", file["name"], file["rest"], raw)
        else:
            raise _ErrorAnswer(404, None, "Sorry, we can't find the page you are looking for.")

    # What the hub says of a repository

    def _api(self, kind: str, rest: str, raw: str) -> None:
        parts = rest.split("/")
        at = next((at for at in (1, 2) if at < len(parts) and parts[at] in ACTIONS), None)
        name, action, more = (rest, None, []) if at is None else ("/".join(parts[:at]), parts[at], parts[at + 1 :])
        repository = self._repository(kind, name, raw)
        if repository is None:
            return
        if action == "refs":
            names = [name for name in repository.commits if not re.fullmatch("[0-9a-f]{40}", name)]
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": repository.commits[name].commit}
                for name in names
            ]
            self._json({"branches": branches, "converts": [], "tags": []})
            return
        revision, path = self._revision(repository, "/".join(more) or "main")
        if action in (None, "revision"):
            self._json(_info(repository, revision, self._flag("blobs")))
        elif action == "commits":
            self._json([{"id": revision.commit, "title": "initial", "message": "", "date": DATE, "authors": []}])
        elif action == "paths-info":
            paths = parse_qs(self.form.decode()).get("paths", [])
            self._json([revision.describe(path) for path in paths if path in revision.files])
        else:
            self._json(list(self._tree(revision, path)))

    def _tree(self, revision: Revision, path: str) -> Iterator[dict[str, Any]]:
        prefix, deep = f"{path}/" if path else "", self._flag("recursive")
        for name in sorted(revision.folders()):
            if name.startswith(prefix) and (deep or "/" not in name[len(prefix) :]):
                yield {"type": "directory", "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0, "path": name}
        for name in revision.files:
            if name.startswith(prefix) and (deep or "/" not in name[len(prefix) :]):
                yield revision.describe(name)

    # Files

    def _file(self, kind: str, name: str, rest: str, raw: str) -> None:
        repository = self._repository(kind, name, raw)
        if repository is None:
            return
        self._may_read(repository)
        revision, path = self._revision(repository, rest)
        if path not in revision.files:
            raise _ErrorAnswer(404, "EntryNotFound", "Entry not found", revision.commit)
        content, about = revision.files[path], revision.describe(path)
        headers = {"X-Repo-Commit": revision.commit, "Content-Disposition": f'inline; filename="{Path(path).name}"'}
        if "lfs" not in about:
            self._content(content, {**headers, "ETag": f'"{about["oid"]}"'})
            return
        oid = about["lfs"]["oid"]
        linked = {
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{oid}"',
            "Location": f"{self.hub.cdn}/cdn/{oid}",
        }
        self._send(302, b"", {**headers, **linked})

    def _from_cdn(self, oid: str) -> bytes:
        for repository in self.hub.repositories.values():
            for revision in repository.commits.values():
                for name, content in revision.files.items():
                    if name.endswith(LFS) and hashlib.sha256(content).hexdigest() == oid:
                        return content
        raise _ErrorAnswer(404, None, "no such object")

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
        ranged = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if ranged is None:
            self._send(200, content, headers)
            return
        first, last = int(ranged[1]), min(int(ranged[2] or len(content) - 1), len(content) - 1)
        if first > last:
            self._send(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
            return
        ranges = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        self._send(206, content[first : last + 1], {**headers, **ranges})

    # Who asks, and for what

    def _token(self) -> str | None:
        header = self.headers.get("Authorization") or ""
        if not header:
            return None
        token = header.removeprefix("Bearer ")
        if token not in (MEMBER, STRANGER):
            raise _ErrorAnswer(401, None, "Invalid credentials in Authorization header")
        return token

    def _repository(self, kind: str, name: str, raw: str) -> Repository | None:
        """The repository, or None where the answer was a redirect to its new name."""
        token = self._token()
        if (new := self.hub.aliases.get(name)) is not None and (kind, name) not in self.hub.repositories:
            query = f"?{urlsplit(self.path).query}" if "?" in self.path else ""
            self._send(307, b"", {"Location": raw.replace(quote(name), quote(new), 1) + query})
            return None
        repository = self.hub.repositories.get((kind, name))
        if repository is None or (repository.private and token != MEMBER):
            if token is None:  # the hub does not say whether it is there
                raise _ErrorAnswer(401, "RepoNotFound", "Invalid username or password.")
            raise _ErrorAnswer(404, "RepoNotFound", "Repository not found")
        if repository.disabled:
            raise _ErrorAnswer(403, None, "Access to this resource is disabled.")
        return repository

    def _may_read(self, repository: Repository) -> None:
        token = self._token()
        if not repository.gated or token == MEMBER:
            return
        text = f"Access to model {repository.name} is restricted"
        if token is None:
            needed = "You must have access to it and be authenticated to access it. Please log in."
            raise _ErrorAnswer(401, "GatedRepo", f"{text}. {needed}")
        visit = f"Visit https://huggingface.co/{repository.name} to ask for access."
        raise _ErrorAnswer(403, "GatedRepo", f"{text} and you are not in the authorized list. {visit}")

    def _revision(self, repository: Repository, text: str) -> tuple[Revision, str]:
        """The revision at the beginning of a path, whose name may hold slashes, and the path after it."""
        for name in sorted(repository.commits, key=len, reverse=True):
            if text == name or text.startswith(f"{name}/"):
                return repository.commits[name], text[len(name) + 1 :]
        raise _ErrorAnswer(404, "RevisionNotFound", f"Invalid rev id: {text.partition('/')[0]}")

    def _flag(self, name: str) -> bool:
        return self.query.get(name, [""])[0].lower() in ("true", "1")

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.hub.note(f"{self.command} {self.path} {status}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _info(repository: Repository, revision: Revision, blobs: bool) -> dict[str, Any]:
    """A repository as /api/models/NAME tells it."""
    siblings = list[dict[str, Any]]()
    for name in revision.files:
        about = revision.describe(name)
        sizes: dict[str, Any] = {"blobId": about["oid"], "size": about["size"]} if blobs else {}
        if blobs and "lfs" in about:
            lfs = about["lfs"]
            sizes["lfs"] = {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
        siblings.append({"rfilename": name, **sizes})
    used = sum(map(len, revision.files.values()))
    tags = [f"license:{repository.license}"] if repository.license else []
    return {
        "_id": revision.commit[:24], "id": repository.name, "modelId": repository.name, "sha": revision.commit,
        "author": repository.name.partition("/")[0], "lastModified": DATE, "createdAt": DATE, "downloads": 0,
        "likes": 0, "private": repository.private, "disabled": repository.disabled, "tags": tags,
        "gated": "auto" if repository.gated else False, "pipeline_tag": repository.pipeline, "usedStorage": used,
        "cardData": {"license": repository.license} if repository.license else {}, "siblings": siblings, "spaces": [],
    }  # fmt: skip


def main() -> None:
    """Serve the models of hub_models.py until interrupted."""
    from hub_models import ALIASES, NAMES, repositories

    parser = argparse.ArgumentParser(description="A model hub on loopback for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the models are made, and found again; else a temporary one")
    parser.add_argument("--log", type=Path, help="a file for the requests: METHOD path status")
    parser.add_argument("--only", action="append", choices=[*NAMES, *ALIASES], help="this model and no other")
    words = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = words.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-")))
        names = [ALIASES.get(name, name) for name in words.only or NAMES]
        hub = stack.enter_context(Hub(repositories(folder, names), aliases=ALIASES, port=words.port, log=words.log))
        print(f"HF_ENDPOINT={hub.url}", flush=True)  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
