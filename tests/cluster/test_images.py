"""Images on nodes: the command lines by which engines get and give them, and buildah with a registry on loopback."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bananastand.cluster.images import EngineMissing, describe_image, has_image, load_image, save_image
from bananastand.platform.errors import StoreError
from image_registry import ImageRegistry

# Notes its arguments. It answers `inspect` if it has the image, and fails to do what the file `fails` has.
ENGINE = """#!/bin/sh
cd "{folder}"
echo "$@" >> commands
case "$*" in *inspect*) cat image 2> /dev/null; exit $?;; esac
if [ -e fails ] && grep -qx "$1" fails; then echo "no such thing"; echo "disk quota exceeded"; exit 125; fi
case "$1" in save) shift; printf 'an image' > "$2";; load) cp "$3" loaded;; esac
"""
IMAGE = {"engine": "docker", "name": "localhost/app:build", "id": "abc", "digests": ["registry.example/app@sha256:1"]}


class Engine:
    """A program in docker's place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "docker").write_text(ENGINE.format(folder=folder))
        (folder / "docker").chmod(0o755)

    def commands(self) -> list[str]:
        return (self.folder / "commands").read_text().splitlines()

    def hold(self, id: str, *digests: str) -> None:
        (self.folder / "image").write_text(json.dumps([{"Id": f"sha256:{id}", "RepoDigests": digests}]))

    def fail(self, verb: str) -> None:
        (self.folder / "fails").write_text(verb)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine without the image."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return Engine(tmp_path / "bin")


async def chunks_of(file: Path) -> AsyncGenerator[bytes]:
    yield file.read_bytes()


async def test_an_image_is_described_by_its_id_and_digests(engine: Engine) -> None:
    engine.hold("abc", "registry.example/app@sha256:1")

    assert await describe_image("docker", "localhost/app:build") == IMAGE
    assert engine.commands() == ["image inspect localhost/app:build"]


async def test_an_image_that_was_deleted_is_an_error_with_what_to_do(engine: Engine) -> None:
    with pytest.raises(StoreError, match="docker has no image localhost/app:build any more: deploy the version again"):
        await describe_image("docker", "localhost/app:build")


async def test_a_node_that_has_the_image_pulls_nothing(engine: Engine) -> None:
    engine.hold("abc")

    assert await has_image(IMAGE)
    assert engine.commands() == ["image inspect localhost/app:build"]


async def test_a_node_with_another_image_of_that_name_pulls_by_digest(engine: Engine) -> None:
    engine.hold("other")

    assert await has_image(IMAGE)
    assert engine.commands()[1:] == [
        "pull registry.example/app@sha256:1",
        "tag registry.example/app@sha256:1 localhost/app:build",
    ]


async def test_a_node_without_a_way_to_the_registry_lacks_the_image(engine: Engine) -> None:
    engine.fail("pull")

    assert not await has_image(IMAGE)


async def test_a_node_without_the_engine_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineMissing, match="it has no docker: install it there, or deploy with --builder process"):
        await has_image(IMAGE)


async def test_an_image_goes_from_one_engine_to_another(engine: Engine, tmp_path: Path) -> None:
    await save_image(IMAGE, tmp_path / "saved")
    await load_image(IMAGE, tmp_path, chunks_of(tmp_path / "saved"))

    assert (engine.folder / "loaded").read_bytes() == b"an image"
    assert engine.commands()[0] == f"save --output {tmp_path / 'saved'} localhost/app:build"
    assert list(tmp_path.glob(".*.image")) == []


async def test_an_engine_that_fails_is_quoted(engine: Engine, tmp_path: Path) -> None:
    engine.fail("save")
    with pytest.raises(StoreError, match="docker cannot save localhost/app:build: disk quota exceeded"):
        await save_image(IMAGE, tmp_path / "saved")
    (tmp_path / "saved").write_bytes(b"an image")
    engine.fail("load")
    with pytest.raises(StoreError, match="docker cannot load localhost/app:build: disk quota exceeded"):
        await load_image(IMAGE, tmp_path, chunks_of(tmp_path / "saved"))
    assert list(tmp_path.glob(".*.image")) == []


class Machines:
    """buildah's storage on a front and on a node; one of them is this machine's at a time."""

    def __init__(self, folder: Path, registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.address}"\ninsecure = true\n')
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(folder / "registries.conf"))

    def be(self, name: str) -> None:
        """Be the front, or the node."""
        storage, conf = self.folder / name, self.folder / f"{name}.conf"
        text = f'[storage]\ndriver = "vfs"\ngraphroot = "{storage}/images"\nrunroot = "{storage}/run"\n'
        conf.write_text(text)
        self._patch.setenv("CONTAINERS_STORAGE_CONF", str(conf))

    def make_image(self, name: str) -> None:
        (self.folder / "file").write_text("of the image")
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, str(self.folder / "file"), "/")
        buildah("commit", "--quiet", "--rm", container, name)

    def content(self, name: str) -> str:
        """A file of an image, through a container of it."""
        container = buildah("from", "--pull-never", name)
        return (Path(buildah("mount", container)) / "file").read_text()


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.needs("buildah")
@pytest.mark.skipif(os.geteuid() != 0, reason="buildah's storage needs root")
@pytest.mark.parametrize("has_registry", [True, False])
async def test_buildah_pulls_by_digest_from_a_registry_and_else_gets_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_registry: bool
) -> None:
    with ImageRegistry() as registry:
        machines, name = Machines(tmp_path, registry, monkeypatch), f"{registry.address}/app:1"
        machines.be("maker")
        machines.make_image(name)
        buildah("push", name, f"docker://{name}")
        machines.be("front")
        buildah("pull", name)
        image: dict[str, Any] = await describe_image("buildah", name)
        (digest,) = image["digests"]
        assert ("manifests", digest.partition("@")[2]) in registry.objects
        registry.pulled.clear()
        if not has_registry:
            registry.objects.clear()
            await save_image(image, tmp_path / "saved")

        machines.be("node")
        assert await has_image(image) == has_registry
        if not has_registry:
            await load_image(image, tmp_path, chunks_of(tmp_path / "saved"))

        assert has_registry == (digest.partition("@")[2] in registry.pulled)
        assert machines.content(name) == "of the image"
        pulled = list(registry.pulled)
        assert await has_image(image)  # nothing is sent again
        assert registry.pulled == pulled


@pytest.mark.slow
@pytest.mark.needs("buildah")
@pytest.mark.skipif(os.geteuid() != 0, reason="buildah's storage needs root")
async def test_an_image_that_was_built_here_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ImageRegistry() as registry:
        machines, name = Machines(tmp_path, registry, monkeypatch), "localhost/bananastand/0123:build"
        machines.be("front")
        machines.make_image(name)
        image = await describe_image("buildah", name)
        assert image["digests"] == []
        await save_image(image, tmp_path / "saved")

        machines.be("node")
        assert not await has_image(image)
        await load_image(image, tmp_path, chunks_of(tmp_path / "saved"))

        assert machines.content(name) == "of the image"
        assert await has_image(image)
