"""A PostgreSQL server of the tests' own, in a scratch folder, and a new database for each test."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

import stands
from needs import programs_path
from servers import free_port

__all__ = ["PostgresServer", "database", "postgres_server"]

OPTIONS = {
    "fsync": "off", "full_page_writes": "off", "max_connections": "60",
    "listen_addresses": "127.0.0.1", "shared_buffers": "32MB", "autovacuum": "off",
}  # fmt: skip


class PostgresServer:
    """A server with a password, from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port, self.password = folder, free_port(), secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _other_user() if os.getuid() == 0 else None  # initdb refuses root
        if self._user is not None:
            shutil.chown(folder, self._user)
        password = folder / "password"
        password.write_text(self.password)
        if self._user is not None:
            shutil.chown(password, self._user)  # whatever umask a test before has left
        self._run("initdb", "-D", f"{folder}/data", "-U", "stand", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync",
                  "--locale=C", f"--pwfile={password}")  # fmt: skip

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://stand:{self.password}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", f"{self._folder}/data", "-p", str(self.port), "-k", "", *options],
                user=self._user, group=self._user and _group(self._user), cwd=self._folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        limit = time.monotonic() + 60
        while True:
            with suppress(OperationalError):
                self.execute("SELECT 1")
                return
            if self._process.poll() is not None or time.monotonic() > limit:
                raise AssertionError((self._folder / "log").read_text())
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT ends all sessions, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def execute(self, statement: str) -> None:
        """Execute a statement outside of a transaction."""
        engine = create_engine(self.url("postgres").replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))

    @contextmanager
    def database(self) -> Generator[str]:
        """The URL of a new, empty database, which is dropped in the end."""
        name = f"stand_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [_program(program), *arguments], user=self._user, group=self._user and _group(self._user),
            cwd=self._folder, check=True, capture_output=True,
        )  # fmt: skip


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server for all tests; its data is gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    try:
        server = PostgresServer(folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """The database of all platforms of a test: the URL of a new one of PostgreSQL's, or None for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        monkeypatch.setattr(stands, "DATABASE", url)
        yield url


def _program(name: str) -> str:
    program = shutil.which(name, path=programs_path())
    assert program is not None, f"there is no {name}"
    return program


def _other_user() -> str:
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return "nobody"


def _group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
