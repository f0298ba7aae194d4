"""GitHub's push webhook: a push to the main branch deploys. Knows the signature and the payload; knows no build."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["LARGEST", "HookAnswer", "github_push"]

LARGEST = 25 * 2**20  # bytes; GitHub sends no larger ones
NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """Status and JSON for GitHub, which shows them beside the delivery."""

    status: int
    body: dict[str, Any]


def github_push(
    body: bytes,
    *,
    event: str | None,
    signature: str | None,
    secret: str | None,
    deploy: Callable[[str, str], str],
) -> HookAnswer:
    """Answer a delivery: the body as it was sent, X-GitHub-Event, X-Hub-Signature-256, the secret shared with GitHub.

    deploy: called with the project's name and the source (the repository's address, pinned to the pushed commit) when
    a push moved the default branch; it returns the build's id. Without a secret every delivery is refused.
    """
    if not secret:
        return _error(403, "webhooks are off: start the platform with BANANASTAND_GITHUB_SECRET=... bananastand up")
    if len(body) > LARGEST:
        return _error(413, f"the payload is larger than {LARGEST} bytes")
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), (signature or "").encode("utf-8", "replace")):
        return _error(401, "X-Hub-Signature-256 is not that of this body and secret")
    if event == "ping":
        return HookAnswer(200, {"message": "pong"})
    if event != "push":
        return HookAnswer(202, {"message": f"nothing is done on {str(event)[:40]}"})
    try:
        told = cast("dict[str, Any]", json.loads(body))
        repository = cast("dict[str, Any]", told["repository"])
        ref, commit, deleted = str(told["ref"]), str(told["after"]), bool(told.get("deleted"))
        name, address = str(repository["name"]), str(repository["clone_url"])
        main = str(repository.get("default_branch") or repository.get("master_branch") or "main")
    except (ValueError, KeyError, TypeError, RecursionError):
        return _error(400, "the payload is not one of a push")
    if ref != f"refs/heads/{main}" or deleted or not commit.strip("0"):
        return HookAnswer(202, {"message": f"nothing is done on {ref[:100]}; {main} is what is deployed"})
    project = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    if NAME.fullmatch(project) is None or COMMIT.fullmatch(commit) is None or not address.startswith("https://"):
        return _error(400, "the payload names no repository that can be deployed")
    return HookAnswer(
        200, {"message": "deploying", "project": project, "build_id": deploy(project, f"{address}#{commit}")}
    )


def _error(status: int, message: str) -> HookAnswer:
    return HookAnswer(status, {"error": {"code": "refused", "message": message}})
