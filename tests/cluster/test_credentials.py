"""Credentials of a cluster: who may connect to whom, and who can read the files."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from bananastand.cluster.authority import fingerprint
from bananastand.cluster.credentials import (
    Cluster,
    CredentialsError,
    Identity,
    check_role,
    client_context,
    create_cluster,
    server_context,
)

CLUSTER = Cluster("c0ffee", "127.0.0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cluster on its first machine: the front is `front`, the node is `head`."""
    folder = tmp_path_factory.mktemp("data") / "cluster"
    create_cluster(folder, CLUSTER, ("127.0.0.1",))
    return folder


async def connect(server: ssl.SSLContext, client: ssl.SSLContext | None, name: str = "head") -> str:
    """Return the caller's name as the called member sees it. Raises OSError where one of them refuses."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(check_role(writer.get_extra_info("ssl_object"), CLUSTER.id, "front").encode())
        except CredentialsError as error:
            writer.write(str(error).encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server) as listener:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname=name if client else None
        )
        try:
            return (await asyncio.wait_for(reader.read(), 10)).decode()
        finally:
            writer.close()


async def is_refused(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether the called member ends the connection without a word. The caller may notice only when it reads."""
    try:
        return not await connect(server, client)
    except (ssl.SSLError, ConnectionError):
        return True


async def test_a_front_reaches_a_node_and_the_node_knows_its_name(folder: Path) -> None:
    node, front = Identity.load(folder / "head"), Identity.load(folder / "front")

    assert await connect(server_context(node), client_context(front)) == "front-1"


async def test_a_node_is_refused_where_a_front_is_expected(folder: Path) -> None:
    node = Identity.load(folder / "head")

    answer = await connect(server_context(node), client_context(node))

    assert answer == "the caller's certificate is not that of a front of this cluster"


async def test_a_front_does_not_talk_to_a_node_of_another_name(folder: Path) -> None:
    node, front = Identity.load(folder / "head"), Identity.load(folder / "front")

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await connect(server_context(node), client_context(front), "node-2")


async def test_members_of_another_cluster_are_refused_by_both_sides(folder: Path, tmp_path: Path) -> None:
    stranger, other_node = create_cluster(tmp_path / "cluster", CLUSTER, ("127.0.0.1",))
    node, front = Identity.load(folder / "head"), Identity.load(folder / "front")

    with pytest.raises(ssl.SSLCertVerificationError, match="certificate"):
        await connect(server_context(other_node), client_context(front))
    trusting = client_context(stranger)
    trusting.load_verify_locations(node.authority)
    assert await is_refused(server_context(node), trusting)


async def test_a_caller_without_a_certificate_is_refused(folder: Path) -> None:
    node = Identity.load(folder / "head")

    assert await is_refused(server_context(node), ssl.create_default_context(cafile=str(folder / "ca.pem")))


def test_no_file_can_be_read_by_others(folder: Path) -> None:
    paths = [folder, *folder.rglob("*")]

    assert len(paths) > 12
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


@pytest.mark.needs("openssl")
def test_the_fingerprint_is_what_openssl_computes_of_the_public_key(folder: Path) -> None:
    """The command of kubeadm's own documentation."""
    command = f"{shutil.which('openssl')} x509 -pubkey -noout -in ca.pem | openssl pkey -pubin -outform der | sha256sum"
    digest = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout.split()

    assert fingerprint((folder / "ca.pem").read_bytes()) == f"sha256:{digest[0]}"


@pytest.mark.needs("openssl")
def test_openssl_accepts_the_certificates(folder: Path) -> None:
    for member in ("front", "head"):
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            folder / "ca.pem",
            folder / member / "certificate.pem",
        ]
        assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.endswith(": OK\n")


def test_a_folder_without_credentials_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="bananastand join HEAD:PORT"):
        Identity.load(tmp_path)


def test_a_second_cluster_does_not_replace_the_first(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        create_cluster(folder, CLUSTER, ())


def test_ray_gets_its_token_by_a_file_and_asks_for_it_always(folder: Path) -> None:
    environment = Identity.load(folder / "head").ray_environment()

    assert environment["RAY_AUTH_MODE"] == "token"
    token = Path(environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    assert len(token) == 64
    assert token not in environment.values()
    assert environment["RAY_USE_TLS"] == "1"
