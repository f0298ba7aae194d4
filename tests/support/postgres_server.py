"""A PostgreSQL server for tests, in a scratch folder and with a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg

from needs import SEARCHED
from servers import free_port

__all__ = ["PostgresServer"]

USER = "postgres"  # that runs the server where the tests run as root, which the server refuses


class PostgresServer:
    """A server. It trusts everybody on loopback, and waits for no disk."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
        self.port = free_port()
        self._as_user = {"user": USER, "group": USER, "extra_groups": ()} if os.getuid() == 0 else {}
        if self._as_user:
            about = pwd.getpwnam(USER)
            os.chown(self.folder, about.pw_uid, about.pw_gid)
        self._data = self.folder / "data"
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "stand", "--no-sync", "-E", "UTF8")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://stand@127.0.0.1:{self.port}/{database}"

    @property
    def version(self) -> str:
        """Such as 15.18."""
        with psycopg.connect(self.url()) as connection:
            return str(connection.execute("SHOW server_version").fetchone()).strip("(',)").partition(" ")[0]

    def create(self) -> str:
        """Create a database, and return its address."""
        name = f"stand_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ("-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder), "-N", "200", "-c", "fsync=off")
        with open(self.folder / "log", "ab") as log:
            command = [_program("postgres"), "-D", str(self._data), *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as_user)  # type: ignore[call-overload]
        limit = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < limit, "it does not answer"
                time.sleep(0.05)
            else:
                return

    def stop(self, *, immediately: bool = False) -> None:
        """End it, and all its connections; `immediately` is as a crash."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        self._process.wait(30)

    def close(self) -> None:
        """End it and delete its folder."""
        self.stop(immediately=True)
        shutil.rmtree(self.folder)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [_program(command[0]), *command[1:]], cwd=self.folder, capture_output=True, text=True, **self._as_user
        )  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr


def _program(name: str) -> str:
    found = shutil.which(name, path=SEARCHED)
    assert found is not None, f"{name} is not installed"
    return found
