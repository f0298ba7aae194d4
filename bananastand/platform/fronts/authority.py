"""TLS between fronts, both sides with a certificate of an authority that lies in their database.

Whoever can read the database can be a front: it holds the secrets of all projects anyway.
"""

from __future__ import annotations

import datetime
import ssl
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bananastand.certificate_parts import begin_certificate, key_usage, private_pem

if TYPE_CHECKING:  # PostgreSQL's driver is imported by those who use it
    from psycopg import AsyncConnection

__all__ = ["SERVER_NAME", "Authority", "shared_authority"]

SERVER_NAME = "front.bananastand.internal"  # in the certificate of every front, wherever it is reached
LIFETIME = datetime.timedelta(days=20 * 365)
ADD = "INSERT INTO front_authority (certificate, key) VALUES (%s, %s) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's certificate and its private key, as PEM."""

    certificate: str
    key: str

    @classmethod
    def new(cls) -> Authority:
        """Make an authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bananastand fronts")])
        builder = _begun(name, name, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(key_usage(signs=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode(), private_pem(key).decode())

    def contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Sign a new key, and return the contexts of a front that is called and of one that calls.

        The key exists in this process only, and for a moment in a file that nobody else can read.
        """
        issuer = x509.load_pem_x509_certificate(self.certificate.encode())
        issuer_key = load_pem_private_key(self.key.encode(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey), "`new` makes no other"
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)])
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = _begun(name, issuer.subject, key)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(signs=False), critical=True)
        builder = builder.add_extension(purposes, critical=False).add_extension(issued_by, critical=False)
        signed = builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.verify_mode = ssl.CERT_REQUIRED
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(private_pem(key).decode() + signed)
            file.flush()
            for context in (server, client):
                context.minimum_version = ssl.TLSVersion.TLSv1_3
                context.load_cert_chain(file.name)
                context.load_verify_locations(cadata=self.certificate)
        return server, client


async def shared_authority(connection: AsyncConnection[Any]) -> Authority:
    """Return the authority of the database, which the first front makes."""
    rows = await _rows(connection)
    if not rows:
        new = Authority.new()
        await connection.execute(ADD, (new.certificate, new.key))
        rows = await _rows(connection)
    return Authority(*rows[0])


async def _rows(connection: AsyncConnection[Any]) -> list[Any]:
    cursor = await connection.execute("SELECT certificate, key FROM front_authority")
    return await cursor.fetchall()


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return begin_certificate(subject, issuer, key.public_key(), now, now + LIFETIME)
