"""Building images for real, with buildah on a Debian made here: fixtures, loaded by conftest, and what they use.

Everything is in buildah's storage in the pytest cache (or $STAND_IMAGE_CACHE), so that a second run has the base and
all layers at hand. Removing that folder is all the tidying there is.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE = "localhost/bananastand-debian"


def real(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs the image."""
    root = pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root")
    return pytest.mark.slow(pytest.mark.needs("buildah", "debootstrap")(root(test)))


@pytest.fixture(scope="module")
def cache(pytestconfig: pytest.Config) -> Path:
    named = os.environ.get("STAND_IMAGE_CACHE")
    folder = Path(named) if named else pytestconfig.cache.mkdir("image")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@pytest.fixture(scope="module")
def storage(cache: Path) -> Iterator[None]:
    """A storage of these tests' own, and isolation that needs no container runtime."""
    text = f'[storage]\ndriver = "overlay"\ngraphroot = "{cache}/images"\nrunroot = "{cache}/run"\n'
    (cache / "storage.conf").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_STORAGE_CONF", str(cache / "storage.conf"))
        patch.setenv("BUILDAH_ISOLATION", "chroot")
        yield


@pytest.fixture(scope="module")
def base(cache: Path, storage: None) -> str:
    """A plain Debian 12 with Python and pip, made once."""
    if subprocess.run(["buildah", "inspect", "--type=image", BASE], capture_output=True).returncode == 0:
        return BASE
    root = cache / "debian"
    shutil.rmtree(root, ignore_errors=True)
    packages = "--include=python3,python3-pip,ca-certificates"
    subprocess.run(["debootstrap", "--variant=minbase", packages, "bookworm", str(root)], check=True)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(root), "/")
    buildah("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(root)
    return BASE


@pytest.fixture(scope="module")
def options(cache: Path) -> list[str]:
    """This machine's own way to packages, for the build alone: nothing of it may stay in the image."""
    lines, settings = ["[global]"], pip_settings()
    for key in ("index-url", "extra-index-url", "trusted-host", "cert"):
        words = [word for word in settings.get(key, "").split() if not word.startswith("file:")]  # not in the build
        lines += [f"{key} = {' '.join(words)}"] if words else []
    (cache / "pip.conf").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return [f"--volume={settings['cert']}:{settings['cert']}:ro"] if "cert" in settings else []


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def build(tree: Path, options: list[str], **environment: str) -> None:
    """Build by the command that `make image` calls."""
    settings = os.environ | {"BUILDER": "buildah", "BASE": BASE} | environment
    settings["PIP_CONF"] = str(Path(settings["CONTAINERS_STORAGE_CONF"]).parent / "pip.conf")
    if folders := [path for path in pip_settings().get("find-links", "").split() if Path(path).is_dir()]:
        settings["WHEELS"] = folders[0]
    done = subprocess.run([tree / ".ci/image", *options], env=settings, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]


def image_of(name: str) -> dict[str, Any]:
    """An image's configuration, as Docker has it."""
    return json.loads(buildah("inspect", "--type=image", name))["Docker"]


def pip_settings() -> dict[str, str]:
    """Return the configuration of this machine's pip: {"find-links": "...", ...}."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    pairs = (line.partition("=") for line in listing.stdout.splitlines())
    return {name.rpartition(".")[2]: str(ast.literal_eval(value)) for name, _, value in pairs}
