"""What the programs that the platform starts see of its environment, and what of theirs reaches a terminal."""

from __future__ import annotations

import asyncio
import os
import tarfile
import threading
import time
from pathlib import Path

import httpx2
import pytest

from bananastand.platform.building import BuildSettings, build
from bananastand.platform.building.errors import BuildError, SourceRefused
from bananastand.platform.building.sources.sources import fetch
from bananastand.platform.store.logs import plain
from git_repositories import commit, push
from real_platform import RealPlatform
from stands import Up
from tests.platform.store.test_private_files import FILES, make_repository

HIDDEN = {
    "HOOK_SECRET": "hidden-1",
    "AWS_ACCESS_KEY_ID": "hidden-2",
    "DATABASE_URL": "hidden-3",
    "GIT_DIR": "/hidden-4",
}


def recorder(folder: Path, name: str, then: str) -> Path:
    """A program that writes its environment down, and then does something."""
    folder.mkdir(exist_ok=True)
    program, seen = folder / name, folder / f"{name}.environment"
    program.write_text(f"#!/bin/sh\nenv >> {seen}\n{then}\n")
    program.chmod(0o755)
    return seen


@pytest.mark.needs("git")
def test_git_sees_no_secret_of_the_platform_and_still_its_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = make_repository(tmp_path / "repository")
    seen = recorder(tmp_path / "bin", "git", 'exec /usr/bin/git "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    for name, value in HIDDEN.items():
        monkeypatch.setenv(name, value)

    settings = BuildSettings(cache=tmp_path / "cache", roots=(tmp_path,))
    asyncio.run(fetch(f"file://{repository}", tmp_path / "into", settings=settings, log=lambda line: None))

    assert "hidden-" not in seen.read_text()
    assert "SSH_AUTH_SOCK=/run/agent" in seen.read_text()


def test_a_container_engine_sees_where_it_is_and_no_secret_of_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = recorder(tmp_path / "bin", "podman", '[ "$1" = info ] || exit 9')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CONTAINER_HOST", "unix:///run/podman.sock")
    for name, value in HIDDEN.items():
        monkeypatch.setenv(name, value)
    source = tmp_path / "source"
    source.mkdir()
    (source / "Dockerfile").write_text('FROM scratch\nCMD ["/app"]\n')
    settings = BuildSettings(cache=tmp_path / "cache", builder="container", engine="podman")

    with pytest.raises(BuildError, match="it ended with status 9|ended with status 9"):
        asyncio.run(build(source, settings=settings, folder=tmp_path / "build", log=lambda line: None))
    assert "hidden-" not in seen.read_text()
    assert "CONTAINER_HOST=unix:///run/podman.sock" in seen.read_text()


def link_sources(tmp_path: Path, target: str) -> list[str]:
    """The same files with a link, as a folder, as a repository and as an archive."""
    folder = make_repository(tmp_path / "repository")
    (folder / "sub").mkdir()
    (folder / "sub" / "weights.txt").write_text("w")
    (folder / "link").symlink_to(target)
    commit(folder)
    with tarfile.open(tmp_path / "source.tar.gz", "w:gz") as tar:
        for name in ("Dockerfile", "link", "sub"):
            tar.add(folder / name, name)
    return [str(folder), f"file://{folder}", str(tmp_path / "source.tar.gz")]


@pytest.mark.needs("git")
@pytest.mark.parametrize("target", ["sub/weights.txt", "sub", "./sub/../sub/weights.txt", "missing.txt"])
def test_a_link_within_a_source_is_taken_whichever_way_the_source_comes(target: str, tmp_path: Path) -> None:
    settings = BuildSettings(cache=tmp_path / "cache", roots=(tmp_path,))
    sources = link_sources(tmp_path, target)
    assert len(sources) == 3
    for number, source in enumerate(sources):
        into = tmp_path / f"into{number}"
        asyncio.run(fetch(source, into, settings=settings, log=lambda line: None))
        assert os.readlink(into / "link") == target, source
        assert (into / "sub" / "weights.txt").read_text() == "w"


@pytest.mark.needs("git")
@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "../outside", "sub/../../outside", "link"])
def test_a_link_out_of_a_source_is_refused_whichever_way_the_source_comes(target: str, tmp_path: Path) -> None:
    settings = BuildSettings(cache=tmp_path / "cache", roots=(tmp_path,))
    (tmp_path / "outside").write_text("secret")
    sources = link_sources(tmp_path, target)
    assert len(sources) == 3
    for number, source in enumerate(sources):
        with pytest.raises(SourceRefused, match="is a link to "):
            asyncio.run(fetch(source, tmp_path / f"into{number}", settings=settings, log=lambda line: None))


