"""What a member of a cluster has to show: its certificate and Ray's token, as files that only their owner can read.

A member is a front, which is a platform that calls, or a node, which runs replicas. The relay of a node takes
connections of fronts only, and a front talks to nodes only; both sides prove who they are (mutual TLS).
"""

from __future__ import annotations

import datetime
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from bananastand.platform.store.private_files import make_folder

from .authority import HEAD_NAME, Authority, Role, certificate_request, member_uri, new_key, write_private

__all__ = [
    "FOLDER_VARIABLE",
    "Cluster",
    "CredentialsError",
    "Identity",
    "check_role",
    "client_context",
    "cluster_folder",
    "create_cluster",
    "issue",
    "server_context",
    "write_identity",
]

FOLDER_VARIABLE = "BANANASTAND_NODE_FOLDER"  # names the folder of a node's identity, for what runs in Ray there
RENEW = datetime.timedelta(days=30)  # before its end a certificate is replaced
RAY_PORT = 6379
ENROLMENT_PORT = 8752


class CredentialsError(Exception):
    """Credentials are missing or do not fit; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What all members know of their cluster.

    Attributes:
        id: The cluster's id.
        host: The address of its first machine.
        ray_port: The port of Ray's head there.
        enrolment_port: The port that new members join at.
        encrypts_ray: Whether Ray's own connections use TLS.
    """

    id: str
    host: str
    ray_port: int = RAY_PORT
    enrolment_port: int = ENROLMENT_PORT
    encrypts_ray: bool = True

    @property
    def address(self) -> str:
        """The address of Ray's head, for `ray start --address` and `ray.init`."""
        return f"[{self.host}]:{self.ray_port}" if ":" in self.host else f"{self.host}:{self.ray_port}"


