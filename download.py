"""Fetches the weights of a model into the Hugging Face cache, once, when an image is built.

It uses the standard library and huggingface_hub only: in the Docker build this file and models/ are all that its layer
holds, so a change of code never fetches the weights again.
"""

import argparse
import errno
import hashlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_session, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # what the hub's HTTP library, whichever it is, derives its errors from
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import WeakFileLock, build_hf_headers, hf_raise_for_status

SECRET = Path("/run/secrets/HF_TOKEN")  # where a Docker build puts --secret id=HF_TOKEN
INDEX = "model_index.json"
SUFFIXES = (".json", ".txt", ".model", ".jinja", ".safetensors")  # configs, tokenizers, weights that run no code
SHARD = re.compile(r"-\d{5}-of-\d{5}")
Digests = dict[str, str]  # file name -> "sha256:<hex>", as in the card's [files]


class Refusal(Exception):
    """Why nothing (more) was fetched and what to do about it, in one line."""


@dataclass(frozen=True)
class Source:
    """The model's repository on the hub, and its folder in the cache."""

    repo: str
    revision: str
    variant: str
    pinned: Digests
    token: str | None
    cache: Path

    def note_of(self, commit: str) -> Path:
        """Return the file in which an earlier run noted what it fetched and checked."""
        return self.cache / "bananastand" / f"{commit}.{self.variant or 'plain'}.toml"


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Fetch the weights that a model card names.")
    model = os.environ.get("MODEL") or "fruitstand"
    parser.add_argument("model", nargs="?", default=model, metavar="MODEL", help=f"name or file; {model} if none")
    parser.add_argument("--print-files", action="store_true", help="print the card's [files] block in any case")
    arguments = parser.parse_args()
    try:
        fetch_model(arguments.model, arguments.print_files)
    except Refusal as refusal:
        print(f"download.py: {refusal}", file=sys.stderr)
        return 1
    return 0


def fetch_model(model: str, print_files: bool) -> None:
    """Fetch one model, unless it is here already."""
    path, values = read_model_file(model)
    pinned: Digests = values.get("files", {})
    if "path" in values:
        digests = check_folder(path.parent / values["path"], pinned)
        print(f"{path.stem}: nothing to fetch, it is in {path.parent / values['path']}")
    else:
        cache = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=values["repo"], repo_type="model")
        source = Source(values["repo"], values["revision"], values.get("variant", ""), pinned, find_token(), cache)
        digests, fetched = fetch(source)
        print(f"{path.stem}: {'fetched into' if fetched else 'nothing to fetch, it is in'} {cache}")
        print_files = print_files or (fetched and digests != pinned)
    if print_files:
        print(f"\n# put this at the end of {path.name} to pin these very files:\n{as_toml(digests)}", end="")


def read_model_file(model: str) -> tuple[Path, dict[str, Any]]:
    """Return the path of a model file and its keys. `bananastand models` reads it strictly; this does not."""
    folder = Path(os.environ.get("BANANASTAND_MODELS") or Path(__file__).resolve().parent / "models")
    path = Path(model) if model.endswith(".toml") else folder / f"{model}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = ", ".join(sorted(file.stem for file in folder.glob("*.toml"))) or "none"
        raise Refusal(f"unknown model {model!r}; the models in {folder} are: {names}") from None
    except (OSError, ValueError) as error:
        raise Refusal(f"{path}: {error}") from error
    if "path" not in values and not {"repo", "revision"} <= values.keys():
        raise Refusal(f"{path}: a card needs a path, or a repo and a revision")
    return path, values


def find_token() -> str | None:
    """Return HF_TOKEN, else the build secret of that name; with None the hub's own login is used."""
    secret = SECRET.read_text(encoding="utf-8") if os.access(SECRET, os.R_OK) else ""
    return (os.environ.get("HF_TOKEN") or secret).strip() or None


def check_folder(folder: Path, pinned: Digests) -> Digests:
    """Check a local model's files against the digests of the model file, and return their digests."""
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.suffix in SUFFIXES}
    for name in (INDEX, *pinned):
        if name not in names:
            raise Refusal(f"{folder / name} is missing: restore it, or correct the card")
    digests = {name: digest_of(folder / name) for name in names}
    for name, expected in pinned.items():
        if digests[name] != expected:
            raise Refusal(f"{folder / name}: the card says {expected}, it is {digests[name]}: restore it")
    return digests


