"""GitHub's webhook: what a delivery says, which project it may deploy, and what becomes of one that is replayed."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.http.github import HookAnswer, Push, read_delivery
from bananastand.platform.http.github_repositories import GitHubRepositories
from bananastand.platform.store.builds import Builds
from bananastand.platform.store.database import SqliteStore
from bananastand.platform.store.projects import Projects

FIRST, SECOND, THIRD = "1" * 40, "2" * 40, "3" * 40
PUSH: dict[str, Any] = {
    "ref": "refs/heads/main",
    "after": FIRST,
    "repository": {
        "name": "My_App",
        "full_name": "o/My_App",
        "clone_url": "https://github.com/o/My_App.git",
        "default_branch": "main",
        "pushed_at": 1_700_000_000,
    },
    "head_commit": {"timestamp": "2023-11-14T22:00:00+01:00"},
}


def repository(**changes: Any) -> dict[str, Any]:
    return {**PUSH, "repository": {**PUSH["repository"], **changes}}


def delivered(
    payload: dict[str, Any] | bytes,
    *,
    secret: str = "shared",
    sign: str | None = "shared",
    event: str = "push",
    delivery: str = "d-1",
) -> Push | HookAnswer:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {"x-github-event": event, "x-github-delivery": delivery}
    if sign:
        headers["x-hub-signature-256"] = f"sha256={hmac.new(sign.encode(), body, hashlib.sha256).hexdigest()}"
    return read_delivery(body, headers, secret)


def status(answer: Push | HookAnswer) -> int:
    assert isinstance(answer, HookAnswer)
    return answer.status


def test_a_push_names_the_commit_the_project_and_the_repository() -> None:
    push = delivered(PUSH)

    assert isinstance(push, Push)
    assert (push.project, push.source) == ("my-app", f"https://github.com/o/My_App.git#{FIRST}")
    assert (push.repository, push.pushed_at) == ("github.com/o/my_app", 1_700_000_000)


def test_without_pushed_at_the_head_commit_says_when() -> None:
    push = delivered(repository(pushed_at=None))

    assert isinstance(push, Push)
    assert push.pushed_at == 1_699_995_600  # 22:00 at +01:00


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (401, {"sign": "another"}), (401, {"sign": None}), (403, {"secret": ""}), (200, {"event": "ping"}),
        (202, {"event": "issues"}), (400, {"delivery": ""}), (400, {"delivery": "x" * 65}),
    ],
)  # fmt: skip
def test_a_delivery_that_deploys_nothing(expected: int, words: dict[str, Any]) -> None:
    assert status(delivered(PUSH, **words)) == expected


@pytest.mark.parametrize(
    ("expected", "payload"),
    [
        (202, {**PUSH, "ref": "refs/heads/draft"}), (202, {**PUSH, "ref": "refs/tags/v1"}),
        (202, {**PUSH, "deleted": True}), (202, {**PUSH, "after": "0" * 40}),
        (400, {**PUSH, "after": "--upload-pack=x"}), (400, {**PUSH, "repository": {}}),
        (400, {**PUSH, "repository": 3}), (400, repository(full_name="///")),
        (400, repository(clone_url="ext::sh -c id")), (400, repository(clone_url="https://[x")),
        (400, repository(clone_url="https://github.com/another/My_App.git")),
        (400, {**repository(pushed_at=None), "head_commit": {"timestamp": "yesterday"}}),
    ],
)  # fmt: skip
def test_a_push_that_deploys_nothing(expected: int, payload: dict[str, Any]) -> None:
    assert status(delivered(payload)) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b'"x"', b"[" * 100_000])
def test_malformed_github_payload_is_a_bad_request(body: bytes) -> None:
    assert status(delivered(body)) == 400


class Hooked:
    """A platform's projects and builds on a database of their own, with a clock to set."""

    def __init__(self, store: SqliteStore) -> None:
        self.projects, self.builds = Projects(store), Builds(store)
        self.later = 0.0
        self.repositories = GitHubRepositories(store, lambda: time.time() + self.later)

    def deploy(self, name: str, source: str) -> str:
        project = self.projects.find(name) or self.projects.create(name)
        return self.builds.create(project, source).id

    def accept(self, payload: dict[str, Any], delivery: str) -> HookAnswer:
        push = delivered(payload, delivery=delivery)
        assert isinstance(push, Push)
        return self.repositories.accept(push, self.deploy)


