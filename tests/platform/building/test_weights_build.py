"""Weights in real builds: fetched once into the shared cache, explained where they fail, there for the replicas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.building import BuildError
from bananastand.platform.building.builder import passed_secrets
from bananastand.platform.errors import Refused
from bananastand.platform.launch import Launch
from hub import MEMBER, Hub, Repository
from platform_builds import Bench

SD, OLD_SD = "stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"
GATED = "meta-llama/Llama-2-7b-chat-hf"
DOWNLOAD = "from huggingface_hub import hf_hub_download\nprint(hf_hub_download({!r}, 'pytorch_model.bin'))\n"
DOCKERFILE = (
    'FROM python:3\nWORKDIR /\n{env}ADD download.py .\nRUN python3 download.py\nCMD ["python3", "download.py"]\n'
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("repositories")
    (folder / "pytorch_model.bin").write_bytes(os.urandom(300_000))
    with Hub([Repository(SD, folder), Repository(GATED, folder, gated=True)]) as hub:
        yield hub


@pytest.fixture(autouse=True)
def _reached(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, sandboxed=False)


def build(
    bench: Bench, name: str, *, env: str = "", toml: str = "", download: str = DOWNLOAD, **settings: Any
) -> Launch:
    """Build an app whose download.py fetches a repository."""
    bench.write({"download.py": download.format(name), "bananastand.toml": toml})
    return bench.build(DOCKERFILE.format(env=env), **settings)


def run(bench: Bench, launch: Launch) -> str:
    """Return what a replica prints without the hub."""
    return bench.ran(launch, HF_HUB_OFFLINE="1")


def test_replicas_find_what_the_build_fetched_in_a_cache_of_their_own(bench: Bench, hub: Hub) -> None:
    launch = build(bench, SD)

    place = Path(run(bench, launch))

    assert place.is_relative_to(bench.folder / "build1" / "huggingface")
    assert place.resolve().is_relative_to(bench.folder / "cache" / "huggingface" / "hub")
    before = len([request for request in hub.requests if "/cdn/" in request])
    build(bench, SD, env="ENV OTHER=1\n")
    assert (
        len([request for request in hub.requests if "/cdn/" in request]) == before
    )  # the weights are fetched once for all


def test_a_cache_that_the_dockerfile_names_is_found_there(bench: Bench) -> None:
    launch = build(bench, SD, env="ENV HF_HOME=/app/cache\n")

    assert Path(run(bench, launch)).is_relative_to(bench.folder / "build1" / "stage0" / "root" / "app" / "cache")


def test_a_deleted_repository_is_explained_with_its_line_and_successor(bench: Bench) -> None:
    with pytest.raises(BuildError) as failed:
        build(bench, OLD_SD)

    assert str(failed.value) == (
        "Dockerfile line 4: RUN python3 download.py failed. weights: runwayml/stable-diffusion-v1-5 is gone from the "
        "hub: deleted by its owner in August 2024. stable-diffusion-v1-5/stable-diffusion-v1-5 keeps the same weights. "
        "`bananastand inspect --fix` asks for them, or bananastand.toml: "
        '[build] weights = {"runwayml/stable-diffusion-v1-5" = "stable-diffusion-v1-5/stable-diffusion-v1-5"}'
    )


def test_a_successor_is_used_where_bananastand_toml_asks_for_it(bench: Bench) -> None:
    launch = build(bench, OLD_SD, toml=f'[build.weights]\n"{OLD_SD}" = "{SD}"\n')

    assert "models--runwayml--stable-diffusion-v1-5" in run(bench, launch)


def test_only_a_named_token_reaches_the_build(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", MEMBER)  # of whoever runs the platform
    with pytest.raises(BuildError, match="is gated, and no token was sent"):
        build(bench, GATED)

    launch = build(bench, GATED, secrets={"HF_TOKEN": MEMBER})

    assert not any(MEMBER in value for value in launch.environment.values())
    assert not any(MEMBER in line for line in bench.lines)


def test_a_login_of_the_platform_s_user_does_not_reach_the_build(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / ".cache" / "huggingface").mkdir(parents=True)
    (home / ".cache" / "huggingface" / "token").write_text(MEMBER)
    monkeypatch.setenv("HOME", str(home))

    with pytest.raises(BuildError, match="is gated, and no token was sent"):
        build(bench, GATED)


def test_names_of_secrets_for_every_app_come_from_the_command_and_from_stand_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    monkeypatch.setenv("OTHER", "x")
    assert passed_secrets(tmp_path, ()) == {}
    (tmp_path / "stand.toml").write_text('pass = ["HF_TOKEN"]\n')

    assert passed_secrets(tmp_path, ("OTHER",)) == {"HF_TOKEN": MEMBER, "OTHER": "x"}
    with pytest.raises(Refused, match="MISSING is to be passed to apps, and there is no such variable"):
        passed_secrets(tmp_path, ("MISSING",))
    (tmp_path / "stand.toml").write_text('pass = "HF_TOKEN"\n')
    with pytest.raises(Refused, match="pass must list names of variables"):
        passed_secrets(tmp_path, ())


OWN_CACHE = """import os
from huggingface_hub import hf_hub_download
print(hf_hub_download({{!r}}, "pytorch_model.bin", cache_dir=os.path.join(os.environ["HF_HOME"], "{cache}")))
"""


@pytest.mark.parametrize("cache", ["diffusers", "transformers", "datasets"])
@pytest.mark.parametrize("named", [False, True], ids=["the platform's cache", "a cache that HF_HOME names"])
def test_weights_of_a_library_with_a_cache_of_its_own_come_once(
    cache: str, named: bool, bench: Bench, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if named:
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-cache"))
    count = len(hub.requests)
    first = build(bench, SD, download=OWN_CACHE.format(cache=cache))

    assert Path(run(bench, first)).stat().st_size == 300_000  # HF_HUB_OFFLINE is set
    second = build(bench, SD, download=OWN_CACHE.format(cache=cache))
    assert Path(run(bench, second)).stat().st_size == 300_000
    assert len([request for request in hub.requests[count:] if request.startswith("GET /cdn/")]) == 1
