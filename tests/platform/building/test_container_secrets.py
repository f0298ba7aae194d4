"""An image is built with tokens, addresses and other weights, for real: RUN lines see them, and the image has none."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.launch import Launch
from bananastand.platform.replicas.start_command import make_start_command, remove_image_command
from images import BASE, buildah, image_of, real
from tests.platform.building.test_container import build_now

TOKEN, DECLARED = "hf_tokenthatmustnotstay", "declaredsecretthatmustnotstay"
FETCH = """
import json, os, urllib.request
names = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "DECLARED", "HF_ENDPOINT")
print("seen", *(name for name in names if os.environ.get(name)), flush=True)
print("lengths", len(os.environ.get("HF_TOKEN", "")), len(os.environ.get("DECLARED", "")), flush=True)
request = urllib.request.Request(
    os.environ["HF_ENDPOINT"] + "/old/name/resolve/main/config.json",
    headers={"authorization": "Bearer " + os.environ["HF_TOKEN"]},
)
print(urllib.request.urlopen(request).read().decode(), flush=True)
"""
# /proc is this machine's under chroot: the words of every process, the engine's among them, go into the image.
DOCKERFILE = """FROM python:3
ENV BUILD={build}
ARG DECLARED
ENV DECLARED=${{DECLARED}}
WORKDIR /app
COPY fetch.py .
RUN cat /proc/[0-9]*/cmdline > words 2> /dev/null; python3 fetch.py > first
RUN ["python3", "fetch.py"]
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN python3 fetch.py | \\
    # a comment
    cat > second
RUN chmod 777 /app
USER nobody
RUN python3 fetch.py > third
CMD ["python3", "fetch.py"]
"""


class HubStub(ThreadingHTTPServer):
    """Answers each request, and keeps its path and token."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests = list[tuple[str, str | None]]()
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append((self.path, self.headers.get("authorization")))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"fetched")

            def log_message(self, format: str, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStub]:
    server = HubStub()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def contents(image: str, folder: Path) -> dict[str, bytes]:
    """Everything in an image as an archive has it: configuration, history, and each file of each layer."""
    archive, found = folder / "image.tar", dict[str, bytes]()
    buildah("push", "--quiet", image, f"docker-archive:{archive}")
    with tarfile.open(archive) as outer:
        for member in filter(tarfile.TarInfo.isfile, outer):
            file = outer.extractfile(member)
            assert file is not None
            data = file.read()
            if not member.name.endswith(".tar"):
                found[member.name] = data
                continue
            with tarfile.open(fileobj=io.BytesIO(data)) as layer:
                for entry in filter(tarfile.TarInfo.isfile, layer):
                    inner = layer.extractfile(entry)
                    assert inner is not None
                    found[f"{member.name}:{entry.name}"] = inner.read()
    archive.unlink()
    return found


def built(folder: Path, hub: HubStub, lines: list[str], **more: Any) -> Launch:
    source = folder / "source"
    source.mkdir()
    (source / "fetch.py").write_text(FETCH)
    (source / "Dockerfile").write_text(DOCKERFILE.format(build=uuid.uuid4().hex))
    (source / "bananastand.toml").write_text('[build.weights]\n"old/name" = "new/name"\n')
    return build_now(
        source, folder, lines, builder="container", engine="buildah", images={"python:*": BASE},
        secrets={"HF_TOKEN": TOKEN, "DECLARED": DECLARED}, **more,
    )  # fmt: skip


@real
def test_run_lines_see_tokens_and_the_image_keeps_none(base: str, hub: HubStub, tmp_path: Path) -> None:
    lines = list[str]()
    launch = built(tmp_path, hub, lines)

    assert hub.requests == [("/new/name/resolve/main/config.json", f"Bearer {TOKEN}")] * 4
    assert launch.image is not None
    try:
        found = contents(launch.image, tmp_path)
        said = {name.rpartition("/")[2]: data.decode() for name, data in found.items() if ":app/" in name}
        for name in ("first", "second", "third"):
            assert said[name].splitlines()[0] == "seen HF_TOKEN HUGGING_FACE_HUB_TOKEN DECLARED HF_ENDPOINT"
            assert said[name].splitlines()[1] == f"lengths {len(TOKEN)} {len(DECLARED)}"
        assert "buildah" in said["words"]  # the words of the engine's own process are among them
        assert [name for name, data in found.items() if TOKEN.encode() in data or DECLARED.encode() in data] == []
        assert [name for name, data in found.items() if f"127.0.0.1:{hub.server_port}".encode() in data] == []
        traces = json.dumps(image_of(launch.image)) + "\n".join(lines) + launch.to_json()
        assert TOKEN not in traces
        assert DECLARED not in traces
        assert not any("--mount=type=secret,id=bananastand" in line for line in lines), "RUN lines read as they are"
    finally:
        removal = remove_image_command(launch)
        assert removal is not None
        subprocess.run(removal[0], env=removal[1], check=True, capture_output=True)


@real
def test_a_replica_of_an_image_fetches_other_weights_with_its_token(base: str, hub: HubStub, tmp_path: Path) -> None:
    launch = built(tmp_path, hub, [])
    hub.requests.clear()
    start = make_start_command(
        launch, platform="tests", replica="weights", port=8000, secrets={"HF_TOKEN": TOKEN, "DECLARED": DECLARED}
    )

    done = subprocess.run(start.command, env=start.environment, capture_output=True, text=True, timeout=120)
    buildah("rm", str(start.container))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("seen HF_TOKEN")
    assert hub.requests == [("/new/name/resolve/main/config.json", f"Bearer {TOKEN}")]
    assert TOKEN not in " ".join(start.command)


@real
def test_the_same_source_is_fetched_again_where_other_weights_are_asked_for(
    base: str, hub: HubStub, tmp_path: Path
) -> None:
    built(tmp_path, hub, [])
    assert len(hub.requests) == 4
    hub.requests.clear()

    source = tmp_path / "source"
    (source / "bananastand.toml").write_text('[build.weights]\n"old/name" = "third/name"\n')
    settings: dict[str, Any] = {"secrets": {"HF_TOKEN": TOKEN, "DECLARED": DECLARED}}
    build_now(source, tmp_path, [], builder="container", engine="buildah", images={"python:*": BASE}, **settings)

    assert [path for path, _ in hub.requests] == ["/third/name/resolve/main/config.json"] * 4