@dataclass(frozen=True, slots=True)
class Identity:
    """One member's own credentials, in a folder of its machine.

    Attributes:
        folder: Holds ca.pem, certificate.pem, key.pem, ray-token and identity.json.
        cluster: The cluster.
        role: What it may do.
        name: Its name, which is also a DNS name of its certificate: connect with it as `server_hostname`.
    """

    folder: Path
    cluster: Cluster
    role: Role
    name: str

    @property
    def authority(self) -> Path:
        """The certificate of the cluster's authority."""
        return self.folder / "ca.pem"

    @property
    def certificate(self) -> Path:
        """The member's certificate, followed by the authority's."""
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        """The member's private key, which never leaves this machine."""
        return self.folder / "key.pem"

    @property
    def ray_token(self) -> Path:
        """The token that Ray asks of everybody in the cluster."""
        return self.folder / "ray-token"

    @classmethod
    def load(cls, folder: Path) -> Identity:
        """Return the identity in a folder. Raises CredentialsError if there is none, or a part is missing."""
        try:
            facts: dict[str, Any] = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
            found = cls(folder, Cluster(**facts["cluster"]), facts["role"], facts["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CredentialsError(f"{folder} has no credentials of a cluster ({error}): {ADVICE}") from None
        for path in (found.authority, found.certificate, found.key, found.ray_token):
            if not path.is_file():
                raise CredentialsError(f"{path} is missing: {ADVICE}")
        return found

    def ends(self) -> datetime.datetime:
        """Return when the certificate ends."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).not_valid_after_utc

    def is_due(self) -> bool:
        """Return whether it is time for a new certificate."""
        return datetime.datetime.now(datetime.UTC) > self.ends() - RENEW

    def ray_environment(self) -> dict[str, str]:
        """Return the variables with which Ray's processes, and whoever connects to them, run as this member."""
        variables = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.ray_token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "AUTOSCALER_METRIC_PORT": "-1",  # no port: the head would serve figures to every network, without TLS
            # A frozen node is noticed after 9 s instead of 64 s.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "2000",
            "RAY_health_check_failure_threshold": "3",
            # Without its head a node ends after 8 s instead of 60 s, and joins again.
            "RAY_gcs_rpc_server_reconnect_timeout_s": "8",
        }
        if self.cluster.encrypts_ray:
            variables |= {
                "RAY_USE_TLS": "1",
                "RAY_TLS_SERVER_CERT": str(self.certificate),
                "RAY_TLS_SERVER_KEY": str(self.key),
                "RAY_TLS_CA_CERT": str(self.authority),
            }
        if self.role == "node":
            variables[FOLDER_VARIABLE] = str(self.folder)
        return variables


ADVICE = "make a cluster with `bananastand cluster init`, or join one with `bananastand join HEAD:PORT`"


def write_identity(
    folder: Path, cluster: Cluster, role: Role, name: str, *, key: bytes, certificate: bytes, ca: bytes, ray_token: str
) -> Identity:
    """Write a member's credentials, complete or not at all: identity.json, which is written last, makes them count."""
    make_folder(folder)
    identity = Identity(folder, cluster, role, name)
    facts = {"cluster": asdict(cluster), "role": role, "name": name}
    parts: Mapping[Path, bytes] = {
        identity.authority: ca,
        identity.key: key,
        identity.certificate: certificate,
        identity.ray_token: ray_token.encode(),
        folder / "identity.json": json.dumps(facts, indent=2).encode(),
    }
    for path, content in parts.items():
        write_private(path, content)
    return identity


def cluster_folder(data: Path) -> Path:
    """Return the folder of a data directory with what it knows of its cluster."""
    return data / "cluster"


def create_cluster(folder: Path, cluster: Cluster, hosts: tuple[str, ...]) -> tuple[Identity, Identity]:
    """Create a cluster's authority and Ray's token, and the credentials of the first machine: its front and its node.

    Args:
        folder: `cluster_folder` of the data directory.
        cluster: The cluster.
        hosts: The names and addresses of the first machine.

    Raises:
        FileExistsError: The folder has a cluster.
        OSError: A file cannot be written.
    """
    authority = Authority.create(folder, cluster.id)
    token = secrets.token_hex(32)
    write_private(folder / "ray-token", token.encode())
    front = issue(authority, folder / "front", cluster, "front", "front-1", hosts)
    head = issue(authority, folder / "head", cluster, "node", "head", (HEAD_NAME, *hosts))
    write_private(folder / "cluster.json", json.dumps(asdict(cluster), indent=2).encode())
    return front, head


def issue(
    authority: Authority, folder: Path, cluster: Cluster, role: Role, name: str, hosts: tuple[str, ...]
) -> Identity:
    """Make the credentials of a member on the authority's own machine. Raises OSError."""
    key, token = new_key(), (authority.folder / "ray-token").read_text()
    certificate = authority.sign(certificate_request(key), cluster.id, role, name, hosts)
    ca = authority.certificate.read_bytes()
    return write_identity(folder, cluster, role, name, key=key, certificate=certificate, ca=ca, ray_token=token)


def server_context(identity: Identity) -> ssl.SSLContext:
    """Return the context of a member that is called. The caller must have a certificate of the same cluster.

    Call `check_role` for each new connection: TLS itself takes any member.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, identity)


def client_context(identity: Identity) -> ssl.SSLContext:
    """Return the context of a member that calls. Pass the other member's name as `server_hostname`: it is checked."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)


def check_role(connection: ssl.SSLObject | ssl.SSLSocket, cluster: str, role: Role) -> str:
    """Return the name of the member at the other end, if it has that role.

    Args:
        connection: The TLS connection (`transport.get_extra_info("ssl_object")`).
        cluster: The id of the cluster.
        role: What the other end must be.

    Raises:
        CredentialsError: It is something else; close the connection.
    """
    names: Any = (connection.getpeercert() or {}).get("subjectAltName", ())
    prefix = member_uri(cluster, role, "")
    for kind, value in names:
        if kind == "URI" and value.startswith(prefix):
            return value.removeprefix(prefix)
    raise CredentialsError(f"the caller's certificate is not that of a {role} of this cluster")


def _loaded(context: ssl.SSLContext, identity: Identity) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(identity.certificate, identity.key)
    context.load_verify_locations(identity.authority)
    return context
