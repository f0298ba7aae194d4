"""download.py as a program of its own, against a small model hub on this machine."""

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "fruit/bowl"
CHUNK = 10 * 1024 * 1024  # what huggingface_hub writes at a time
WEIGHTS = os.urandom(24_000_000)  # half of it is more than a chunk
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "image_encoder": [None, None],
}
FILES = {
    "model_index.json": json.dumps(INDEX).encode(),
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": b"full precision",
    "unet/diffusion_pytorch_model.fp16.safetensors": WEIGHTS,
    "unet/diffusion_pytorch_model.non_ema.safetensors": b"not for inference",
    "unet/diffusion_pytorch_model.bin": b"pickle",
    "text_encoder/config.json": b'{"hidden_size": 8}',
    "text_encoder/model.safetensors.index.json": b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}',
    "text_encoder/model-00001-of-00002.safetensors": b"first half",
    "text_encoder/model-00002-of-00002.safetensors": b"second half",
    "text_encoder/model.onnx": b"another runtime",
    "text_encoder/flax_model.msgpack": b"another framework",
    "tokenizer/vocab.json": b'{"banana": 0}',
    "tokenizer/merges.txt": b"#version: 0.2",
    "image_encoder/model.safetensors": b"a component this pipeline goes without",
    "bowl.safetensors": b"all in one file",
    "README.md": b"# Bowl",
}
LARGE = (".safetensors", ".bin", ".onnx", ".msgpack")  # what the hub keeps in LFS
PLAIN = [
    "model_index.json",
    "text_encoder/config.json",
    "text_encoder/model-00001-of-00002.safetensors",
    "text_encoder/model-00002-of-00002.safetensors",
    "text_encoder/model.safetensors.index.json",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
]
FP16 = [name.replace("model.safetensors", "model.fp16.safetensors") if "unet" in name else name for name in PLAIN]


