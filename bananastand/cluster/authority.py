"""The cluster's certificate authority: it signs for fronts, which call, and for nodes, which are called."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bananastand.certificate_parts import begin_certificate, key_usage, private_pem
from bananastand.platform.store.private_files import make_folder, open_private

__all__ = [
    "Authority",
    "HEAD_NAME",
    "Role",
    "certificate_request",
    "member_uri",
    "new_key",
    "write_private",
    "fingerprint",
]

Role = Literal["front", "node"]

HEAD_NAME = "bananastand-head"  # the DNS name in the certificate of the enrolment server, and in no other
YEARS = 10  # of the authority, and of what it signs: a member that is to go knows Ray's token, so that only
# `cluster init --replace` shuts it out, and a certificate that ends earlier would end nodes that run


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority of one cluster, in a folder of its first machine.

    Attributes:
        folder: Holds ca.pem and ca-key.pem, readable by their owner only.
    """

    folder: Path

    @property
    def certificate(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.pem"

    @property
    def key(self) -> Path:
        """The authority's private key, which leaves the first machine in a backup at most."""
        return self.folder / "ca-key.pem"

    @classmethod
    def create(cls, folder: Path, cluster: str) -> Authority:
        """Create the authority of a cluster. Raises OSError, and FileExistsError if the folder has one."""
        authority = cls(make_folder(folder))
        if authority.certificate.exists():
            raise FileExistsError(f"{authority.certificate} is there already")
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Bananastand cluster {cluster}")])
        end = now + datetime.timedelta(days=YEARS * 365)
        builder = begin_certificate(name, name, key.public_key(), now, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(key_usage(signs=True), critical=True)
        write_private(authority.key, private_pem(key))
        write_private(authority.certificate, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return authority

    def sign(self, request: bytes, cluster: str, role: Role, name: str, hosts: Sequence[str]) -> bytes:
        """Return the certificate of a member as PEM, followed by the authority's own.

        What the request says of itself is ignored, except its public key.

        Args:
            request: A certificate signing request as PEM.
            cluster: The id of the cluster.
            role: What the member may do.
            name: The member's name.
            hosts: More DNS names and addresses at which the member is reached.

        Raises:
            ValueError: The request is malformed, or its signature is wrong.
        """
        signed = x509.load_pem_x509_csr(request)
        if not signed.is_signature_valid or not isinstance(public := signed.public_key(), ec.EllipticCurvePublicKey):
            raise ValueError("the certificate request is not signed by an elliptic-curve key of its own")
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.datetime.now(datetime.UTC)
        end = issuer.not_valid_after_utc
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        identifier = x509.UniformResourceIdentifier(member_uri(cluster, role, name))
        names = [identifier, *(_general_name(host) for host in dict.fromkeys((name, *hosts)))]
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = begin_certificate(subject, issuer.subject, public, now, end)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(signs=False), critical=True)
        builder = builder.add_extension(purposes, critical=False)
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(issued_by, critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        return certificate.public_bytes(Encoding.PEM) + self.certificate.read_bytes()


def member_uri(cluster: str, role: str, name: str) -> str:
    """Return how a certificate names a member, as SPIFFE ids do."""
    return f"spiffe://{cluster}/{role}/{name}"


def fingerprint(certificate: bytes) -> str:
    """Return `sha256:` and the digest of a certificate's public key, as `kubeadm` prints it.

    `openssl x509 -pubkey -noout -in ca.pem | openssl pkey -pubin -outform der | sha256sum` prints the same digits.

    Args:
        certificate: A certificate as PEM.

    Raises:
        ValueError: It is malformed.
    """
    public = x509.load_pem_x509_certificate(certificate).public_key()
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(info).hexdigest()}"


def new_key() -> bytes:
    """Return a new private key as PEM."""
    return private_pem(ec.generate_private_key(ec.SECP256R1()))


def certificate_request(key: bytes) -> bytes:
    """Return a certificate signing request for a private key, both as PEM. The authority chooses the names."""
    private = load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, completely or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "wb", opener=open_private) as file:
        file.write(content)
    new.replace(path)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
