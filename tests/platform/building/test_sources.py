"""Where a source may come from, and what of it is refused."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

import pytest

from bananastand.platform.building import BuildSettings, SourceRefused, fetch
from bananastand.platform.building.log import BuildLog
from git_repositories import commit


@pytest.fixture
def settings(tmp_path: Path) -> BuildSettings:
    (tmp_path / "allowed").mkdir()
    return BuildSettings(cache=tmp_path / "cache", roots=(tmp_path / "allowed",), largest_source=100_000, most_files=50)


def bring(source: str, tmp_path: Path, settings: BuildSettings) -> tuple[Path, list[str]]:
    lines = list[str]()
    asyncio.run(fetch(source, tmp_path / "into", settings=settings, log=lines.append))
    return tmp_path / "into", lines


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def repository(folder: Path) -> str:
    """A repository of two commits; the first one's id."""
    (folder / "sub").mkdir(parents=True)
    (folder / "app.py").write_text("one")
    (folder / "sub" / "Dockerfile").write_text("FROM scratch")
    first = commit(folder)
    (folder / "app.py").write_text("two")
    commit(folder, subject="two")
    return first


def test_a_folder_is_copied_without_what_is_ignored(tmp_path: Path, settings: BuildSettings) -> None:
    source = tmp_path / "allowed" / "app"
    for name in ("Dockerfile", "app.py", "notes.md", ".git/config", ".venv/x", "sub/a.py", "sub/__pycache__/a.pyc"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / ".dockerignore").write_text("*.md\nDockerfile\n")
    (source / "link").symlink_to("app.py")

    into, lines = bring(str(source), tmp_path, settings)

    assert files(into) == [".dockerignore", "Dockerfile", "app.py", "link", "sub/a.py"]
    assert lines == [f"source: {source}"]


def test_a_path_outside_of_the_roots_is_refused_also_through_a_link(tmp_path: Path, settings: BuildSettings) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "outside")

    for source in (tmp_path / "outside", tmp_path / "allowed/link", tmp_path / "allowed/../outside", tmp_path / "no"):
        with pytest.raises(SourceRefused, match="not there, or not under a folder that sources may come from"):
            bring(str(source), tmp_path, settings)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, settings: BuildSettings) -> None:
    (tmp_path / "allowed" / "app").mkdir()
    (tmp_path / "allowed" / "app" / "secrets").symlink_to("/etc")

    with pytest.raises(SourceRefused, match="secrets is a link to /etc, which is outside of the source"):
        bring(str(tmp_path / "allowed" / "app"), tmp_path, settings)


def test_a_folder_that_is_too_large_is_refused(tmp_path: Path, settings: BuildSettings) -> None:
    (tmp_path / "allowed" / "weights").write_bytes(b"x" * 100_001)

    with pytest.raises(SourceRefused, match="more than 100000 bytes or 50 files; name what is not needed"):
        bring(str(tmp_path / "allowed"), tmp_path, settings)


def pack(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info


def test_tar_is_unpacked_without_special_permission_bits(tmp_path: Path, settings: BuildSettings) -> None:
    path = tmp_path / "allowed" / "app.tar.gz"
    pack(
        path,
        (member("./app.py"), b"app"),
        (member("bin/run", mode=0o4777), b"run"),
        (member("empty", tarfile.DIRTYPE), b""),
    )

    into, _ = bring(str(path), tmp_path, settings)

    assert files(into) == ["app.py", "bin/run"]
    assert oct((into / "bin" / "run").stat().st_mode & 0o7777) == "0o700"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (member("../out"), "leads outside"),
        (member("/etc/out"), "leads outside"),
        (member("a/../../out"), "leads outside"),
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "is a link to /etc/passwd, which is outside of it"),
        (member("link", tarfile.SYMTYPE, "../out"), "is a link to ../out, which is outside of it"),
        (member("link", tarfile.LNKTYPE, "app.py"), "is a hard link"),
        (member("device", tarfile.CHRTYPE), "is no plain file"),
        (member("pipe", tarfile.FIFOTYPE), "is no plain file"),
        (member("a/" * 70 + "b"), "is too long a name"),
    ],
)
def test_an_unsafe_tar_member_is_refused(
    entry: tarfile.TarInfo, reason: str, tmp_path: Path, settings: BuildSettings
) -> None:
    path = tmp_path / "allowed" / "app.tgz"
    pack(path, (entry, b""))

    with pytest.raises(SourceRefused, match=reason):
        bring(str(path), tmp_path, settings)
    assert files(tmp_path / "into") == []


