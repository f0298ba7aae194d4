"""Explains, from a program's last lines, why it could not fetch its weights and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .fetch_trace import FailedFetch, Kind, read_failed_fetch
from .weights import TOKENS, gone_weights

__all__ = ["explain_fetch_failure"]

OFFLINE, YES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), ("1", "ON", "YES", "TRUE")
HUB = "https://huggingface.co"
BY_NAME = "bananastand deploy --secret HF_TOKEN"
TEXTS: dict[Kind, str] = {
    "space": "{asked} did not fit on the disk. Free space where the data directory is, or move that directory: "
    "bananastand up --data",
    "pointer": "a file is a Git LFS pointer of a few lines, not the weights. Install git-lfs, run `git lfs pull` in "
    "the repository and deploy again; in a Dockerfile, run `git lfs install` before `git clone`",
    "token": "the hub got no valid token for {asked}. Make one that may read it at "
    f"https://huggingface.co/settings/tokens and hand it over by its name: {BY_NAME}",
    "gated": "{asked} is gated, and {sent}. Accept its terms at {page}, then hand a token over by its name: " + BY_NAME,
    "revision": "{asked} has no branch, tag or commit {revision}. {page}/tree/main shows those it has; name one of "
    "them in the code",
    "file": "{asked} has no file {file}. {page}/tree/main shows those it has; it may be there under another name or in "
    "another format",
    "moved": "the hub moved {moved}, and the app's huggingface_hub or transformers is too old to follow. Name its new "
    'place in bananastand.toml: [build] weights = {{"{old}" = "{successor}"}}',
    "gone": "{hub} has no repository {asked}, or it is private or gated and {sent}. Check the name "
    f"at {{page}}; a private one needs a token by its name: {BY_NAME}. If it was deleted, name another in "
    "bananastand.toml: "
    '[build] weights = {{"{asked}" = "{successor}"}}',
    "refused": "{host} does not give {asked} away without a token or key that may read it. Hand it over by its name: "
    "bananastand deploy --secret NAME",
    "missing": "{asked} is not there any more. Find another place for the file and name it in the code, or put it "
    "into the repository",
    "busy": "{host} refuses more requests for now. Deploy again in some minutes; with a token the hub allows more: "
    + BY_NAME,
    "broken": "{host} answers {asked} with a server error. Deploy again later, or use a mirror: "
    "HF_ENDPOINT=https://MIRROR bananastand up",
    "offline": "{asked} is not in the cache, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to fetch it. Unset it, "
    "or fetch in download.py, which runs in the build",
    "proxy": "the proxy refuses the connection to {host}. Check HTTPS_PROXY and NO_PROXY where `bananastand up` runs",
    "tls": "the certificate of {host} is not trusted. Behind a proxy that inspects traffic, name its CA where "
    "`bananastand up` runs: SSL_CERT_FILE and REQUESTS_CA_BUNDLE",
    "network": "no connection to {host} while fetching {asked}. Check the network and HTTPS_PROXY of this machine; "
    "HF_ENDPOINT=https://MIRROR bananastand up uses a mirror, and files in the repository need no network",
}


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