@pytest.mark.needs("git")
def test_a_push_with_a_link_within_it_goes_live(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    (repository / "main.py").symlink_to("app.py")
    commit(repository)
    with RealPlatform(tmp_path / "data") as running:
        pushed = push(repository, running, "linked").stderr
        assert "linked is live" in pushed, pushed
        assert running.run("linked", "import os; out = os.readlink('/app/main.py')") == "app.py"


def test_an_archive_cannot_write_through_a_link_that_it_brings(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link, file = tarfile.TarInfo("link"), tarfile.TarInfo("link/file")
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(link)
        tar.addfile(file)

    settings = BuildSettings(cache=tmp_path / "cache", roots=(tmp_path,))
    with pytest.raises(SourceRefused):
        asyncio.run(fetch(str(tmp_path / "a.tar"), tmp_path / "into", settings=settings, log=lambda line: None))
    assert list(outside.iterdir()) == []


def test_the_first_key_is_printed_on_a_terminal_alone(tmp_path: Path) -> None:
    with RealPlatform(tmp_path / "one") as piped:
        assert piped.key not in piped.log
        assert piped.key.replace("-", "") not in piped.log
        assert str(tmp_path / "one" / "client.toml") in piped.log
    on_terminal = RealPlatform(tmp_path / "two", terminal=True)
    on_terminal.stop()
    assert on_terminal.key in on_terminal.log


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1bP+q\x1b\\",
        "\x9b31m",
        "\u202e",
        "\x08",
        "\r",
        "\u2028",
    ],
)
def test_no_escape_sequence_of_an_app_reaches_a_terminal(text: str) -> None:
    cleaned = plain(f"a{text}b")

    assert all(character.isprintable() for character in cleaned)
    assert cleaned.startswith("a")
    assert cleaned.endswith("b")


def test_logs_are_cleaned_unless_they_are_wanted_raw(tmp_path: Path) -> None:
    with RealPlatform(tmp_path / "data") as running:
        app = FILES["app.py"].replace("app = ", 'print("before \\x1b]0;evil\\x07\\x1b[31mred", flush=True)\napp = ')
        assert running.deploy("app", {**FILES, "app.py": app})["state"] == "live"
        cleaned, raw = running.command("logs", "app"), running.command("logs", "app", "--raw")

    assert "before red" in cleaned
    assert "\x1b" not in cleaned
    assert "\x1b[31mred" in raw


def test_a_status_page_of_many_projects_does_not_hold_up_the_calls(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as up:
        assert up.deploy()["state"] == "live"
        for number in range(300):
            up.http.patch(f"/stand/v1/projects/p{number}", json={})
            up.http.post(f"/stand/v1/projects/p{number}/deploy", json={"source": "fails"}).raise_for_status()
        quiet = waits(up)
        stop = threading.Event()
        readers = [threading.Thread(target=read_pages, args=(up, stop)) for _ in range(3)]
        for reader in readers:
            reader.start()
        under_pages = waits(up)
        stop.set()
        for reader in readers:
            reader.join()
        pages = [httpx2.get(f"http://127.0.0.1:{up.port}/?page={number}", timeout=30).text for number in range(1, 8)]
        assert sum(page.count("<h2>") for page in pages) == 301
        assert under_pages < quiet + 0.15, (quiet, under_pages)


def waits(up: Up) -> float:
    """The median of what thirty calls take, in seconds."""
    taken = list[float]()
    for _ in range(30):
        began = time.monotonic()
        up.http.post("/stand/v1/projects/app/call/", json={}).raise_for_status()
        taken.append(time.monotonic() - began)
    return sorted(taken)[len(taken) // 2]


def read_pages(up: Up, stop: threading.Event) -> None:
    with httpx2.Client(timeout=60, trust_env=False) as http:
        while not stop.is_set():
            http.get(f"http://127.0.0.1:{up.port}/").raise_for_status()