@pytest.fixture
def hooked(tmp_path: Path) -> Iterator[Hooked]:
    store = SqliteStore(tmp_path / "stand.sqlite")
    yield Hooked(store)
    store.close()


def later(seconds: int, commit: str) -> dict[str, Any]:
    return {**repository(pushed_at=1_700_000_000 + seconds), "after": commit}


@pytest.mark.parametrize("again", ["d-1", "d-2"], ids=["the same id", "a copy under another id"])
def test_a_replayed_delivery_builds_nothing_and_gets_its_build(hooked: Hooked, again: str) -> None:
    first = hooked.accept(PUSH, "d-1")
    replayed = hooked.accept(PUSH, again)

    assert (first.status, first.body["message"]) == (200, "deploying")
    assert replayed == HookAnswer(200, {**first.body, "message": "delivered before"})
    assert len(hooked.builds.list()) == 1


def test_a_delivery_replayed_after_its_record_is_gone_is_older_than_what_is_live(hooked: Hooked) -> None:
    hooked.accept(PUSH, "d-1")
    hooked.later += 8 * 86_400
    hooked.accept(later(60, SECOND), "d-2")
    replayed = hooked.accept(PUSH, "d-1")

    assert replayed.status == 409
    assert "this one is older" in replayed.body["error"]["message"]
    assert len(hooked.builds.list()) == 2


def test_pushes_that_arrive_out_of_order_leave_the_newest(hooked: Hooked) -> None:
    answers = [hooked.accept(later(n, c), f"d-{n}").status for n, c in ((10, FIRST), (30, THIRD), (20, SECOND))]

    assert answers == [200, 200, 409]
    assert hooked.builds.list()[0].source.endswith(THIRD)


def test_two_pushes_of_one_second_are_both_taken(hooked: Hooked) -> None:
    assert [hooked.accept(later(5, c), c).status for c in (FIRST, SECOND)] == [200, 200]


@pytest.mark.parametrize(
    "other",
    [
        {"full_name": "evil/My_App", "clone_url": "https://github.com/evil/My_App.git"},
        {"full_name": "o/my.app", "name": "my.app", "clone_url": "https://github.com/o/my.app.git"},
        {"clone_url": "https://git.example.org/o/My_App.git"},
    ],
    ids=["another owner", "another name that makes the same project", "another host"],
)
def test_another_repository_of_the_same_name_is_refused(hooked: Hooked, other: dict[str, Any]) -> None:
    hooked.accept(PUSH, "d-1")
    answer = hooked.accept(repository(**other), "d-2")

    assert answer.status == 409
    assert "github.com/o/my_app" in answer.body["error"]["message"]
    assert f"bananastand deploy https://{other['clone_url'][8:-4].lower()} --name my-app" in str(answer.body)
    assert len(hooked.builds.list()) == 1


def test_a_project_deployed_by_hand_takes_no_push_until_it_was_deployed_from_there(hooked: Hooked) -> None:
    hooked.deploy("my-app", "/home/me/my-app")
    refused = hooked.accept(PUSH, "d-1")
    hooked.deploy("my-app", "https://github.com/o/my_app")
    taken = hooked.accept(PUSH, "d-2")

    assert (refused.status, taken.status) == (409, 200)


def test_a_repository_that_moved_is_followed_once_it_was_deployed_from_there(hooked: Hooked) -> None:
    moved = repository(full_name="new/My_App", clone_url="https://github.com/new/My_App.git")
    hooked.accept(PUSH, "d-1")
    refused = hooked.accept(moved, "d-2")
    hooked.deploy("my-app", "https://github.com/new/My_App")
    taken = hooked.accept(moved, "d-3")
    former = hooked.accept(later(60, SECOND), "d-4")

    assert (refused.status, taken.status, former.status) == (409, 200, 409)


def test_a_delivery_that_could_not_be_deployed_may_come_again(hooked: Hooked) -> None:
    push = delivered(PUSH)
    assert isinstance(push, Push)

    def full(name: str, source: str) -> str:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        hooked.repositories.accept(push, full)

    assert hooked.accept(PUSH, "d-1").body["message"] == "deploying"
