"""Reads deliveries of GitHub's webhook: signature, event and the payload of a push."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

__all__ = ["MAX_PAYLOAD", "HookAnswer", "Push", "read_delivery", "refusal", "repository_of"]

MAX_PAYLOAD = 25 * 2**20  # bytes; GitHub sends no larger ones
NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
DELIVERY = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """Status and JSON for GitHub, which shows them with the delivery."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Push:
    """A push that moved the default branch of a repository.

    Attributes:
        delivery: X-GitHub-Delivery, the same when GitHub delivers it again.
        digest: SHA-256 of the body, hexadecimal. The signature covers the body alone, so a copied delivery may come
            under another id.
        repository: Host and full name, in lower case: `github.com/owner/name`.
        project: The project's name, derived from the repository's.
        source: The repository's address, pinned to the pushed commit.
        pushed_at: Seconds since 1970; None where the payload has no time.
    """

    delivery: str
    digest: str
    repository: str
    project: str
    source: str
    pushed_at: float | None


def read_delivery(body: bytes, headers: Mapping[str, str], secret: str | None) -> Push | HookAnswer:
    """Verify a delivery; return its push, or the answer to a delivery that deploys nothing.

    Args:
        body: The body as it was sent.
        headers: X-GitHub-Event, X-GitHub-Delivery and X-Hub-Signature-256, in lower case.
        secret: The secret that is shared with GitHub. Without one every delivery is refused.
    """
    if not secret:
        return refusal(403, "webhooks are off: start the platform with BANANASTAND_GITHUB_SECRET=... bananastand up")
    if len(body) > MAX_PAYLOAD:
        return refusal(413, f"the payload is larger than {MAX_PAYLOAD} bytes")
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    signature = headers.get("x-hub-signature-256", "")
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        return refusal(401, "X-Hub-Signature-256 is not that of this body and secret")
    event = headers.get("x-github-event", "")
    if event == "ping":
        return HookAnswer(200, {"message": "pong"})
    if event != "push":
        return HookAnswer(202, {"message": f"nothing is done on {event[:40]!r}"})
    delivery = headers.get("x-github-delivery", "")
    if not DELIVERY.fullmatch(delivery):
        return refusal(400, "X-GitHub-Delivery is missing: without it a delivery could be replayed")
    return _push(body, delivery)


def refusal(status: int, message: str, code: str = "refused") -> HookAnswer:
    """Return the answer to a delivery that is refused."""
    return HookAnswer(status, {"error": {"code": code, "message": message}})


def _push(body: bytes, delivery: str) -> Push | HookAnswer:
    try:
        payload = cast("dict[str, Any]", json.loads(body))
        repository = cast("dict[str, Any]", payload["repository"])
        ref, commit, deleted = str(payload["ref"]), str(payload["after"]), bool(payload.get("deleted"))
        full_name, address = str(repository["full_name"]), str(repository["clone_url"])
        main = str(repository.get("default_branch") or repository.get("master_branch") or "main")
        pushed_at = _moment(repository.get("pushed_at"), payload.get("head_commit"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return refusal(400, "the payload is not one of a push")
    if ref != f"refs/heads/{main}" or deleted or not commit.strip("0"):
        return HookAnswer(202, {"message": f"nothing is done on {ref[:100]}; {main[:100]} is what is deployed"})
    name = re.sub(r"[^a-z0-9]+", "-", full_name.rpartition("/")[2].lower()).strip("-")[:40].strip("-")
    identity = repository_of(address)
    if NAME.fullmatch(name) is None or COMMIT.fullmatch(commit) is None or identity is None:
        return refusal(400, "the payload names no repository that can be deployed")
    if not identity.endswith(f"/{full_name.lower()}"):
        return refusal(400, f"clone_url is not that of {full_name[:100]}")
    digest = hashlib.sha256(body).hexdigest()
    return Push(delivery, digest, identity, name, f"{address}#{commit}", pushed_at)


def repository_of(source: str) -> str | None:
    """Return host and path of an https URL in lower case, without `.git` and fragment; None for any other URL."""
    try:
        parts = urlsplit(source)
        host = parts.hostname
    except ValueError:
        return None
    path = parts.path.strip("/").removesuffix(".git").lower()
    return f"{host}/{path}" if parts.scheme == "https" and host and path else None


def _moment(pushed_at: Any, head_commit: Any) -> float | None:
    """Return when the push came: `repository.pushed_at` (seconds), else the head commit's own time (ISO 8601)."""
    if isinstance(pushed_at, int | float):
        return float(pushed_at)
    stamp = cast("dict[str, Any]", head_commit).get("timestamp") if isinstance(head_commit, dict) else None
    return datetime.fromisoformat(str(stamp)).timestamp() if stamp else None
