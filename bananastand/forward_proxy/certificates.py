"""A certificate authority of this machine, which can sign for the served names only, and a server's TLS contexts."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..certificate_parts import begin_certificate, key_usage, private_pem
from .host_names import HostNames, as_address

__all__ = ["Authority", "Clock", "ServerTls"]

YEARS = 10  # of the authority
DAYS = 90  # of the certificate that it signs
RENEW = datetime.timedelta(days=30)  # before its end a certificate is replaced
MAX_CONTEXTS = 64  # names whose own TLS contexts are cached
RETRY = datetime.timedelta(hours=1)  # after a renewal that failed

Clock = Callable[[], datetime.datetime]


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True, slots=True)
class Authority:
    """The files of the authority.

    Attributes:
        names: The names that it signs for.
        certificate: Its certificate alone, for programs that add it to those they trust.
        bundle: The same with all that this machine trusts, for programs that take one file in place of theirs.
        key_file: Its private key.
        replaced: Why an earlier authority was replaced by this one, and what to do; None if none was.
    """

    names: HostNames
    certificate: Path
    bundle: Path
    key_file: Path
    replaced: str | None = None

    @classmethod
    def in_folder(cls, folder: Path, names: HostNames, clock: Clock = _utc_now) -> Authority:
        """Return the authority in a folder.

        It is created unless the folder has one that is valid for a while yet and may sign for all the names.

        Raises OSError.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = cls(names, folder / "ca.pem", folder / "bundle.pem", folder / "ca-key.pem")
        problem = authority._problem(clock())
        if problem is not None:
            is_replacement = authority.certificate.exists()
            _make_authority(authority, clock())
            if is_replacement:
                advice = "start programs that trust it again, and copy it again to wherever it was installed"
                authority = replace(authority, replaced=f"{authority.certificate} {problem}: made a new one; {advice}")
        _write(authority.bundle, _trusted_here() + authority.certificate.read_bytes())
        return authority

    def sign(self, now: datetime.datetime, *more: str) -> tuple[bytes, datetime.datetime]:
        """Return key and certificate for the names and `more` as PEM, and its end, not after the authority's."""
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        issuer_key = load_pem_private_key(self.key_file.read_bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey), "in_folder has checked it"
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_general_name(name) for name in (*self.names.patterns, *more)]
        end = min(now + datetime.timedelta(days=DAYS), issuer.not_valid_after_utc)
        builder = begin_certificate(_named(self.names.patterns[0]), issuer.subject, key.public_key(), now, end)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(key_usage(signs=False), critical=True)
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(server, critical=False)
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(issued_by, critical=False)
        signed = builder.sign(issuer_key, hashes.SHA256())
        return private_pem(key) + signed.public_bytes(Encoding.PEM), end

    def _problem(self, now: datetime.datetime) -> str | None:
        """Return why it cannot sign, or None if it can."""
        if not (self.certificate.exists() and self.key_file.exists()):
            return "had no key" if self.certificate.exists() else "was not there"
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            key = load_pem_private_key(self.key_file.read_bytes(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return "could not be read"
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            return "did not belong to the key beside it"
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < begin:
            return f"is valid from {begin:%Y-%m-%d} only"
        if now > end - RENEW:
            return f"{'ended' if now > end else 'ends'} on {end:%Y-%m-%d}"
        if others := [name for name in _roots(self.names) if not _may_sign(certificate, name)]:
            return f"does not sign for {', '.join(others)}"
        return None


class ServerTls:
    """TLS as one of the served names, with a certificate that is renewed while the server runs.

    Args:
        folder: The folder of the authority.
        names: The served names.
        say: Prints a line for whoever runs the server.
        clock: Returns the time, in UTC.

    Raises:
        OSError: The folder cannot be read or written.
    """

    def __init__(self, folder: Path, names: HostNames, say: Callable[[str], None], clock: Clock = _utc_now) -> None:
        self._folder, self._names, self._say, self._clock = folder, names, say, clock
        self._for_names = dict[str, ssl.SSLContext]()
        self.authority, self._context, self._due = self._renewed(clock())

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection. A renewal that fails is reported and tried again later."""
        now = self._clock()
        if now >= self._due:
            try:
                self.authority, self._context, self._due = self._renewed(now)
            except OSError as error:
                self._due = now + RETRY
                self._say(f"the certificate could not be renewed: {error}; free the disk of {self._folder}")
        return self._context

    def _renewed(self, now: datetime.datetime) -> tuple[Authority, ssl.SSLContext, datetime.datetime]:
        authority = Authority.in_folder(self._folder, self._names, lambda: now)
        if authority.replaced is not None:
            self._say(authority.replaced)
        pem, end = authority.sign(now)
        context = self._loaded(pem)
        context.sni_callback = self._choose
        self._for_names.clear()
        return authority, context, end - RENEW

    def _loaded(self, pem: bytes) -> ssl.SSLContext:
        place = self._folder / "server.pem"
        _write(place, pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(place)
        finally:
            place.unlink()
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Use a certificate that names a host with an underscore: OpenSSL matches no wildcard with one."""
        if name is None or "_" not in name or not self._names.serves(name.lower()):
            return
        context = self._for_names.get(name.lower())
        if context is None:
            if len(self._for_names) >= MAX_CONTEXTS:
                self._for_names.clear()
            pem, _end = self.authority.sign(self._clock(), name.lower())
            context = self._for_names[name.lower()] = self._loaded(pem)
        connection.context = context


def _make_authority(authority: Authority, now: datetime.datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("Bananastand of this machine")
    end = now + datetime.timedelta(days=YEARS * 365)
    builder = begin_certificate(name, name, key.public_key(), now, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(key_usage(signs=True), critical=True)
    permitted = [_subtree(name) for name in _roots(authority.names)]
    only = x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)
    builder = builder.add_extension(only, critical=True)
    _write(authority.key_file, private_pem(key))
    _write(authority.certificate, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _roots(names: HostNames) -> list[str]:
    return [*names.parents, *names.exact]


def _general_name(name: str) -> x509.GeneralName:
    address = as_address(name)
    return x509.IPAddress(address) if address is not None else x509.DNSName(name)


def _subtree(name: str) -> x509.GeneralName:
    """A name as a constraint: a domain with all below it, or one address."""
    address = as_address(name)
    return x509.IPAddress(ipaddress.ip_network(address)) if address is not None else x509.DNSName(name)


def _may_sign(authority: x509.Certificate, name: str) -> bool:
    try:
        permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return True
    domains = [root.value for root in permitted if isinstance(root, x509.DNSName)]
    is_below = any(name == domain or name.endswith(f".{domain}") for domain in domains)
    return is_below or _subtree(name) in permitted


def _trusted_here() -> bytes:
    """Return the certificates that this machine trusts, so that programs still trust other servers."""
    place: str | None = ssl.get_default_verify_paths().cafile
    if not place or not os.path.exists(place):
        try:
            import certifi
        except ImportError:
            return b""
        place = certifi.where()
    return Path(place).read_bytes().rstrip() + b"\n"


def _write(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, completely or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    new.replace(path)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
