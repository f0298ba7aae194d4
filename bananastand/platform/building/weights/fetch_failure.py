"""Explains, from a program's last lines, why it could not fetch its weights and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..tables import read_table
from .fetch_trace import FailedFetch, Kind, read_failed_fetch
from .weights import TOKENS, gone_weights

__all__ = ["explain_fetch_failure"]

OFFLINE, YES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), ("1", "ON", "YES", "TRUE")
HUB = "https://huggingface.co"
TEXTS: dict[Kind, str] = {kind: row["text"] for kind, row in read_table("fetch_failures")["kind"].items()}


def explain_fetch_failure(lines: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str | None:
    """Say which weights a program could not fetch, why, and what to do.

    Args:
        lines: The last lines of a program that has failed, oldest first.
        environment: The variables it saw: whether a token was among them, and which HF_ENDPOINT.

    Returns:
        A text of a few sentences, or None where the program failed for another reason.
    """
    failed = read_failed_fetch(lines)
    if failed is None:
        return None
    variables = environment or {}
    known = gone_weights().get(failed.name or "")
    kind = _kind(failed)
    if kind == "network" and any(variables.get(name, "").upper() in YES for name in OFFLINE):
        kind = "offline"
    if kind == "gone" and known is not None and known.successor:
        return (
            f"weights: {failed.name} is gone from the hub: {known.reason}. {known.successor} keeps the same weights. "
            f"`bananastand inspect --fix` asks for them, or bananastand.toml: "
            f'[build] weights = {{"{failed.name}" = "{known.successor}"}}'
        )
    return "weights: " + TEXTS[kind].format(
        asked=failed,
        moved=failed.name or "a repository",
        old=failed.name or "OLD NAME",
        hub=variables.get("HF_ENDPOINT") or HUB,
        host=failed.host or (variables.get("HF_ENDPOINT") or HUB if failed.name else "the server"),
        page=f"{HUB}/{failed.name}",
        sent=_sent(variables),
        file=f"{failed.file or 'of the name the app asks for'}{_at(failed)}",
        revision=failed.revision or "of the name the app asks for",
        successor=known.successor if known is not None and known.successor else "OWNER/NAME",
    )


def _kind(failed: FailedFetch) -> Kind:
    """Return what a status means: the hub answers 401 for a missing repository, and 404 for a missing file."""
    if failed.name is None:
        return "missing" if failed.kind in ("gone", "revision") else failed.kind
    if failed.kind == "missing":
        return "file" if failed.file else "gone"
    return "gone" if failed.kind == "refused" else failed.kind


def _sent(environment: Mapping[str, str]) -> str:
    token = any(environment.get(name) for name in TOKENS)
    return "the account of the token that was sent has no access" if token else "no token was sent"


def _at(failed: FailedFetch) -> str:
    return f" at {failed.revision}" if failed.revision and failed.revision != "main" else ""
