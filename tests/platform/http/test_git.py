"""`git push` deploys: a real git against the app on a real port; and GitHub's webhook."""

from __future__ import annotations

import asyncio
import base64
import gzip
import http.client
import os
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import uvicorn

from bananastand.platform.http.git import Git
from servers import free_port

KEY = "5f0c7e52-0000-4000-8000-000000000001"
needs_git = pytest.mark.needs("git")


class Remote:
    """The app on a port, and what was deployed through it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.deployed = list[tuple[str, dict[str, str]]]()
        self.fails = False
        self.app = Git(folder / "git", lambda key: key == KEY, self.deploy, max_bytes=300_000)
        config = uvicorn.Config(self.app, host="127.0.0.1", port=self.port, lifespan="off", log_level="error")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    async def deploy(self, name: str, checkout: Path) -> AsyncGenerator[str]:
        files = {file.name: file.read_text() for file in checkout.rglob("*") if file.is_file()}
        self.deployed.append((name, files))
        yield "building"
        await asyncio.sleep(0.05)
        if self.fails:
            raise RuntimeError("no CMD")
        yield "live at http://127.0.0.1:8750/\nthe second line"

    def url(self, name: str = "my-app", key: str = KEY) -> str:
        return f"http://me:{key}@127.0.0.1:{self.port}/git/{name}.git"

    def request(
        self, method: str, path: str, body: bytes = b"", key: str | None = KEY, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["Authorization"] = "Basic " + base64.b64encode(f"me:{key}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    remote = Remote(tmp_path)
    yield remote
    remote.server.should_exit = True
    remote.thread.join(10)


class Clone:
    """A repository of a user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}
        for who in ("AUTHOR", "COMMITTER"):
            self.env |= {f"GIT_{who}_NAME": "n", f"GIT_{who}_EMAIL": "n@example.com"}
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str, status: int | None = 0) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60
        )
        if status is not None:
            assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def commit(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "-qm", "a commit")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@needs_git
def test_a_push_deploys_and_shows_the_build(remote: Remote, clone: Clone, tmp_path: Path) -> None:
    clone.commit(app="one", Dockerfile="FROM scratch")
    said = clone.git("push", remote.url(), "main")

    assert remote.deployed == [("my-app", {"app": "one", "Dockerfile": "FROM scratch"})]
    assert [line.rstrip() for line in said.splitlines() if line.startswith("remote:")] == [
        "remote: building",
        "remote: live at http://127.0.0.1:8750/ the second line",
    ]
    assert "main -> main" in said
    clone.commit(app="two")
    clone.git("push", remote.url(), "HEAD:refs/heads/main")
    assert remote.deployed[-1] == ("my-app", {"app": "two", "Dockerfile": "FROM scratch"})
    clone.git("commit", "-q", "--amend", "-m", "another")
    clone.git("push", "--force", remote.url(), "main")
    assert len(remote.deployed) == 3
    clone.git("clone", "-q", remote.url(), str(tmp_path / "back"))
    assert (tmp_path / "back" / "app").read_text() == "two"


@needs_git
def test_a_build_that_fails_is_said_and_the_push_stays(remote: Remote, clone: Clone) -> None:
    remote.fails = True
    clone.commit(app="one")
    said = clone.git("push", remote.url(), "main")

    assert "remote: error: no CMD" in said
    assert "Everything up-to-date" in clone.git("push", remote.url(), "main")


@needs_git
def test_other_branches_are_kept_and_not_deployed(remote: Remote, clone: Clone) -> None:
    clone.commit(app="one")
    clone.git("push", remote.url(), "main:draft")
    clone.git("push", remote.url(), "--delete", "draft")

    assert remote.deployed == []


@needs_git
def test_push_with_a_wrong_key_is_unauthorized(remote: Remote, clone: Clone) -> None:
    clone.commit(app="one")

    assert "Authentication failed" in clone.git("push", remote.url(key="wrong"), "main", status=128)
    assert remote.deployed == []
    assert not (remote.folder / "git" / "my-app.git").exists()
    status, headers, _ = remote.request("GET", "/git/my-app.git/info/refs?service=git-receive-pack", key=None)
    assert status == 401
    assert headers["www-authenticate"] == 'Basic realm="bananastand"'


@needs_git
def test_a_push_that_is_too_large_is_refused(remote: Remote, clone: Clone) -> None:
    (clone.folder / "weights").write_bytes(os.urandom(400_000))
    clone.git("add", ".")
    clone.git("commit", "-qm", "weights")

    assert "413" in clone.git("push", remote.url(), "main", status=None)
    assert remote.deployed == []


@needs_git
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/git/../../etc/passwd", 404),
        ("GET", "/git/..%2f..%2fx.git/info/refs?service=git-receive-pack", 404),
        ("GET", "/git/UP.git/info/refs?service=git-receive-pack", 404),
        ("GET", "/git/a.git/HEAD", 404),
        ("GET", "/git/a.git/objects/info/packs", 404),
        ("GET", "/git/a.git/info/refs", 403),
        ("GET", "/git/a.git/info/refs?service=git-upload-archive", 403),
        ("GET", "/git/a.git/info/refs?service=git-upload-pack", 404),
        ("POST", "/git/a.git/info/refs?service=git-receive-pack", 405),
        ("GET", "/git/a.git/git-receive-pack", 405),
        ("POST", "/git/a.git/git-receive-pack", 415),
    ],
)
def test_git_requests_other_than_a_push_are_refused(method: str, path: str, status: int, remote: Remote) -> None:
    assert remote.request(method, path)[0] == status


@needs_git
@pytest.mark.parametrize("body", [b"", b"x", b"zzzz", b"0000", b"0005", b"0014hello worldaaaaa", b"ffff", b"00"])
def test_malformed_push_body_is_refused(body: bytes, remote: Remote) -> None:
    kind = "application/x-git-receive-pack-request"
    plain = remote.request("POST", "/git/a.git/git-receive-pack", body, Content_Type=kind)[0]
    packed = remote.request(
        "POST", "/git/a.git/git-receive-pack", gzip.compress(body), Content_Type=kind, Content_Encoding="gzip"
    )[0]
    broken = remote.request("POST", "/git/a.git/git-receive-pack", body, Content_Type=kind, Content_Encoding="br")[0]

    assert (plain, packed, broken) == ((200, 200, 415) if body == b"0000" else (400, 400, 415))


@needs_git
def test_a_gzip_bomb_is_refused(remote: Remote) -> None:
    kind = "application/x-git-receive-pack-request"
    body = gzip.compress(bytes(50_000_000))

    assert (
        remote.request("POST", "/git/a.git/git-receive-pack", body, Content_Type=kind, Content_Encoding="gzip")[0]
        == 413
    )
