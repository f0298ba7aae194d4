"""The forward proxy's certificate and its authority, over years: renewed in use, and verified at each time.

The clock is the test's. Certificates are taken from a real TLS handshake and verified as of that time.
"""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from bananastand.forward_proxy.certificates import ServerTls
from bananastand.platform.http.run_hosts import BANANA_HOSTS

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Clock:
    """Starts at START, and stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime.datetime:
        return self.now

    def go(self, days: float) -> None:
        self.now += datetime.timedelta(days=days)


def served(tls: ServerTls) -> x509.Certificate:
    """What a client of the next connection gets in its handshake."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server, server_hostname="my-app.run.banana.dev")
    answers = tls.context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    der = asks.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def verify(certificate: x509.Certificate, authority: bytes, now: datetime.datetime, name: str) -> None:
    """As a client of that day does. Raises VerificationError."""
    store = Store([x509.load_pem_x509_certificate(authority)])
    PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(name)).verify(certificate, [])


def test_every_day_of_two_years_has_a_valid_certificate_of_one_authority(tmp_path: Path) -> None:
    clock, said = Clock(), list[str]()
    tls = ServerTls(tmp_path, BANANA_HOSTS, said.append, clock)
    authority = (tmp_path / "ca.pem").read_bytes()
    seen = set[int]()

    for _ in range(104):
        certificate = served(tls)
        for name in ("my-app.run.banana.dev", "api.banana.dev"):
            verify(certificate, authority, clock.now, name)
        seen.add(certificate.serial_number)
        clock.go(7)

    assert (tmp_path / "ca.pem").read_bytes() == authority
    assert 8 <= len(seen) <= 15  # renewed after 60 days, not at each connection
    assert said == []


def test_a_certificate_is_renewed_a_month_before_its_end(tmp_path: Path) -> None:
    clock = Clock()
    tls = ServerTls(tmp_path, BANANA_HOSTS, print, clock)
    first = served(tls).serial_number

    clock.go(59)
    assert served(tls).serial_number == first
    clock.go(2)
    assert served(tls).serial_number != first


def test_other_names_are_not_valid(tmp_path: Path) -> None:
    tls = ServerTls(tmp_path, BANANA_HOSTS, print, Clock())

    with pytest.raises(VerificationError):
        verify(served(tls), (tmp_path / "ca.pem").read_bytes(), START, "example.com")


def test_an_authority_that_ends_while_the_platform_runs_is_replaced_with_a_line_on_what_to_do(tmp_path: Path) -> None:
    clock, said = Clock(), list[str]()
    tls = ServerTls(tmp_path, BANANA_HOSTS, said.append, clock)
    first = (tmp_path / "ca.pem").read_bytes()

    clock.go(3650 - 45)
    verify(served(tls), first, clock.now, "api.banana.dev")  # valid yet, though not for all of its 90 days
    assert said == []
    clock.go(20)
    verify(served(tls), (tmp_path / "ca.pem").read_bytes(), clock.now, "api.banana.dev")

    assert (tmp_path / "ca.pem").read_bytes() != first
    assert (tmp_path / "bundle.pem").read_bytes().endswith((tmp_path / "ca.pem").read_bytes())
    assert said == [
        f"{tmp_path}/ca.pem ends on 2035-12-30: made a new one; start programs that trust it again, and copy it again "
        "to wherever it was installed"
    ]


def cut(folder: Path) -> None:
    (folder / "ca.pem").write_bytes((folder / "ca.pem").read_bytes()[:200])


def swap_key(folder: Path) -> None:
    other = folder / "other"
    ServerTls(other, BANANA_HOSTS, print, Clock())
    (other / "ca-key.pem").replace(folder / "ca-key.pem")


def lose_key(folder: Path) -> None:
    (folder / "ca-key.pem").unlink()


@pytest.mark.parametrize(
    ("damage", "days", "why"),
    [
        (None, 4000, "ended on 2035-12-30"),
        (None, 3640, "ends on 2035-12-30"),
        (None, -30, "is valid from 2025-12-31 only"),
        (cut, 0, "could not be read"),
        (swap_key, 0, "did not belong to the key beside it"),
        (lose_key, 0, "had no key"),
    ],
)
def test_an_authority_that_cannot_sign_at_start_is_made_anew_with_the_reason(
    damage: Callable[[Path], None] | None, days: int, why: str, tmp_path: Path
) -> None:
    clock, said = Clock(), list[str]()
    ServerTls(tmp_path, BANANA_HOSTS, said.append, clock)
    assert said == []
    first = (tmp_path / "ca.pem").read_bytes()
    if damage is not None:
        damage(tmp_path)
    clock.go(days)

    tls = ServerTls(tmp_path, BANANA_HOSTS, said.append, clock)

    assert (tmp_path / "ca.pem").read_bytes() != first
    verify(served(tls), (tmp_path / "ca.pem").read_bytes(), clock.now, "my-app.run.banana.dev")
    (line,) = said
    assert line.startswith(f"{tmp_path}/ca.pem {why}: made a new one; start programs that trust it again")


def test_a_restart_keeps_the_authority(tmp_path: Path) -> None:
    clock, said = Clock(), list[str]()
    ServerTls(tmp_path, BANANA_HOSTS, said.append, clock)
    first = (tmp_path / "ca.pem").read_bytes()
    clock.go(400)

    tls = ServerTls(tmp_path, BANANA_HOSTS, said.append, clock)

    verify(served(tls), first, clock.now, "api.banana.dev")
    assert said == []


def test_a_renewal_without_disk_keeps_the_certificate_and_is_tried_again_in_an_hour(tmp_path: Path) -> None:
    clock, said = Clock(), list[str]()
    folder = tmp_path / "proxy"
    tls = ServerTls(folder, BANANA_HOSTS, said.append, clock)
    first = served(tls).serial_number
    clock.go(65)
    folder.rename(tmp_path / "away")
    folder.write_text("a file where the folder was")

    assert [served(tls).serial_number for _ in range(3)] == [first] * 3
    (line,) = said
    assert line.startswith("the certificate could not be renewed: ")

    folder.unlink()
    (tmp_path / "away").rename(folder)
    assert served(tls).serial_number == first
    clock.go(0.1)
    assert served(tls).serial_number != first
