"""How machines join a cluster: with a join token, to the right first machine, with the right versions."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bananastand.cluster import enrolment
from bananastand.cluster.authority import certificate_request, fingerprint, new_key
from bananastand.cluster.credentials import (
    Cluster,
    CredentialsError,
    Identity,
    client_context,
    create_cluster,
    server_context,
)
from bananastand.cluster.enrolment import EnrolmentServer, Unreachable, enrol
from bananastand.cluster.join import join
from bananastand.cluster.prerequisites import check_versions, member_versions
from bananastand.cluster.ray_process import NodeOptions
from bananastand.cluster.registry import Registry
from servers import free_port


class FirstMachine:
    """The enrolment server of a new cluster, and its lines."""

    def __init__(self, data: Path) -> None:
        self.folder, self.port, self.lines = data / "cluster", free_port(), list[str]()
        self.cluster = Cluster("c0ffee", "127.0.0.1", enrolment_port=self.port)
        self.front, self.head = create_cluster(self.folder, self.cluster, ("127.0.0.1",))
        self.registry = Registry(self.folder)

    async def join(self, folder: Path, token: str | None, name: str = "gpu-1", **options: Any) -> Identity:
        return await asyncio.to_thread(
            enrol, folder, "127.0.0.1", self.port, name=name, token=token, say=self.lines.append, **options
        )


def enrolment_stream(machine: FirstMachine, context: ssl.SSLContext) -> Any:
    stream = socket.create_connection(("127.0.0.1", machine.port), 5)
    return context.wrap_socket(stream, server_hostname="bananastand-head")


@asynccontextmanager
async def first_machine(data: Path) -> AsyncGenerator[FirstMachine]:
    machine = FirstMachine(data)
    async with await EnrolmentServer(machine.folder, machine.head, machine.lines.append).start("127.0.0.1"):
        yield machine


async def test_a_machine_joins_with_a_token_and_comes_again_without(tmp_path: Path) -> None:
    async with first_machine(tmp_path) as machine:
        token = machine.registry.create_token("node", 60)
        first = await machine.join(tmp_path / "node", token)
        first_certificate = first.certificate.read_bytes()
        machine.registry.revoke_tokens()
        again = await machine.join(tmp_path / "node", None)

    assert again == Identity.load(tmp_path / "node")
    assert (again.name, again.role, again.cluster) == ("gpu-1", "node", machine.cluster)
    assert again.certificate.read_bytes() != first_certificate
    assert again.ray_token.read_text() == machine.head.ray_token.read_text()
    assert [path for path in (tmp_path / "node").rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


async def test_a_joined_node_serves_the_cluster_s_front(tmp_path: Path) -> None:
    async with first_machine(tmp_path) as machine:
        node = await machine.join(tmp_path / "node", machine.registry.create_token("node", 60))

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with await asyncio.start_server(hello, "127.0.0.1", 0, ssl=server_context(node)) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(machine.front), server_hostname="gpu-1"
        )
        assert await reader.read() == b"hello"
        writer.close()


async def test_tokens_that_are_wrong_expired_revoked_or_of_another_role_are_refused(tmp_path: Path) -> None:
    async with first_machine(tmp_path) as machine:
        pin = fingerprint(machine.head.authority.read_bytes())
        wrong = f"abcdef.{'0' * 32}@{pin}"
        for_front, expired = machine.registry.create_token("front", 60), machine.registry.create_token("node", -1)
        for token, reason in ((wrong, "not one of this cluster"), (expired, "expired"), (for_front, "for a front")):
            with pytest.raises(CredentialsError, match=f"{reason}.*bananastand cluster token"):
                await machine.join(tmp_path / "node", token)
        with pytest.raises(CredentialsError, match="not joined yet: pass --token"):
            await machine.join(tmp_path / "node", None)

    assert not (tmp_path / "node").exists()
    assert machine.registry.members() == {}


async def test_a_machine_sends_its_token_to_nobody_but_the_first_machine_of_its_cluster(tmp_path: Path) -> None:
    async with first_machine(tmp_path / "own") as own, first_machine(tmp_path / "other") as other:
        token = own.registry.create_token("node", 60)
        with pytest.raises(CredentialsError, match="someone answers in its place"):
            await other.join(tmp_path / "node", token)

    assert other.lines == []  # it has been asked for its authority only


async def test_an_impostor_that_shows_the_right_authority_has_no_certificate_of_it(tmp_path: Path) -> None:
    """It can copy the authority's certificate, which is public, but not the key of a certificate signed by it."""
    async with first_machine(tmp_path / "own") as own, first_machine(tmp_path / "other") as other:
        authority = own.head.authority.read_bytes()
        (other.folder / "ca.pem").write_bytes(authority)
        with pytest.raises(CredentialsError, match="is not the first machine of this cluster"):
            await other.join(tmp_path / "node", own.registry.create_token("node", 60))

    assert other.lines == []