def test_a_tar_beyond_the_limits_is_refused(tmp_path: Path, settings: BuildSettings) -> None:
    many, large, header = (tmp_path / "allowed" / f"{name}.tar.gz" for name in ("many", "large", "header"))
    pack(many, *((member(f"f{number}"), b"") for number in range(51)))
    pack(large, (member("zeros"), bytes(100_001)))  # a hundred bytes, packed
    pack(header, (member("x", tarfile.GNUTYPE_LONGNAME), bytes(3 * 2**20)))

    for path, reason in (
        (many, "more than 50 files"),
        (large, "more than 100000 bytes"),
        (header, "a header of 3145728"),
    ):
        with pytest.raises(SourceRefused, match=reason):
            bring(str(path), tmp_path, settings)


def test_an_invalid_tar_is_refused(tmp_path: Path, settings: BuildSettings) -> None:
    path = tmp_path / "allowed" / "app.tar.gz"
    path.write_bytes(b"no tar at all" * 100)

    with pytest.raises(SourceRefused, match="the archive cannot be read"):
        bring(str(path), tmp_path, settings)


@pytest.mark.needs("git")
def test_repository_is_fetched_by_branch_commit_and_folder(tmp_path: Path, settings: BuildSettings) -> None:
    first = repository(tmp_path / "allowed" / "repo")
    url = f"file://{tmp_path}/allowed/repo"

    into, lines = bring(url, tmp_path, settings)
    assert (into / "app.py").read_text() == "two"
    assert not (into / ".git").exists()
    assert any(line.startswith("commit ") and line.endswith(" two") for line in lines)
    for number, (source, name, content) in enumerate(
        [
            (f"{url}#main", "app.py", "two"),
            (f"{url}#{first}", "app.py", "one"),
            (f"{url}#:sub", "Dockerfile", "FROM scratch"),
        ]
    ):
        lines, place = list[str](), tmp_path / f"again{number}"
        asyncio.run(fetch(source, place, settings=settings, log=lines.append))
        assert (place / name).read_text() == content


@pytest.mark.needs("git")
def test_a_git_repository_outside_of_the_roots_is_refused(tmp_path: Path, settings: BuildSettings) -> None:
    repository(tmp_path / "outside")

    with pytest.raises(SourceRefused, match="not there, or not under"):
        bring(f"file://{tmp_path}/outside", tmp_path, settings)
    (tmp_path / "into").mkdir(exist_ok=True)
    repository(tmp_path / "allowed" / "repo")
    with pytest.raises(SourceRefused, match="git could not bring nosuch"):
        bring(f"file://{tmp_path}/allowed/repo#nosuch", tmp_path, settings)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("http://example.com/repo.git", "http:// is no way to a source"),
        ("ext::sh -c id", "is no git URL"),
        ("--upload-pack=id", "is empty or no address"),
        ("", "is empty or no address"),
        ("https://-oProxyCommand=id/x", "has no host"),
        ("git@-oProxyCommand=id:x", "is no git URL"),
        ("git@-host:x", "has no host"),
        ("https://[", "is no address"),
        ("https://example.com/repo.git#../../x", "is no branch, tag or commit"),
        ("https://example.com/repo.git#--upload-pack=x", "is no branch, tag or commit"),
        ("relative/path", "is no git URL"),
        ("Image:UP", "is no git URL"),
        ("a\nb", "is empty or no address"),
    ],
)
def test_an_invalid_source_is_refused(source: str, reason: str, tmp_path: Path, settings: BuildSettings) -> None:
    with pytest.raises(SourceRefused, match=reason):
        bring(source, tmp_path, settings)


@pytest.mark.parametrize(
    "source", ["image:python", "docker://python", "ghcr.io/someone/app:1.2", "localhost:5000/a@sha256:" + "0" * 64]
)
def test_an_image_becomes_a_dockerfile(source: str, tmp_path: Path, settings: BuildSettings) -> None:
    into, _ = bring(source, tmp_path, settings)

    assert (into / "Dockerfile").read_text() == f"FROM {source.removeprefix('image:').removeprefix('docker://')}\n"


def test_the_build_log_hides_secrets_and_has_a_limit() -> None:
    lines = list[str]()
    log = BuildLog(lines.append, ["hush-hush", "two\nlines-of-it"], largest=150)
    log("Fetching https://me:token@example.com/a with hush-hush and lines-of-it\x1b[31m red\x00")
    log("x" * 200)
    log("never seen")

    assert lines == [
        "Fetching https://***@example.com/a with *** and *** red",
        "x" * 200,
        "the log has reached its limit; the build goes on, and what it says is left out",
    ]
    assert log.tail[-1] == "never seen"