class Hub:
    """A model hub and the storage host it redirects large files to, with the headers of the real ones."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.requests: list[tuple[str, str, str]] = []  # method, path, Range
        self.tokens: dict[str, set[str | None]] = {"hub": set(), "storage": set()}
        self.refuse: tuple[int, str] | None = None  # status and X-Error-Code of every resolve answer
        self.wrong_digest = ""  # a file whose listed sha256 is not its content's
        self.size_listed: int | None = None
        self.cut = ""  # "once": the first answer of the large weights ends half way; "hang": it stops there
        self.hub = self._serve("hub")
        self.storage = self._serve("storage")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.hub.server_port}"

    def close(self) -> None:
        for server in (self.hub, self.storage):
            server.shutdown()
            server.server_close()

    def ranges(self) -> list[str]:
        """The Range headers of the requests for the large weights, in order."""
        return [ranges for method, path, ranges in self.requests if method == "GET" and path == f"/{sha(WEIGHTS)}"]

    def info(self) -> bytes:
        siblings = [self._sibling(name, content) for name, content in self.files.items()]
        return json.dumps({"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": siblings}).encode()

    def _sibling(self, name: str, content: bytes) -> dict[str, object]:
        size = self.size_listed if self.size_listed and name.endswith("fp16.safetensors") else len(content)
        digest = "0" * 64 if name == self.wrong_digest else sha(content)
        lfs = {"lfs": {"size": size, "sha256": digest, "pointerSize": 135}} if name.endswith(LARGE) else {}
        return {"rfilename": name, "size": size, "blobId": "1" * 40, **lfs}

    def _serve(self, role: str) -> ThreadingHTTPServer:
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                world.requests.append((self.command, path, self.headers.get("Range", "")))
                if "agent-harnesses" not in path:  # the client's own curiosity, asked without a token
                    world.tokens[role].add(self.headers.get("Authorization"))
                answer_storage(world, self, path) if role == "storage" else answer_hub(world, self, path)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server


def answer_hub(world: Hub, request: BaseHTTPRequestHandler, path: str) -> None:
    if path.startswith("/api/models/"):
        if path == f"/api/models/{REPO}/revision/nowhere":
            return reply(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if not path.startswith(f"/api/models/{REPO}/"):
            return reply(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        return reply(request, 200, world.info(), {"Content-Type": "application/json"})
    if world.refuse:
        return reply(request, world.refuse[0], b"", {"X-Error-Code": world.refuse[1]})
    name = path.removeprefix(f"/{REPO}/resolve/{COMMIT}/")
    if name not in world.files:
        return reply(request, 404, b"", {"X-Error-Code": "EntryNotFound"})
    content = world.files[name]
    if not name.endswith(LARGE):
        return reply(request, 200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{sha(content)[:40]}"'})
    digest = "0" * 64 if name == world.wrong_digest else sha(content)
    storage = f"http://127.0.0.1:{world.storage.server_port}/{sha(content)}"
    linked = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{digest}"', "Location": storage}
    # The real hub offers its own transfer protocol as well; download.py must not depend on it.
    xet = {"X-Xet-Hash": "a" * 64, "X-Xet-Refresh-Route": f"{world.url}/xet"}
    return reply(request, 302, b"", {"X-Repo-Commit": COMMIT, **linked, **xet})


def answer_storage(world: Hub, request: BaseHTTPRequestHandler, path: str) -> None:
    content = next(content for content in world.files.values() if path == f"/{sha(content)}")
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(content) - start))
    request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.end_headers()
    if content is WEIGHTS and world.cut:
        request.wfile.write(content[start : len(content) // 2])
        request.wfile.flush()
        if world.cut == "hang":
            time.sleep(30)
        world.cut = ""
        request.close_connection = True
    else:
        request.wfile.write(content[start:])


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(body)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


class Machine:
    """An empty machine: its own HF_HOME and models folder, no token, no other variables."""

    def __init__(self, folder: Path, hub_url: str) -> None:
        self.home, self.models = folder / "hf", folder / "models"
        self.models.mkdir()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HF_HOME": str(self.home),
            "HF_ENDPOINT": hub_url,
            "BANANASTAND_MODELS": str(self.models),
        }
        self.snapshot = self.home / "hub/models--fruit--bowl/snapshots" / COMMIT
        self.blobs = self.home / "hub/models--fruit--bowl/blobs"

    def card(self, *more: str, repo: str = REPO, revision: str = COMMIT) -> None:
        text = f'name = "bowl"\nrepo = "{repo}"\nrevision = "{revision}"\n'
        (self.models / "bowl.toml").write_text(text + "\n".join(more))

    def download(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "download.py"), *arguments]
        return subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=60)

    def fetched(self) -> list[str]:
        found = [file for file in self.snapshot.rglob("*") if not file.is_dir()]
        return sorted(file.relative_to(self.snapshot).as_posix() for file in found)


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    return Machine(tmp_path, hub.url)


def test_it_fetches_configs_tokenizers_and_one_set_of_safetensors(hub: Hub, machine: Machine) -> None:
    machine.card()
    done = machine.download("bowl")
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.fetched() == PLAIN
    assert (machine.snapshot / "unet/diffusion_pytorch_model.safetensors").read_bytes() == b"full precision"


def test_the_variant_of_the_card_replaces_full_precision_where_there_is_one(hub: Hub, machine: Machine) -> None:
    machine.card('variant = "fp16"')
    assert machine.download("bowl").returncode == 0
    assert machine.fetched() == FP16
    assert (machine.snapshot / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes() == WEIGHTS


def test_a_variant_that_the_repository_does_not_have_is_an_error(hub: Hub, machine: Machine) -> None:
    machine.card('variant = "fp8"')
    done = machine.download("bowl")
    assert done.returncode == 1
    assert done.stderr == "download.py: fruit/bowl has no fp8 files; take variant out of the card\n"


def test_pickled_weights_alone_are_refused(hub: Hub, machine: Machine) -> None:
    del hub.files["unet/diffusion_pytorch_model.safetensors"]
    machine.card()
    done = machine.download("bowl")
    assert done.returncode == 1
    assert "no safetensors to load in unet/; pickled weights are not fetched" in done.stderr


def test_a_second_run_asks_nobody(hub: Hub, machine: Machine) -> None:
    machine.card()
    machine.download("bowl")
    hub.requests.clear()
    done = machine.download("bowl", HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stderr, hub.requests) == (0, "", [])
    assert "bowl: nothing to fetch, it is in" in done.stdout


def test_a_file_that_vanished_is_fetched_again_and_only_that(hub: Hub, machine: Machine) -> None:
    machine.card()
    machine.download("bowl")
    gone = machine.snapshot / "text_encoder/model-00002-of-00002.safetensors"
    gone.resolve().unlink()
    hub.requests.clear()
    assert machine.download("bowl").returncode == 0
    assert gone.read_bytes() == b"second half"
    assert [path for method, path, _ in hub.requests if len(path) == 65] == [f"/{sha(b'second half')}"]


def test_a_branch_is_found_under_its_name(hub: Hub, machine: Machine) -> None:
    machine.card(revision="main")
    assert machine.download("bowl").returncode == 0
    assert (machine.snapshot.parent.parent / "refs/main").read_text() == COMMIT
    assert machine.download("bowl", HF_HUB_OFFLINE="1").returncode == 0


def test_the_files_block_it_prints_pins_the_files(hub: Hub, machine: Machine) -> None:
    machine.card()
    first = machine.download("bowl").stdout
    block = first[first.index("[files]") :]
    assert f'"unet/diffusion_pytorch_model.safetensors" = "sha256:{sha(b"full precision")}"' in block
    machine.card(block)
    second = machine.download("bowl")
    assert (second.returncode, "[files]" in second.stdout) == (0, False)
    assert block in machine.download("bowl", "--print-files").stdout


def test_content_that_is_not_what_the_hub_says_is_removed(hub: Hub, machine: Machine) -> None:
    hub.wrong_digest = "unet/diffusion_pytorch_model.safetensors"
    machine.card()
    done = machine.download("bowl")
    assert done.returncode == 1
    assert f"{hub.wrong_digest}: expected sha256:{'0' * 64} of 14 bytes" in done.stderr
    assert f"got sha256:{sha(b'full precision')} of 14" in done.stderr
    assert not os.path.lexists(machine.snapshot / hub.wrong_digest)
    assert not (machine.blobs / ("0" * 64)).exists()
    assert not (machine.snapshot / "model_index.json").exists()


def test_large_files_that_differ_from_the_card_are_not_even_fetched(hub: Hub, machine: Machine) -> None:
    machine.card("[files]", f'"unet/diffusion_pytorch_model.safetensors" = "sha256:{"a" * 64}"')
    done = machine.download("bowl")
    assert done.returncode == 1
    assert f"unet/diffusion_pytorch_model.safetensors: expected sha256:{'a' * 64} (the card)" in done.stderr
    assert f"got sha256:{sha(b'full precision')} (the hub)" in done.stderr
    assert ("GET", f"/{sha(b'full precision')}", "") not in hub.requests


def test_small_files_that_differ_from_the_card_are_removed(hub: Hub, machine: Machine) -> None:
    machine.card("[files]", f'"unet/config.json" = "sha256:{"a" * 64}"')
    done = machine.download("bowl")
    assert done.returncode == 1
    assert f"unet/config.json: expected sha256:{'a' * 64}" in done.stderr
    assert not os.path.lexists(machine.snapshot / "unet/config.json")


def test_a_broken_transfer_goes_on_within_the_run(hub: Hub, machine: Machine) -> None:
    hub.cut = "once"
    machine.card('variant = "fp16"')
    assert machine.download("bowl").returncode == 0
    assert hub.ranges() == ["", f"bytes={CHUNK}-"]
    assert (machine.snapshot / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes() == WEIGHTS


def test_a_killed_run_is_taken_up_by_the_next(hub: Hub, machine: Machine) -> None:
    hub.cut = "hang"
    machine.card('variant = "fp16"')
    command = [sys.executable, str(ROOT / "download.py"), "bowl"]
    killed = subprocess.Popen(command, env=machine.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = machine.blobs / f"{sha(WEIGHTS)}.incomplete"
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGTERM)
    killed.wait(timeout=10)
    written = part.stat().st_size
    assert 0 < written <= CHUNK
    assert not (machine.blobs / sha(WEIGHTS)).exists()
    assert not (machine.snapshot / "model_index.json").exists()

    hub.cut = ""
    assert machine.download("bowl").returncode == 0
    assert hub.ranges() == ["", f"bytes={written}-"]
    assert (machine.snapshot / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes() == WEIGHTS
    assert not part.exists()


def test_a_part_longer_than_the_file_is_begun_anew(hub: Hub, machine: Machine) -> None:
    machine.card()
    machine.blobs.mkdir(parents=True)
    (machine.blobs / f"{sha(b'full precision')}.incomplete").write_bytes(b"x" * 1000)
    assert machine.download("bowl").returncode == 0
    assert (machine.snapshot / "unet/diffusion_pytorch_model.safetensors").read_bytes() == b"full precision"


def test_rubbish_left_in_a_part_is_found_out_and_the_next_run_is_clean(hub: Hub, machine: Machine) -> None:
    machine.card('variant = "fp16"')
    machine.blobs.mkdir(parents=True)
    (machine.blobs / f"{sha(WEIGHTS)}.incomplete").write_bytes(b"x" * 1000)
    done = machine.download("bowl")
    assert done.returncode == 1
    assert "it was removed: run again" in done.stderr
    assert machine.download("bowl").returncode == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_says_how_to_get_access(hub: Hub, machine: Machine, status: int) -> None:
    hub.refuse = (status, "GatedRepo")
    machine.card()
    done = machine.download("bowl")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "accept it at https://huggingface.co/fruit/bowl and set HF_TOKEN" in done.stderr
    assert "--secret id=HF_TOKEN" in done.stderr


def test_a_token_is_sent_to_the_hub_never_to_its_storage_and_never_printed(hub: Hub, machine: Machine) -> None:
    machine.card()
    done = machine.download("bowl", HF_TOKEN="hf_secret")
    assert done.returncode == 0
    assert hub.tokens == {"hub": {"Bearer hf_secret"}, "storage": {None}}
    assert "hf_secret" not in done.stdout + done.stderr


def test_the_build_secret_stands_in_for_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("download", ROOT / "download.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "download", module)
    spec.loader.exec_module(module)
    (tmp_path / "HF_TOKEN").write_text("hf_from_build\n")
    monkeypatch.setattr(module, "SECRET", tmp_path / "HF_TOKEN")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert module.find_token() == "hf_from_build"
    monkeypatch.setenv("HF_TOKEN", "hf_from_env")
    assert module.find_token() == "hf_from_env"


def test_without_a_network_it_says_what_to_do(machine: Machine) -> None:
    machine.card()
    done = machine.download("bowl", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("download.py: cannot reach the model hub (")
    assert "or copy a filled HF_HOME" in done.stderr
    assert done.stderr.count("\n") == 1


def test_offline_by_wish_is_said(machine: Machine) -> None:
    machine.card()
    done = machine.download("bowl", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert done.stderr.startswith("download.py: cannot reach the model hub (HF_HUB_OFFLINE is set)")


def test_an_unknown_model_is_answered_with_the_known_ones(machine: Machine) -> None:
    machine.card()
    done = machine.download("pear")
    assert done.returncode == 1
    assert done.stderr == f"download.py: unknown model 'pear'; the models in {machine.models} are: bowl\n"


def test_an_unknown_repository(machine: Machine) -> None:
    machine.card(repo="fruit/none")
    done = machine.download("bowl")
    assert done.returncode == 1
    assert done.stderr.startswith("download.py: the model hub knows no fruit/none: correct the card")


def test_an_unknown_revision(machine: Machine) -> None:
    machine.card(revision="nowhere")
    done = machine.download("bowl")
    assert done.returncode == 1
    assert done.stderr == "download.py: fruit/bowl has no revision nowhere; correct the card\n"


def test_what_cannot_fit_on_the_disk_is_not_begun(hub: Hub, machine: Machine) -> None:
    hub.size_listed = 10**18
    machine.card('variant = "fp16"')
    done = machine.download("bowl")
    assert done.returncode == 1
    assert done.stderr.startswith("download.py: the disk is full (1000000000.0 GB are needed, ")
    assert hub.ranges() == []


def test_the_model_comes_from_the_environment(machine: Machine) -> None:
    machine.card()
    assert "bowl: fetched" in machine.download(MODEL="bowl").stdout


@pytest.mark.slow
def test_diffusers_loads_what_was_fetched_without_a_network(hub: Hub, machine: Machine, tmp_path: Path) -> None:
    from diffusers import DiffusionPipeline

    saved = tmp_path / "made"
    tiny_pipeline().save_pretrained(saved, variant="fp16")
    tiny_pipeline().save_pretrained(saved)
    hub.files = {file.relative_to(saved).as_posix(): file.read_bytes() for file in saved.rglob("*") if file.is_file()}
    machine.card('variant = "fp16"')
    assert machine.download("bowl").returncode == 0
    weights = [name for name in machine.fetched() if name.endswith(".safetensors")]
    assert weights == [
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    loaded = DiffusionPipeline.from_pretrained(
        REPO, revision=COMMIT, variant="fp16", local_files_only=True, cache_dir=machine.home / "hub"
    )
    assert type(loaded).__name__ == "StableDiffusionPipeline"
    from_folder = DiffusionPipeline.from_pretrained(machine.snapshot, variant="fp16")
    assert from_folder.unet.config.block_out_channels == loaded.unet.config.block_out_channels == [32, 64]


def tiny_pipeline() -> Any:
    """A Stable Diffusion pipeline with random weights, a few hundred kilobytes."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=0,
        eos_token_id=1,
    )
    return StableDiffusionPipeline(
        unet=UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
        ),
        vae=AutoencoderKL(block_out_channels=(32,), latent_channels=4, sample_size=16),
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[]),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def local_card(machine: Machine, digest: str) -> None:
    (machine.models / "here").mkdir()
    (machine.models / "here/model_index.json").write_text("{}")
    (machine.models / "here.toml").write_text(f'path = "here"\n[files]\n"model_index.json" = "sha256:{digest}"\n')


def test_a_local_model_is_checked_and_nobody_is_asked(hub: Hub, machine: Machine) -> None:
    local_card(machine, sha(b"{}"))
    done = machine.download("here", "--print-files")
    assert (done.returncode, done.stderr, hub.requests) == (0, "", [])
    assert f'"model_index.json" = "sha256:{sha(b"{}")}"' in done.stdout


def test_a_local_model_with_a_changed_file_is_an_error(machine: Machine) -> None:
    local_card(machine, "b" * 64)
    done = machine.download("here")
    assert done.returncode == 1
    assert f"the card says sha256:{'b' * 64}, it is sha256:{sha(b'{}')}: restore it" in done.stderr


def test_a_local_model_without_its_files_is_an_error(machine: Machine) -> None:
    (machine.models / "here.toml").write_text('path = "here"\n')
    done = machine.download("here")
    assert done.returncode == 1
    assert f"{machine.models}/here/model_index.json is missing" in done.stderr


def test_help_names_the_default_model(machine: Machine) -> None:
    done = machine.download("--help")
    assert done.returncode == 0
    assert "fruitstand if none" in done.stdout
