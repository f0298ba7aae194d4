"""How a machine becomes a member: it shows a join token over TLS, and gets a certificate and Ray's token.

One JSON line each way. The machine trusts no one but the authority whose fingerprint stands in its join token, as
with `kubeadm join --discovery-token-ca-cert-hash`. Its private key never leaves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from bananastand.platform.store.logs import plain

from .authority import HEAD_NAME, Authority, Role, certificate_request, fingerprint, new_key, write_private
from .credentials import Cluster, CredentialsError, Identity, write_identity
from .gate import Gate
from .prerequisites import check_versions, member_versions
from .registry import Registry

__all__ = ["EnrolmentServer", "Unreachable", "enrol"]

TIMEOUT = 10.0  # seconds
MAX_LINE = 64 * 2**10
SKEW = 30.0  # seconds that clocks may differ without a warning
OWN_NAMES = (HEAD_NAME, "head", "front-1", "localhost")  # of the first machine
UNUSUAL = re.compile(r"[^\w.:+-]")  # in a version or an address
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


class Unreachable(CredentialsError):
    """The first machine does not answer, which may pass."""


class EnrolmentServer:
    """Lets machines join, on the first machine.

    Args:
        folder: The cluster's folder.
        identity: The first machine's own, whose certificate names HEAD_NAME.
        say: Prints a line for whoever runs the server.
    """

    def __init__(self, folder: Path, identity: Identity, say: Callable[[str], None]) -> None:
        self._authority, self._registry = Authority(folder), Registry(folder)
        self._identity, self._say = identity, say

    async def start(self, host: str) -> Gate:
        """Listen on an address. Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._identity.certificate, self._identity.key)
        gate = Gate(lambda on_settled: _Connection(self._serve, on_settled), context, TIMEOUT)
        gate.open(host, self._identity.cluster.enrolment_port)
        return gate

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                line = await reader.readline()
                response = self._answer(line, writer.get_extra_info("peername")[0])
                writer.write(json.dumps(response).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # it left, was too slow, or sent more than a line may have
        finally:
            writer.close()

    def _answer(self, line: bytes, peer: str) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if request == {"ask": "ca"}:
                return {"ca": self._authority.certificate.read_text()}
            texts = {key: str(request[key]) for key in ("secret", "name", "role", "address", "request")}
            "".join(texts.values()).encode()
            versions = {str(key): UNUSUAL.sub("?", str(value)[:40]) for key, value in dict(request["versions"]).items()}
        except (ValueError, TypeError, KeyError, RecursionError):
            return {"error": "the request cannot be read: update Bananastand on this machine"}
        try:
            response = self._join(texts, versions, peer)
        except CredentialsError as error:
            self._say(f"member {texts['name'][:50]!r} at {peer} refused: {error}")
            return {"error": str(error)}
        self._say(f"member {texts['name']} at {peer} joined as a {texts['role']}")
        return response

    def _join(self, texts: dict[str, str], versions: dict[str, str], peer: str) -> dict[str, Any]:
        name, address = texts["name"], texts["address"]
        roles: dict[str, Role] = {role: role for role in get_args(Role)}
        if (role := roles.get(texts["role"])) is None:
            raise CredentialsError(f"a member is a front or a node, not {texts['role'][:60]!r}")
        cluster = self._identity.cluster
        if not NAME.fullmatch(name) or name in OWN_NAMES:
            raise CredentialsError(f"{name[:60]!r} cannot be a name: use at most 42 of a-z, 0-9 and - (--name)")
        peer = peer.removeprefix("::ffff:")
        if address != peer:
            raise CredentialsError(
                f"the machine says that it is {UNUSUAL.sub('?', address[:60])}, but it comes from {peer}: see --address"
            )
        check_versions(member_versions(), versions)
        try:
            certificate = self._authority.sign(texts["request"].encode(), cluster.id, role, name, (address,))
        except ValueError as error:
            raise CredentialsError(f"the certificate request is malformed: {error}") from None
        key = self._registry.admit(name, role, address, texts["secret"])
        return {
            "cluster": asdict(cluster),
            "certificate": certificate.decode(),
            "ray_token": self._identity.ray_token.read_text(),
            "key": key,
            "time": time.time(),
        }


class _Connection(asyncio.StreamReaderProtocol):
    """A connection to the enrolment server, which stays a stranger's until it is closed."""

    def __init__(self, serve: Callable[..., Awaitable[None]], on_settled: Callable[[], None]) -> None:
        super().__init__(asyncio.StreamReader(MAX_LINE), serve)
        self._on_settled = on_settled

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_settled()
        super().connection_lost(exc)


def enrol(
    folder: Path,
    host: str,
    port: int,
    *,
    name: str,
    role: Role = "node",
    token: str | None = None,
    address: str | None = None,
    say: Callable[[str], None] = print,
) -> Identity:
    """Join a cluster, or come again to get new credentials; blocks for at most a minute.

    Args:
        folder: Where this machine's credentials are, or will be.
        host: The first machine.
        port: Its enrolment port.
        name: This machine's name in the cluster.
        role: What it will be.
        token: A join token; None to come again with the key from before.
        address: This machine's address; None for the one from which it reaches the first machine.
        say: Prints a warning.

    Returns:
        The credentials, which are written.

    Raises:
        Unreachable: The first machine does not answer.
        CredentialsError: It refuses, or is not the first machine of that cluster.
        OSError: A file cannot be written.
    """
    if token is not None:
        secret, _, pin = token.strip().partition("@")
        ca, found = _authority_of(host, port, address)
        if not secret or found != pin:
            raise CredentialsError(
                f"{host}:{port} is not the first machine of the token's cluster (its authority is {found}): "
                "check the address; if it is right, someone answers in its place"
            )
    else:
        try:
            ca, secret = (folder / "ca.pem").read_bytes(), (folder / "member-key").read_text()
        except FileNotFoundError:
            raise CredentialsError(
                "this machine has not joined yet: pass --token; `bananastand cluster token` on the first machine "
                "prints one"
            ) from None
    context = ssl.create_default_context(cadata=ca.decode())
    key = new_key()
    with _connected(host, port, context, address) as (stream, own_address):
        request = {
            "ask": "join",
            "secret": secret,
            "name": name,
            "role": role,
            "address": own_address,
            "request": certificate_request(key).decode(),
            "versions": member_versions(),
        }
        answer = _exchange(stream, request)
    skew = time.time() - answer["time"]
    if abs(skew) > SKEW:
        ahead = "ahead of" if skew > 0 else "behind"
        say(f"the clock of this machine is {abs(skew):.0f} s {ahead} the first machine's: let NTP set both")
    identity = write_identity(
        folder,
        Cluster(**answer["cluster"]),
        role,
        name,
        key=key,
        certificate=answer["certificate"].encode(),
        ca=ca,
        ray_token=answer["ray_token"],
    )
    if answer["key"] is not None:
        write_private(folder / "member-key", answer["key"].encode())
    return identity


def _authority_of(host: str, port: int, address: str | None) -> tuple[bytes, str]:
    """Return the certificate of the authority there, of which nothing is believed yet, and its fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _connected(host, port, context, address) as (stream, _):
        ca = str(_exchange(stream, {"ask": "ca"}).get("ca")).encode()
    try:
        return ca, fingerprint(ca)
    except ValueError:
        raise CredentialsError(
            f"{host}:{port} is no first machine of a cluster: check the address and the port"
        ) from None


@contextlib.contextmanager
def _connected(host: str, port: int, context: ssl.SSLContext, address: str | None) -> Any:
    source = (address, 0) if address is not None else None
    try:
        with socket.create_connection((host, port), TIMEOUT, source) as plain:
            own_address = plain.getsockname()[0].removeprefix("::ffff:")
            with context.wrap_socket(plain, server_hostname=HEAD_NAME) as stream:
                yield stream, own_address
    except ssl.SSLCertVerificationError as error:
        raise CredentialsError(
            f"{host}:{port} is not the first machine of this cluster ({error.verify_message}): check the address, and "
            "the clocks of both machines"
        ) from None
    except OSError as error:
        advice = "is `bananastand up --cluster auto` (or `bananastand cluster head`) running there, and the port open?"
        raise Unreachable(f"{host}:{port} does not answer ({error.strerror or error}): {advice}") from None


def _exchange(stream: ssl.SSLSocket, request: dict[str, Any]) -> dict[str, Any]:
    stream.sendall(json.dumps(request).encode() + b"\n")
    with stream.makefile("rb") as file:
        line = file.readline(MAX_LINE)
    try:
        answer: dict[str, Any] = json.loads(line)
        error = answer.get("error")
    except (ValueError, AttributeError, RecursionError):
        raise Unreachable("the first machine has closed the connection without an answer") from None
    if error is not None:
        raise CredentialsError(plain(str(error)))
    return answer