async def test_no_member_but_the_head_can_pass_for_the_first_machine(tmp_path: Path) -> None:
    async with first_machine(tmp_path) as machine:
        token = machine.registry.create_token("node", 60)
        node = await machine.join(tmp_path / "node", token)
        for name in ("bananastand-head", "head", "front-1"):
            with pytest.raises(CredentialsError, match="cannot be a name"):
                await machine.join(tmp_path / "thief", token, name)
    server = EnrolmentServer(machine.folder, node, machine.lines.append)
    async with await server.start("127.0.0.1"):
        with pytest.raises(CredentialsError, match=r"Hostname mismatch.*check the address"):
            await machine.join(tmp_path / "second", token, "gpu-2")


async def test_the_name_of_a_member_is_not_given_to_another_machine(tmp_path: Path) -> None:
    async with first_machine(tmp_path) as machine:
        token = machine.registry.create_token("node", 60)
        await machine.join(tmp_path / "node", token)
        machine.registry._path.write_text(machine.registry._path.read_text().replace("127.0.0.1", "127.0.0.9"))
        with pytest.raises(CredentialsError, match="another member is named gpu-1 already.*cluster forget gpu-1"):
            await machine.join(tmp_path / "second", token)
        assert machine.registry.forget("gpu-1")
        await machine.join(tmp_path / "second", token)
        with pytest.raises(CredentialsError, match="not one of this cluster"):  # the first has been forgotten
            await machine.join(tmp_path / "node", None)


class NoRay:
    """Stands in for Ray's process, which ends at once."""

    def __init__(self, *arguments: Any) -> None:
        pass

    async def run(self, renew: Any) -> None:
        pass


async def test_a_new_token_lets_a_forgotten_machine_in_and_one_whose_cluster_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bananastand.cluster.join.RayProcess", NoRay)
    folder, options = tmp_path / "node", NodeOptions("127.0.0.1")

    async def joined(machine: FirstMachine, token: str | None) -> str:
        await join(folder, "127.0.0.1", machine.port, options, lambda line: None, name="gpu-1", token=token)
        return Identity.load(folder).cluster.id

    async with first_machine(tmp_path / "first") as machine:
        await joined(machine, machine.registry.create_token("node", 60))
        await joined(machine, "used.up@sha256:00")  # its key counts, as where a service has an old token
        machine.registry.forget("gpu-1")
        with pytest.raises(CredentialsError, match="not one of this cluster"):
            await joined(machine, None)
        assert await joined(machine, machine.registry.create_token("node", 60)) == "c0ffee"
    async with first_machine(tmp_path / "second") as other:
        with pytest.raises(CredentialsError, match="is not the first machine of this cluster"):
            await joined(other, None)
        await joined(other, other.registry.create_token("node", 60))
        assert [*other.registry.members()] == ["gpu-1"]


async def test_a_machine_reinstalled_at_the_same_address_takes_its_own_place(tmp_path: Path) -> None:
    async with first_machine(tmp_path) as machine:
        token = machine.registry.create_token("node", 60)
        await machine.join(tmp_path / "node", token)
        again = await machine.join(tmp_path / "reinstalled", token)

    assert again.name == "gpu-1"


async def test_a_machine_cannot_get_a_certificate_for_another_s_address(tmp_path: Path) -> None:
    request = {
        "ask": "join", "name": "gpu-1", "role": "node", "address": "10.0.0.7", "versions": member_versions(),
        "request": certificate_request(new_key()).decode(),
    }  # fmt: skip
    async with first_machine(tmp_path) as machine:
        secret = machine.registry.create_token("node", 60).partition("@")[0]

        def ask() -> dict[str, Any]:
            context = ssl.create_default_context(cafile=str(machine.head.authority))
            with enrolment._connected("127.0.0.1", machine.port, context, None) as (stream, _):
                return enrolment._exchange(stream, {**request, "secret": secret})

        with pytest.raises(CredentialsError, match=r"says that it is 10\.0\.0\.7, but it comes from 127\.0\.0\.1"):
            await asyncio.to_thread(ask)


