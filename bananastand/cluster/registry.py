"""Who may join a cluster and who has joined: join tokens and members, in files of the first machine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from .authority import Authority, Role, fingerprint, write_private
from .credentials import CredentialsError

__all__ = ["Registry"]


class Registry:
    """Join tokens and members of a cluster. Only digests of their secrets are stored.

    Args:
        folder: The cluster's folder of the first machine.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "registry.json"

    def create_token(self, role: Role, seconds: float) -> str:
        """Return a new join token, which also names the authority that a member has to find.

        Args:
            role: What it lets a machine become.
            seconds: How long it may be used.
        """
        id, secret = secrets.token_hex(3), secrets.token_hex(16)
        with self._changed() as content:
            now = time.time()
            tokens = {key: token for key, token in content["tokens"].items() if token["ends"] > now}
            content["tokens"] = tokens | {id: {"digest": _digest(secret), "ends": now + seconds, "role": role}}
        ca = Authority(self._folder).certificate.read_bytes()
        return f"{id}.{secret}@{fingerprint(ca)}"

    def revoke_tokens(self) -> int:
        """Delete all join tokens, and return how many could still be used."""
        with self._changed() as content:
            valid = sum(token["ends"] > time.time() for token in content["tokens"].values())
            content["tokens"] = {}
        return valid

    def admit(self, name: str, role: Role, address: str, secret: str) -> str | None:
        """Check a machine that wants to be a member, and write it down.

        With a join token, a machine at the address of a member of that name takes its place.

        Args:
            name: Its name.
            role: What it wants to be.
            address: Where it is.
            secret: A join token without the authority, or the key that it got when it joined.

        Returns:
            The key with which it may come again, or None if it came with that key.

        Raises:
            CredentialsError: It may not; the message says why.
        """
        with self._changed() as content:
            known: dict[str, Any] | None = content["members"].get(name)
            facts = {"role": role, "address": address, "joined": time.time()}
            if known is not None and known["role"] == role and _matches(secret, known["digest"]):
                content["members"][name] = {**known, **facts}
                return None
            self._check_token(content["tokens"], role, secret)
            if known is not None and known["address"] != address:
                advice = f"join as another (--name), or run `bananastand cluster forget {name}` on the first machine"
                raise CredentialsError(f"another member is named {name} already: {advice}")
            key = secrets.token_hex(32)
            content["members"][name] = {**facts, "digest": _digest(key)}
            return key

    def members(self) -> dict[str, dict[str, Any]]:
        """Return role, address and the time of joining (seconds since 1970) of each member, by its name."""
        return self._read()["members"]

    def forget(self, name: str) -> bool:
        """Delete a member, so that it needs a join token to come again; returns whether there was one."""
        with self._changed() as content:
            return content["members"].pop(name, None) is not None

    def _check_token(self, tokens: dict[str, Any], role: Role, text: str) -> None:
        id, _, secret = text.partition(".")
        token = tokens.get(id)
        if token is None or not _matches(secret, token["digest"]):
            raise CredentialsError(f"the join token is not one of this cluster: {ADVICE}")
        if token["ends"] < time.time():
            raise CredentialsError(f"the join token has expired: {ADVICE}")
        if token["role"] != role:
            raise CredentialsError(f"the join token is for a {token['role']}, not for a {role}: {ADVICE}")

    @contextlib.contextmanager
    def _changed(self) -> Generator[dict[str, Any]]:
        """Yield the content, and write it if nothing is raised. One process changes it at a time."""
        with open(self._folder / "registry.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self._read()
            yield content
            write_private(self._path, json.dumps(content, indent=2).encode())

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            return json.loads(self._path.read_text(encoding="utf-8"))
        return {"tokens": {}, "members": {}}


ADVICE = "`bananastand cluster token` on the first machine prints a new one"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _matches(secret: str, digest: str) -> bool:
    return hmac.compare_digest(_digest(secret), digest)
