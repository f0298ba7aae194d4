"""What deploys without being asked to, on a stand: git pushes, large ones too, and GitHub's webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_repositories import commit, push
from stands import Up

SECRET = "shared with GitHub"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("pushes") / "data", github_secret=SECRET) as running:
        yield running


@pytest.mark.needs("git")
def test_a_push_of_megabytes_is_built_and_live(up: Up, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('an app')\n")
    (tmp_path / "weights.bin").write_bytes(os.urandom(3 * 2**20))  # git sends more than 1 MB in chunks
    commit(tmp_path)
    pushed = push(tmp_path, up, "pushed")

    assert pushed.returncode == 0, pushed.stderr
    assert "remote: builds " in pushed.stderr
    assert f"remote: pushed is live at http://127.0.0.1:{up.port}/banana/run/pushed" in pushed.stderr
    called = up.http.post("/stand/v1/projects/pushed/call/", json={"prompt": "x"})
    assert called.json()["got"] == {"prompt": "x"}
    assert not any((up.data / "git" / "checkouts").iterdir())


@pytest.mark.needs("git")
def test_a_push_without_a_key_of_this_stand_is_refused(up: Up, tmp_path: Path) -> None:
    commit(tmp_path)
    pushed = push(tmp_path, up, "refused", key="wrong")

    assert pushed.returncode != 0
    assert up.http.get("/stand/v1/projects/refused").status_code == 404


def test_githubs_push_deploys_and_anybody_elses_does_not(up: Up) -> None:
    commit = "a" * 40
    repository = {
        "full_name": "me/From-GitHub",
        "clone_url": "https://github.invalid/me/From-GitHub.git",
        "default_branch": "main",
        "pushed_at": 1_700_000_000,
    }
    body = json.dumps({"ref": "refs/heads/main", "after": commit, "repository": repository}).encode()
    signed = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-github-event": "push", "x-github-delivery": "a-1", "x-hub-signature-256": signed}

    taken = up.http.post("/hooks/github", content=body, headers=headers)
    forged = up.http.post("/hooks/github", content=body + b" ", headers=headers)
    replayed = up.http.post("/hooks/github", content=body, headers={**headers, "x-github-delivery": "a-2"})

    assert taken.status_code == 200
    build = up.http.get(f"/stand/v1/builds/{taken.json()['build_id']}").json()
    assert build["project"] == "from-github"
    assert forged.status_code == 401
    assert replayed.json() == {**taken.json(), "message": "delivered before"}
    other = up.http.get("/hooks/github")
    assert (other.status_code, other.headers["allow"]) == (405, "POST")