def fetch(source: Source) -> tuple[Digests, bool]:
    """Return the digests of the pipeline's files, and whether they had to be fetched."""
    try:
        checked = already_here(source)
        return (checked, False) if checked else (fetch_all(source), True)
    except (HTTPError, OSError, ValueError) as error:
        raise Refusal(explain(error, source)) from error
    except KeyboardInterrupt:
        raise Refusal("stopped; run it again to go on from here") from None


def already_here(source: Source) -> Digests | None:
    """Return what an earlier run fetched and checked, if it is still there; no network and no hashing."""
    ref = source.cache / "refs" / source.revision
    commit = ref.read_text(encoding="utf-8") if ref.is_file() else source.revision
    if not source.note_of(commit).is_file():
        return None
    checked: Digests = tomllib.loads(source.note_of(commit).read_text(encoding="utf-8"))["files"]
    is_complete = all((source.cache / "snapshots" / commit / name).is_file() for name in checked)
    return checked if is_complete and source.pinned.items() <= checked.items() else None


def fetch_all(source: Source) -> Digests:
    """Fetch every file that the pipeline loads; return their digests."""
    api = HfApi(token=source.token)
    info = api.model_info(source.repo, revision=source.revision, files_metadata=True, timeout=30)
    commit, listed = str(info.sha), {file.rfilename: file for file in info.siblings or []}
    if INDEX not in listed:
        raise Refusal(f"{source.repo} has no {INDEX}: it is not in diffusers' folder layout")
    url = hf_hub_url(source.repo, INDEX, revision=commit)
    index = get_session().get(url, headers=build_hf_headers(token=source.token), timeout=30)
    hf_raise_for_status(index)
    # The index goes into the cache last: where a snapshot has one, everything it names is there.
    names = [*sorted(choose(source, list(listed), index.json()) - {INDEX}), INDEX]
    check_space(source, [listed[name] for name in names])
    digests = {name: fetch_file(source, commit, listed[name]) for name in names}
    write(source.note_of(commit), as_toml(digests))
    if commit != source.revision:  # a branch: from_pretrained(revision="main") looks for its commit here
        write(source.cache / "refs" / source.revision, commit)
    return digests


def choose(source: Source, names: list[str], index: dict[str, Any]) -> set[str]:
    """Return the files that diffusers will load: each component's configs and one set of safetensors."""
    chosen = {INDEX, *source.pinned}
    # [null, null] is diffusers' way to say that the pipeline goes without this component.
    for component in (key for key, kind in index.items() if isinstance(kind, list) and kind != [None, None]):
        inside = [name for name in names if re.fullmatch(rf"{re.escape(component)}/[^/]+", name)]
        weights = {name: variant_of(name) for name in inside if ".safetensors" in name}
        variant = source.variant if source.variant in weights.values() else ""
        if variant not in weights.values() and any(name.endswith((".bin", ".safetensors")) for name in inside):
            raise Refusal(f"{source.repo}: no safetensors to load in {component}/; pickled weights are not fetched")
        chosen |= {name for name in inside if name.endswith(SUFFIXES) and weights.get(name, variant) == variant}
    if source.variant and source.variant not in map(variant_of, chosen):
        raise Refusal(f"{source.repo} has no {source.variant} files; take variant out of the card")
    if missing := chosen.difference(names):
        raise Refusal(f"{source.repo} at {source.revision} has no {min(missing)}, which the card lists")
    return chosen


def variant_of(name: str) -> str:
    """Return the variant in a file name: fp16 of model.fp16-00001-of-00002.safetensors; mostly empty."""
    pieces = SHARD.sub("", name.rpartition("/")[2]).split(".")[1:]
    return ".".join(piece for piece in pieces if piece not in ("safetensors", "index", "json"))


def check_space(source: Source, files: Iterable[RepoSibling]) -> None:
    """Refuse before the first byte if the disk is too small."""
    blobs = source.cache / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    absent = [file for file in files if file.lfs and not (blobs / file.lfs.sha256).exists()]
    needed, free = sum(file.size or 0 for file in absent), shutil.disk_usage(blobs).free
    needed -= sum(part.stat().st_size for part in blobs.glob("*.incomplete"))
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")


