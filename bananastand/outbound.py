"""Posts to URLs that strangers choose, such as webhooks, with checked addresses, timeouts, retries and signatures.

Synchronous: async callers use a thread. Callers store the attempts if they need a record.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:  # at run time imported on first use: together they cost a tenth of a second
    import httpcore2
    import httpx2

__all__ = [
    "AddressPolicy",
    "Attempt",
    "Delivery",
    "deliver",
    "deliver_once",
    "may_retry",
    "sign",
    "verify",
]

logger = logging.getLogger("bananastand.outbound")

CONNECT_SECONDS = 5.0  # for every address that a host resolves to
DRAIN_SECONDS, DRAIN_BYTES = 1.0, 64 * 1024  # of the response's body, which is read as a courtesy and discarded
FINAL_ERRORS = ("address not allowed", "invalid URL", "credentials in URL", "invalid header")
NAT64 = IPv6Network("64:ff9b::/96")
IPV6_UNICAST = IPv6Network("2000::/3")  # is_global also says yes to ::127.0.0.1 and fec0::1
# Clouds answer their own machines here, credentials included; the first one looks public.
METADATA = [ip_address(a) for a in ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")]

Address = IPv4Address | IPv6Address
Headers = Iterable[tuple[str, str]]
SocketAddress = tuple[int, tuple[Any, ...]]  # family, and what connect() takes
_Rule = tuple[str | IPv4Network | IPv6Network, int | None]  # a host or a network, on one port or on all


@dataclass(frozen=True)
class Attempt:
    """One attempt to deliver.

    Attributes:
        ok: Whether the status was 2xx.
        status: The status, if there was a response.
        error: Why it failed, a fixed text without any part of the URL.
        seconds: How long it took.
        address: The IP address that was tried last, or was refused.
    """

    ok: bool
    status: int | None
    error: str | None
    seconds: float
    address: str | None


@dataclass(frozen=True)
class Delivery:
    """The attempts of one delivery, in order; at least one."""

    attempts: tuple[Attempt, ...]

    @property
    def ok(self) -> bool:
        """Whether the last attempt succeeded."""
        return self.attempts[-1].ok


@dataclass(frozen=True)
class AddressPolicy:
    """Which addresses may be connected to.

    Link-local, multicast, unspecified, broadcast and cloud metadata addresses are always refused.

    Args:
        base: "public" for globally routable addresses, "loopback" for this machine.
        allowed: Further hosts and IP addresses, either with `:port`, and networks. A listed host is trusted with
            whatever it resolves to.

    Raises:
        ValueError: An entry is none of these.
    """

    base: Literal["public", "loopback"]
    allowed: tuple[str, ...] = ()
    _rules: tuple[_Rule, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Parse the entries of `allowed`."""
        object.__setattr__(self, "_rules", tuple(map(_read_rule, self.allowed)))

    @classmethod
    def public(cls, allowed: Iterable[str] = ()) -> AddressPolicy:
        """Return a policy for globally routable addresses, for servers that strangers use."""
        return cls("public", tuple(allowed))

    @classmethod
    def loopback(cls, allowed: Iterable[str] = ()) -> AddressPolicy:
        """Return a policy for this machine alone, for the mocks."""
        return cls("loopback", tuple(allowed))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> AddressPolicy:
        """Return the public policy with the comma-separated entries of BANANASTAND_ALLOW_WEBHOOKS."""
        entries = environ.get("BANANASTAND_ALLOW_WEBHOOKS", "").split(",")
        return cls.public(entry.strip() for entry in entries if entry.strip())

    def permits(self, address: str, *, host: str, port: int) -> bool:
        """Return whether `address`, which `host` has just resolved to, may be connected to on `port`."""
        named, reached = _embedded(ip_address(address.partition("%")[0]))
        if _is_never_allowed(reached):
            return False
        host = host.lower().rstrip(".")
        for rule, on_port in self._rules:
            if on_port in (None, port) and (host == rule if isinstance(rule, str) else named in rule):
                return True
        if self.base == "loopback":
            return named.is_loopback  # a gateway's translation of 127.0.0.1 is not our loopback
        return reached.is_global and (reached.version == 4 or reached in IPV6_UNICAST)


