"""A certificate authority of the platform's own, which can sign for Banana's names and no others. Knows no socket."""

from __future__ import annotations

import datetime
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .run_hosts import API_HOSTS, RUN_DOMAIN

__all__ = ["Authority"]

DOMAIN = "banana.dev"
YEARS, DAYS = 10, 90  # of the authority, and of the certificate that it signs at each start


@dataclass(frozen=True, slots=True)
class Authority:
    """The files of the authority.

    Attributes:
        certificate: Its certificate alone, for programs that add it to those they trust.
        bundle: The same with all that this machine trusts, for programs that take one file in place of theirs.
    """

    certificate: Path
    bundle: Path
    _key: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Authority:
        """Read the authority that the folder has, or make one. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = cls(folder / "ca.pem", folder / "bundle.pem", folder / "ca-key.pem")
        if not (authority.certificate.exists() and authority._key.exists()):
            _make_authority(authority.certificate, authority._key)
        _write(authority.bundle, _trusted_here() + authority.certificate.read_bytes())
        return authority

    def server_context(self) -> ssl.SSLContext:
        """TLS as one of Banana's names, with a certificate signed now."""
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer_key = load_pem_private_key(self._key.read_bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name) for name in (f"*.{RUN_DOMAIN}", *API_HOSTS)]
        builder = _builder(f"*.{RUN_DOMAIN}", issuer.subject, key, DAYS)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(server, critical=False)
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(issued_by, critical=False)
        signed = builder.sign(issuer_key, hashes.SHA256())
        place = self.certificate.with_name("server.pem")
        _write(place, _pem(key) + signed.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place)
        place.unlink()
        return context


def _make_authority(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bananastand of this machine")])
    builder = _builder("Bananastand of this machine", name, key, YEARS * 365)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    only = x509.NameConstraints(permitted_subtrees=[x509.DNSName(DOMAIN)], excluded_subtrees=None)
    builder = builder.add_extension(only, critical=True)
    _write(key_file, _pem(key))
    _write(certificate, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _trusted_here() -> bytes:
    """The certificates that this machine trusts, so that programs still reach others past the proxy."""
    place: str | None = ssl.get_default_verify_paths().cafile
    if not place or not os.path.exists(place):
        try:
            import certifi
        except ImportError:
            return b""
        place = certifi.where()
    return Path(place).read_bytes().rstrip() + b"\n"


def _write(path: Path, content: bytes) -> None:
    """For this user alone, and whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    new.replace(path)