def fetch_file(source: Source, commit: str, file: RepoSibling) -> str:
    """Fetch one file into the snapshot and check its size and its digests."""
    name, size = file.rfilename, file.size
    theirs = f"sha256:{file.lfs.sha256}" if file.lfs else None
    expected = {digest for digest in (source.pinned.get(name), theirs) if digest}
    if len(expected) > 1:
        raise Refusal(f"{name}: expected {source.pinned[name]} (the card), got {theirs} (the hub); nothing was fetched")
    if file.lfs:
        fetch_blob(source, commit, file, file.lfs.sha256)
    # Links the blob that is there by now, or fetches a small file that the hub keeps outside LFS.
    path = Path(hf_hub_download(source.repo, name, revision=commit, token=source.token))
    got, got_size = digest_of(path), path.stat().st_size
    if size != got_size or expected - {got}:
        path.resolve().unlink()  # the blob; the snapshot holds but a link to it
        path.unlink(missing_ok=True)
        raise Refusal(
            f"{name}: expected {min(expected, default='a file')} of {size} bytes, got {got} of {got_size}; "
            "it was removed: run again, and trust the source less if this comes back"
        )
    return got


def fetch_blob(source: Source, commit: str, file: RepoSibling, sha: str) -> None:
    """Put a large file's content into the cache, going on where an earlier run broke off.

    huggingface_hub 2 begins a broken file anew in every process, as its partial files have random names.
    Here the part has a fixed name, and becomes the blob when it is complete.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", sha):
        raise ValueError(f"{file.rfilename}: the hub's digest {sha!r} is no sha256")
    blob, part = source.cache / "blobs" / sha, source.cache / "blobs" / f"{sha}.incomplete"
    lock = source.cache.parent / ".locks" / source.cache.name / f"{sha}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not blob.exists():
            append(part, source, commit, file)
            part.replace(blob)


def append(part: Path, source: Source, commit: str, file: RepoSibling) -> None:
    """Fetch what the part still lacks, with a progress bar."""
    name, size = file.rfilename, file.size or 0
    if not sys.stderr.isatty():  # a build log, where no progress bar is drawn
        print(f"{name}  {size / 1e6:,.1f} MB", flush=True)
    url, headers = hf_hub_url(source.repo, name, revision=commit), build_hf_headers(token=source.token)
    with part.open("ab") as out:
        if out.tell() > size:
            out.seek(0)
            out.truncate()
        http_get(url, out, resume_size=out.tell(), headers=headers, expected_size=size, displayed_filename=name)


def explain(error: Exception, source: Source) -> str:
    """Return what went wrong, and what to do next."""
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, RevisionNotFoundError):
        return f"{source.repo} has no revision {source.revision}; correct the card"
    if isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError):
        return f"the model hub knows no {source.repo}: correct the card, or set HF_TOKEN if it is a private one"
    if status in (401, 403):
        return (
            f"{source.repo} is only for accounts that accepted its licence, and "
            f"{'this token is of none' if source.token else 'no token was given'}: accept it at "
            f"https://huggingface.co/{source.repo} and set HF_TOKEN to a read token of that account; in a "
            "Docker build pass a secret (--secret id=HF_TOKEN), never ARG or ENV, so that no layer holds it"
        )
    if status:
        return f"the model hub answered {status} for {source.repo} ({text}); try again later"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.strerror}): make room at {source.cache.parent} or move HF_HOME"
    if isinstance(error, HTTPError | OfflineModeIsEnabled | LocalEntryNotFoundError):
        return (
            f"cannot reach the model hub ({'HF_HUB_OFFLINE is set' if constants.HF_HUB_OFFLINE else text}): "
            "check the connection and run again, it goes on from where it broke off; "
            "or copy a filled HF_HOME from a machine that has the model"
        )
    if "Consistency check failed" in text:
        return f"the transfer broke off ({text}); run it again, it goes on from there"
    return f"{source.repo}: {text}"


def digest_of(path: Path) -> str:
    """Return a file's digest, as in [files]."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def as_toml(digests: Digests) -> str:
    """Return the [files] block of a model file."""
    return "[files]\n" + "".join(f'"{name}" = "{digest}"\n' for name, digest in sorted(digests.items()))


if __name__ == "__main__":
    sys.exit(main())