def sign(body: bytes, secret: str) -> str:
    """Return the HMAC-SHA256 of the exact bytes of `body`, as 64 lower-case hexadecimal digits."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(body: bytes, signature: str, secret: str) -> bool:
    """Return whether `signature` is `sign(body, secret)`, compared in constant time."""
    return hmac.compare_digest(sign(body, secret).encode(), signature.encode(errors="replace"))


def deliver(
    url: str,
    body: bytes,
    *,
    policy: AddressPolicy,
    headers: Headers = (),
    timeout: float = 10.0,
    waits: Iterable[float] = (1.0, 5.0, 15.0),
    sleep: Callable[[float], object] = time.sleep,
    on_attempt: Callable[[Attempt], object] | None = None,
) -> Delivery:
    """Post a body, and retry while `may_retry`.

    Args:
        url: Where to post to.
        body: The body.
        policy: The addresses that may be connected to.
        headers: The request's headers.
        timeout: Seconds for one attempt.
        waits: Seconds before every retry.
        sleep: Waits that long.
        on_attempt: Called with every attempt as it ends.
    """
    attempts: list[Attempt] = []
    headers = tuple(headers)
    for wait in (None, *waits):
        if wait is not None:
            sleep(wait)
        attempts.append(deliver_once(url, body, policy=policy, headers=headers, timeout=timeout))
        if on_attempt is not None:
            on_attempt(attempts[-1])
        if not may_retry(attempts[-1]):
            break
    return Delivery(tuple(attempts))


def may_retry(attempt: Attempt) -> bool:
    """Return whether to retry: after network errors, 408, 425, 429 and 5xx; all else is final."""
    if attempt.status is not None:
        return attempt.status in (408, 425, 429) or attempt.status >= 500
    return attempt.error not in (None, *FINAL_ERRORS)


def deliver_once(
    url: str, body: bytes, *, policy: AddressPolicy, headers: Headers = (), timeout: float = 10.0
) -> Attempt:
    """Post a body once, without redirects and proxies. Network errors are returned and not raised.

    The status decides: errors while the response's body is read do not matter.

    Args:
        url: Where to post to.
        body: The body.
        policy: The addresses that may be connected to.
        headers: The request's headers; Content-Type is application/json and User-Agent bananastand unless given here.
        timeout: Seconds of wall time in all.
    """
    import httpcore2

    started = time.monotonic()
    connection = _Connection(policy, started + timeout)
    status, error, origin = None, None, "unreadable URL"
    try:
        target = _read_url(url)
        origin = f"{target.scheme}://{target.netloc.decode()}"  # no more of it: paths hold secrets too
        status = _post(target, body, headers, connection)
        error = None if 200 <= status < 300 else f"status {status}"
    except httpcore2.RemoteProtocolError:
        error = "no HTTP answer"
    except (_TargetError, OSError, UnicodeError, httpcore2.LocalProtocolError) as caught:
        error = _explain(caught)
    attempt = Attempt(error is None, status, error, time.monotonic() - started, connection.address)
    level = logging.INFO if attempt.ok else logging.WARNING
    logger.log(level, "%s (%s): %s in %.2f s", origin, connection.address, error or status, attempt.seconds)
    return attempt


class _TargetError(Exception):
    """Not attempted; the message is the attempt's error."""


def _explain(error: Exception) -> str:
    texts: tuple[tuple[type[Exception], str], ...] = (  # the first that fits
        (_TargetError, str(error)),
        (TimeoutError, "timed out"),
        (ConnectionRefusedError, "connection refused"),
        (socket.gaierror, "host not found"),
        (ssl.SSLCertVerificationError, "certificate not trusted"),
        (OSError, "connection failed"),
    )
    return next((text for kind, text in texts if isinstance(error, kind)), "invalid header")


def _read_rule(entry: str) -> _Rule:
    with suppress(ValueError):
        return ip_network(entry), None
    parts = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", entry.lower())
    if parts is None or int(parts[3] or 1) not in range(1, 65536):
        raise ValueError(f"{entry!r} is not a host, host:port, IP address or network such as 10.0.0.0/8")
    host, port = (parts[1] or parts[2]).rstrip("."), int(parts[3]) if parts[3] else None
    with suppress(ValueError):
        return ip_network(host), port
    return host, port


def _embedded(address: Address) -> tuple[Address, Address]:
    """What `address` is to the kernel (an IPv4-mapped one is IPv4), and past a NAT64 or 6to4 gateway."""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if isinstance(address, IPv4Address):
        return address, address
    if address in NAT64:
        return address, IPv4Address(int(address) & 0xFFFFFFFF)
    return address, address.sixtofour or address


def _is_never_allowed(address: Address) -> bool:
    vague = address.is_link_local or address.is_multicast or address.is_unspecified
    return vague or address == IPv4Address("255.255.255.255") or address in METADATA