async def test_other_versions_are_refused_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with first_machine(tmp_path) as machine:
        token = machine.registry.create_token("node", 60)
        monkeypatch.setattr(
            enrolment, "check_versions",
            lambda cluster, member: check_versions({**cluster, "bananastand": "9.9.9"}, member),
        )  # fmt: skip
        with pytest.raises(CredentialsError, match=r"cluster runs Bananastand 9\.9\.9, this machine has 0\.1\.0: inst"):
            await machine.join(tmp_path / "node", token)

    assert machine.registry.members() == {}


@pytest.mark.parametrize("part", ["python", "ray", "bananastand"])
def test_every_part_of_the_versions_counts(part: str) -> None:
    own = member_versions()
    check_versions(own, own)
    with pytest.raises(CredentialsError, match=f"{own[part]}, this machine has 1.2"):
        check_versions(own, {**own, part: "1.2"})


class SlowClock(EnrolmentServer):
    """A first machine whose clock is ten minutes slow."""

    def _join(self, *request: Any) -> dict[str, Any]:
        return {**super()._join(*request), "time": time.time() - 600}


async def test_a_clock_that_is_wrong_is_reported(tmp_path: Path) -> None:
    machine = FirstMachine(tmp_path)
    async with await SlowClock(machine.folder, machine.head, machine.lines.append).start("127.0.0.1"):
        await machine.join(tmp_path / "node", machine.registry.create_token("node", 60))

    assert "the clock of this machine is 600 s ahead of the first machine's: let NTP set both" in machine.lines


async def test_nobody_there_is_an_error_that_may_pass(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="does not answer .*Connection refused.*bananastand up --cluster auto"):
        await asyncio.to_thread(
            enrol, tmp_path, "127.0.0.1", free_port(), name="gpu-1", token="a.b@sha256:c", say=lambda line: None
        )


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b"\xff\n", b'{"ask": "join"}\n', b"[" * 60_000 + b"\n"])
async def test_what_is_no_request_gets_an_error(tmp_path: Path, line: bytes) -> None:
    async with first_machine(tmp_path) as machine:
        context = ssl.create_default_context(cafile=str(machine.head.authority))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", machine.port, ssl=context, server_hostname="bananastand-head"
        )
        writer.write(line)
        assert b"the request cannot be read" in await reader.readline()
        writer.close()


async def test_a_flood_of_idle_connections_keeps_no_machine_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections without a TLS handshake, and with one and no request: the oldest of a busy address end first."""
    monkeypatch.setattr("bananastand.cluster.gate.MAX_STRANGERS", 20)
    async with first_machine(tmp_path) as machine:
        context = ssl.create_default_context(cafile=str(machine.head.authority))
        idle = [await asyncio.open_connection("127.0.0.1", machine.port) for _ in range(30)]
        for _ in range(30):
            idle.append(
                await asyncio.open_connection(
                    "127.0.0.1", machine.port, ssl=context, server_hostname="bananastand-head"
                )
            )

        begun = time.monotonic()
        await machine.join(tmp_path / "node", machine.registry.create_token("node", 60))

        assert time.monotonic() - begun < 5
        assert await asyncio.wait_for(idle[0][0].read(), 5) == b""
        for _, writer in idle:
            writer.transport.abort()


async def test_what_a_stranger_says_of_itself_cannot_forge_lines_of_the_log(tmp_path: Path) -> None:
    async with first_machine(tmp_path) as machine:
        context = ssl.create_default_context(cafile=str(machine.head.authority))
        request = {"ask": "join", "secret": "a.b", "name": "gpu-1", "role": "node", "address": "127.0.0.1",
                   "request": certificate_request(new_key()).decode(), "versions": member_versions()}  # fmt: skip
        for changed in (
            {"name": "a\nb"},
            {"role": "node\nb"},
            {"address": "\x1b[2J\n"},
            {"versions": {"python": "\n3"}},
        ):
            stream = await asyncio.to_thread(enrolment_stream, machine, context)
            with stream, pytest.raises(CredentialsError, match=".+"):
                await asyncio.to_thread(enrolment._exchange, stream, {**request, **changed})

    assert len(machine.lines) == 4
    assert [line for line in machine.lines if not line.isprintable()] == []


@pytest.mark.parametrize("answer", [b'{"ca": "x"}\n', b"{}\n", b"[]\n", b"HTTP/1.1 400\r\n"])
async def test_a_port_of_something_else_is_an_error_that_says_so(tmp_path: Path, answer: bytes) -> None:
    machine = FirstMachine(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(machine.head.certificate, machine.head.key)
    async with await asyncio.start_server(serve, "127.0.0.1", machine.port, ssl=context):
        with pytest.raises(CredentialsError, match="no first machine of a cluster|without an answer"):
            await machine.join(tmp_path / "node", "a.b@sha256:c")
