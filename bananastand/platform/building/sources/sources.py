"""Fetches a source into a folder: a git repository, a local folder, a tar file or the name of an image."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ...environment import inherited
from ..commands import run
from ..errors import SourceRefused
from ..settings import BuildSettings
from .archive import unpack
from .ignore import Ignored, read_ignored
from .last_commit import last_commit
from .links import refuse_links_out

__all__ = ["fetch", "files_of"]

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
SCP = re.compile(r"(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^:].*)")
IMAGE = re.compile(
    r"(?:[a-z0-9]+(?:[.-][a-z0-9]+)*(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
AGENT = ("SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME")  # with which git logs in elsewhere
NEVER = frozenset({".git", ".venv", "venv", ".banana", "__pycache__", ".DS_Store"})
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")


async def fetch(source: str, into: Path, *, settings: BuildSettings, log: Callable[[str], None]) -> str | None:
    """Fetch `source` into the empty folder `into`, and return the date of its last commit, if it is under git.

    https://, ssh:// and git@host:path are git repositories, file:// one under an allowed root, with #ref or
    #ref:folder as Docker has it. An absolute path is a folder or a tar file under an allowed root. image:NAME, or a
    name with a tag, is an image: what is built then is a Dockerfile of its FROM alone.

    Raises:
        SourceRefused: The text says why.
    """
    into.mkdir(parents=True, exist_ok=True)
    if not source or source != source.strip() or source.startswith("-") or any(ord(char) < 32 for char in source):
        raise SourceRefused("the source is empty or no address; give a git URL, an absolute path or an image")
    try:
        urlsplit(source)
    except ValueError:
        raise SourceRefused(f"{source[:200]} is no address") from None
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in ("https", "ssh", "file") or (not scheme and SCP.fullmatch(source)):
        return await _git(source, into, settings, log)
    if scheme and scheme != "docker":
        raise SourceRefused(f"{scheme}:// is no way to a source; git repositories are taken by https, ssh and file")
    if source.startswith("/"):
        path = _allowed(Path(source), settings.roots)
        await asyncio.to_thread(_local, path, into, settings)
        log(f"source: {path}")
        return await asyncio.to_thread(last_commit, path)
    _image(source, into)
    log(f"source: {source}")
    return None


def _allowed(path: Path, roots: tuple[Path, ...]) -> Path:
    """Return the path with links resolved. Raises SourceRefused unless it exists under a root."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        real = None
    # One answer for both: whether a file is there is no stranger's business.
    if real is None or not any(real.is_relative_to(root.resolve()) for root in roots):
        named = ", ".join(str(root) for root in roots) or "none"
        raise SourceRefused(f"{path} is not there, or not under a folder that sources may come from ({named})")
    return real


def files_of(folder: Path, ignored: Ignored, always: tuple[str, ...] = ()) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield folders, files and links below a folder, sorted, with their paths.

    .git, environments and ignored paths are left out; `always` names paths that stay though they are ignored, as Docker
    keeps the Dockerfile.
    """

    def below(place: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path, out = prefix + entry.name, False
                if entry.name in NEVER:
                    continue
                out = ignored(path) and path not in always
                if entry.is_dir(follow_symlinks=False):
                    if not out:
                        yield path, entry
                    if not out or ignored.lets_in_again or any(name.startswith(f"{path}/") for name in always):
                        yield from below(entry.path, f"{path}/")
                elif not out:
                    yield path, entry

    yield from below(str(folder), "")


def _local(path: Path, into: Path, settings: BuildSettings) -> None:
    if path.is_file() and path.name.endswith(TARS):
        unpack(path, into, largest=settings.largest_source, most_files=settings.most_files)
        return
    if not path.is_dir():
        raise SourceRefused(f"{path} is neither a folder nor a tar file ({', '.join(TARS)})")
    if into.resolve().is_relative_to(path):
        raise SourceRefused(f"{path} holds the platform's own data; deploy a folder that does not")
    always = (settings.dockerfile, ".dockerignore", f"{settings.dockerfile}.dockerignore")
    size = count = 0
    for name, entry in files_of(path, read_ignored(path, settings.dockerfile), always):
        target, info = into / name, entry.stat(follow_symlinks=False)
        count, size = count + 1, size + (info.st_size if stat.S_ISREG(info.st_mode) else 0)
        if size > settings.largest_source or count > settings.most_files:
            raise SourceRefused(
                f"{path} holds more than {settings.largest_source} bytes or {settings.most_files} files; "
                "name what is not needed in .dockerignore"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(info.st_mode):
            target.symlink_to(os.readlink(entry.path))
        elif stat.S_ISDIR(info.st_mode):
            target.mkdir(exist_ok=True)
        elif stat.S_ISREG(info.st_mode):
            shutil.copy2(entry.path, target, follow_symlinks=False)
    refuse_links_out(into)


def _image(source: str, into: Path) -> None:
    name = source.removeprefix("docker://")
    is_image, name = name.startswith("image:") or name != source, name.removeprefix("image:")
    if IMAGE.fullmatch(name) is None or not (is_image or ":" in name or "@" in name):
        raise SourceRefused(
            f"{source} is no git URL, no absolute path and no image with a tag; image:NAME takes any image"
        )
    (into / "Dockerfile").write_text(f"FROM {name}\n", encoding="utf-8")


async def _git(source: str, into: Path, settings: BuildSettings, log: Callable[[str], None]) -> str | None:
    address, _, fragment = source.partition("#")
    ref, _, folder = fragment.partition(":")
    protocol = address.partition("://")[0] if "://" in address else "ssh"
    if protocol == "file":
        parts = urlsplit(address)
        if parts.netloc not in ("", "localhost"):
            raise SourceRefused("file:// takes no host: file:///absolute/path")
        address = f"file://{_allowed(Path(unquote(parts.path)), settings.roots)}"
    elif "://" in address and not (urlsplit(address).hostname or "-").isascii():
        raise SourceRefused("the host's name has other than ASCII letters; write it in punycode")
    elif (urlsplit(address).hostname or "-" if "://" in address else address.partition("@")[2]).startswith("-"):
        raise SourceRefused(f"{source} has no host")
    if (ref and REF.fullmatch(ref) is None) or ".." in ref:
        raise SourceRefused(f"{ref!r} is no branch, tag or commit")
    # A redirect or a submodule may name another protocol: git is to refuse all but the one that was judged.
    settings_of_git = ["-c", "protocol.allow=never", "-c", f"protocol.{protocol}.allow=always"]
    settings_of_git += ["-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*", "-c", "core.symlinks=true"]
    git = ["git", *settings_of_git, "-C", str(into)]
    environment = inherited(os.environ, *AGENT)
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GIT_LFS_SKIP_SMUDGE": "0"}
    environment["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes -o ConnectTimeout=20"
    log(f"source: {source}")
    steps = (
        [*git, "init", "--quiet", "--template=", "--initial-branch=main"],
        [*git, "fetch", "--depth=1", "--no-tags", "--no-recurse-submodules", address, ref or "HEAD"],
        [*git, "checkout", "--quiet", "--detach", "FETCH_HEAD"],
        [*git, "log", "-1", "--format=commit %h %s"],
    )
    for step in steps:
        try:
            status = await run(step, log=log, environment=environment)
        except FileNotFoundError:
            raise SourceRefused("git is not installed on this machine") from None
        if status:
            raise SourceRefused(f"git could not bring {ref or 'the repository'}: status {status}, its lines are above")
    if (into / ".gitmodules").exists():
        log("submodules are not fetched; put what the app needs into the repository")
    committed = await asyncio.to_thread(last_commit, into)
    await asyncio.to_thread(_only, into, folder, settings)
    return committed


def _only(into: Path, folder: str, settings: BuildSettings) -> None:
    """Remove .git and, where a folder was asked for, everything but that folder."""
    shutil.rmtree(into / ".git")
    if folder:
        subfolder = (into / folder).resolve()
        if not subfolder.is_dir() or not subfolder.is_relative_to(into.resolve()) or subfolder == into.resolve():
            raise SourceRefused(f"the repository has no folder {folder}")
        aside = into.with_name(f"{into.name}.folder")
        subfolder.rename(aside)
        shutil.rmtree(into)
        aside.rename(into)
    refuse_links_out(into)
    size = count = 0
    for place, _, names in os.walk(into):
        for name in names:
            path = Path(place, name)
            count, size = count + 1, size + path.lstat().st_size
    if size > settings.largest_source or count > settings.most_files:
        raise SourceRefused(
            f"the repository has more than {settings.largest_source} bytes or {settings.most_files} files"
        )