def _read_url(url: str) -> httpx2.URL:
    """`url`, if it may be tried at all; the address it reaches is judged when it is dialled."""
    import httpx2

    try:
        target = httpx2.URL(url)
        host = target.raw_host.decode()
        host.encode("idna")  # as getaddrinfo will: no empty or overlong labels
    except (httpx2.InvalidURL, TypeError, ValueError):
        raise _TargetError("invalid URL") from None
    if target.userinfo:
        raise _TargetError("credentials in URL")
    # httpx2 lets any integer pass as the port, and "%" (zone ids, escapes) in the host.
    port_is_usable = target.port is None or 1 <= target.port <= 65535
    if target.scheme not in ("http", "https") or not host or "%" in host or not port_is_usable:
        raise _TargetError("invalid URL")
    return target


def _post(target: httpx2.URL, body: bytes, headers: Headers, connection: _Connection) -> int:
    """The status of the answer."""
    import httpcore2

    sent = [(name.encode(), value.encode()) for name, value in headers]
    if not any(name.lower() == b"content-type" for name, _ in sent):
        sent.append((b"Content-Type", b"application/json"))
    own = [(b"Host", target.netloc), (b"Connection", b"close")]
    if not any(name.lower() == b"user-agent" for name, _ in sent):
        own.append((b"User-Agent", b"bananastand"))
    url = httpcore2.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
    # Certificates never carry the dot of an absolute name.
    extensions = {"sni_hostname": target.raw_host.decode().rstrip(".")}
    with (
        httpcore2.ConnectionPool(network_backend=cast("httpcore2.NetworkBackend", connection)) as pool,
        pool.stream("POST", url, headers=own + sent, content=body, extensions=extensions) as response,
    ):
        connection.end = min(connection.end, time.monotonic() + DRAIN_SECONDS)
        with suppress(OSError, httpcore2.RemoteProtocolError):
            size = 0
            for chunk in response.iter_stream():
                size += len(chunk)
                if size >= DRAIN_BYTES:
                    break
        return response.status


class _Connection:
    """One connection: resolves once, checks every address, dials those, all before one deadline.

    It is the network backend and the stream of httpcore2, and so stands below the URL: Host header, SNI
    and certificate check keep the URL's own host, and a peer that drips single bytes is cut off too.
    """

    def __init__(self, policy: AddressPolicy, end: float) -> None:
        self.policy, self.end = policy, end  # `end` on time.monotonic()
        self.address: str | None = None
        self.sock: socket.socket  # from connect_tcp on

    def remaining(self, at_most: float = float("inf")) -> float:
        """Seconds to the deadline; TimeoutError when it has passed."""
        seconds = min(self.end - time.monotonic(), at_most)
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> _Connection:
        addresses = _resolve(host, port, self.remaining())
        for _family, sockaddr in addresses:
            self.address = str(sockaddr[0])
            if not self.policy.permits(self.address, host=host, port=port):
                raise _TargetError("address not allowed")
        failure: OSError = socket.gaierror("no address")
        for family, sockaddr in addresses:
            self.address = str(sockaddr[0])
            try:
                self.sock = _dial(family, sockaddr, self.remaining(CONNECT_SECONDS))
                return self
            except OSError as error:
                failure = error
        raise failure

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str, **_: object) -> _Connection:
        self.sock.settimeout(self.remaining())
        self.sock = ssl_context.wrap_socket(self.sock, server_hostname=server_hostname)
        return self

    def read(self, max_bytes: int, **_: object) -> bytes:
        self.sock.settimeout(self.remaining())
        return self.sock.recv(max_bytes)

    def write(self, buffer: bytes, **_: object) -> None:
        import httpcore2

        self.sock.settimeout(self.remaining())
        try:
            self.sock.sendall(buffer)
        except ConnectionError as error:  # httpcore2 then looks for an early answer, such as a 413
            raise httpcore2.WriteError from error

    def close(self) -> None:
        self.sock.close()

    def get_extra_info(self, info: str) -> None:
        return None


def _resolve(host: str, port: int, seconds: float) -> list[SocketAddress]:
    """Every address of `host`. In a thread of its own, because getaddrinfo takes no time limit."""
    answer: Future[list[SocketAddress]] = Future()

    def look_up() -> None:
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result([(family, sockaddr) for family, _, _, _, sockaddr in addresses])
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=look_up, daemon=True).start()
    return answer.result(seconds)


def _dial(family: int, sockaddr: tuple[Any, ...], seconds: float) -> socket.socket:
    """A connected socket. Not socket.create_connection, which would resolve again."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(sockaddr)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock
