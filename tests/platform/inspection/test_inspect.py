"""`bananastand inspect` on small repositories, through the command a user types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bananastand.platform.building.overrides import read_overrides
from git_repositories import commit
from hub import Hub, Repository

SD, OLD_SD = "stable-diffusion-v1-5/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5"
REPOSITORIES = tomllib.loads(Path(__file__).with_name("repositories.toml").read_text("utf-8"))
FIRST_TEMPLATE, POTASSIUM = REPOSITORIES["first_template"], REPOSITORIES["potassium"]
Inspect = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Stable Diffusion under its successor's name, BERT under both, and a gated one."""
    folder = tmp_path_factory.mktemp("repositories")
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(bytes(1_000_000))
    (folder / "model.safetensors").write_bytes(bytes(2_000_000))
    repositories = [
        Repository(SD, folder, license="creativeml-openrail-m"),
        Repository("google-bert/bert-base-uncased", folder, license="apache-2.0"),
        Repository("meta-llama/Llama-2-7b-chat-hf", folder, gated=True, license="llama2"),
    ]
    with Hub(repositories, aliases={"bert-base-uncased": "google-bert/bert-base-uncased"}) as hub:
        yield hub


@pytest.fixture
def inspect(hub: Hub, tmp_path: Path) -> Inspect:
    """Runs the command on a repository of these files, on a machine without a GPU that reaches no package index."""

    def run(files: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
        for name, text in files.items():
            path = tmp_path / "repository" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        environment = {**os.environ, **hub.environment(tmp_path), "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "80"}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
        command = [sys.executable, "-m", "bananastand", "inspect", str(tmp_path / "repository"), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

    return run


def found(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def test_the_first_template_is_recognised_and_should_run(inspect: Inspect) -> None:
    done = inspect(FIRST_TEMPLATE, "--json")
    report = found(done)

    assert done.returncode == 0, done.stdout
    assert report["runs"] is True
    assert (report["template"]["kind"], report["template"]["first"]) == ("sanic", True)
    assert report["template"]["where"] == "server.py:1"
    assert report["base"] == {
        "image": "pytorch/pytorch:1.11.0-cuda11.3-cudnn8-runtime", "python": "3.8", "reason": "what the image holds",
        "where": "Dockerfile:1",
    }  # fmt: skip
    assert (report["torch"]["version"], report["torch"]["cuda"]) == ("1.11.0", "11.3")
    assert (report["port"], report["health"]) == (8000, "/healthcheck")
    assert report["system_packages"] == ["git", "ffmpeg"]
    assert [(requirement["line"], requirement["state"]) for requirement in report["requirements"]] == [
        ("sanic==22.6.2", "pinned"), ("transformers", "open"), ("accelerate", "open"),
    ]  # fmt: skip
    (weight,) = report["weights"]
    assert (weight["name"], weight["during"], weight["state"]) == ("bert-base-uncased", "build", "moved")
    assert weight["where"] == ["app.py:8", "download.py:4"]
    assert (weight["successor"], weight["size"], weight["license"]) == (
        "google-bert/bert-base-uncased", 2_000_000, "apache-2.0",
    )  # fmt: skip


def test_a_potassium_app_says_what_must_be_changed_first(inspect: Inspect) -> None:
    done = inspect(POTASSIUM, "--json")
    report = found(done)

    assert done.returncode == 1
    assert report["template"]["versions"] == ["0.1.0", "0.1.1", "0.1.2", "0.2.0", "0.2.1"]
    assert report["template"]["where"] == "requirements.txt:1"
    (weight,) = report["weights"]
    assert (weight["name"], weight["state"], weight["successor"], weight["token"]) == (OLD_SD, "gone", SD, True)
    assert [(handler["route"], handler["kind"]) for handler in report["handlers"]] == [
        ("/", "handler"),
        ("/paint", "background"),
    ]
    assert report["webhooks"] == ["app.py:20"]
    assert report["paths"] == ["/weights.txt at app.py:12"]
    assert {"name": "HF_AUTH_TOKEN", "where": "app.py:10", "required": True, "secret": True, "value": None} in report[
        "variables"
    ]
    changes = {difference["where"]: difference for difference in report["differences"] if difference["change"]}
    assert changes["app.py:10"]["text"] in (
        f"{OLD_SD} is gone from the hub: deleted by its owner in August 2024", "HF_AUTH_TOKEN has no value",
    )  # fmt: skip
    assert "--cpu" in changes["app.py:11"]["change"]


def test_the_report_lists_findings_and_changes_as_text(inspect: Inspect) -> None:
    done = inspect(POTASSIUM)

    assert done.returncode == 1
    for text in (
        "a Potassium app", "0.1.0 to 0.2.1", "pytorch/pytorch:1.13.1-cuda11.6-cudnn8-runtime (Dockerfile:1)",
        f"{OLD_SD}, fetched by the start or call (app.py:10)", "3 to change first:",
        'to("cuda"): this machine has no GPU (app.py:11)', "bananastand deploy --secret HF_AUTH_TOKEN",
        "git+https://github.com/owner/repository is taken as it is today", "/weights.txt at app.py:12",
    ):  # fmt: skip
        assert text in done.stdout, done.stdout
    assert "\x1b" not in done.stdout  # plain where it is piped


def test_fix_writes_what_is_needed_and_says_why(inspect: Inspect, tmp_path: Path) -> None:
    tried = inspect(POTASSIUM, "--fix", "--dry-run")
    assert not (tmp_path / "repository" / "bananastand.toml").exists()
    assert "+++ b/bananastand.toml" in tried.stdout
    assert "runwayml/stable-diffusion-v1-5 is gone from the hub: deleted by its owner in August 2024" in tried.stdout

    inspect(POTASSIUM, "--fix")
    assert read_overrides(tmp_path / "repository").build.weights == {OLD_SD: SD}

    again = found(inspect({}, "--json"))
    (weight,) = again["weights"]
    assert weight["successor"] == SD
    assert OLD_SD not in " ".join(difference["text"] for difference in again["differences"])
    assert (tmp_path / "repository" / "app.py").read_text() == POTASSIUM["app.py"]


def test_fix_keeps_what_the_file_has(inspect: Inspect, tmp_path: Path) -> None:
    mine = '# mine\n[app]\nport = 5000\n\n[build]\nweights = { "a/b" = "c/d" }\npython = "3.9"\n'

    inspect({**POTASSIUM, "bananastand.toml": mine}, "--fix")

    read = read_overrides(tmp_path / "repository")
    assert (read.app.port, read.build.python) == (5000, "3.9")
    assert read.build.weights == {"a/b": "c/d", OLD_SD: SD}
    assert "# mine" in (tmp_path / "repository" / "bananastand.toml").read_text()


def test_an_app_without_a_cmd_gets_its_command(inspect: Inspect, tmp_path: Path) -> None:
    files = {**FIRST_TEMPLATE, "Dockerfile": FIRST_TEMPLATE["Dockerfile"].replace("CMD python3 -u server.py\n", "")}

    done = inspect(files, "--fix")

    assert done.returncode == 0, done.stdout
    assert read_overrides(tmp_path / "repository").app.command == ("python3", "-u", "server.py")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("from_pretrained('a/b')", ["a/b"]),
        ("NAME = 'a/b'\nX.from_pretrained(NAME)", ["a/b"]),
        ("import os\nX.from_pretrained(os.environ.get('MODEL', 'a/b'))", ["a/b"]),
        ("import os\nX.from_pretrained(os.environ['SET_IN_DOCKERFILE'])", ["c/d"]),
        ("OWNER = 'a'\nX.from_pretrained(f'{OWNER}/b')", ["a/b"]),
        ("for name in ['a/b', 'c/d']:\n    X.from_pretrained(name)", ["a/b", "c/d"]),
        ("def load(name):\n    X.from_pretrained(name)\nload('a/b')\nload(name='c/d')", ["a/b", "c/d"]),
        ("MODELS = {'one': 'a/b', 'two': 'c/d'}\nX.from_pretrained(MODELS['two'])", ["c/d"]),
        ("class A:\n    model = 'a/b'\n    def go(self):\n        X.from_pretrained(self.model)", ["a/b"]),
        ("from huggingface_hub import snapshot_download\nsnapshot_download(repo_id='a/b', revision='x')", ["a/b"]),
        ("from huggingface_hub import hf_hub_download\nhf_hub_download('a/b', 'model.ckpt')", ["a/b"]),
        ("import whisper\nwhisper.load_model('large-v2')", ["large-v2"]),
        ("import torch\ntorch.hub.load('ultralytics/yolov5', 'yolov5s')", ["ultralytics/yolov5"]),
        ("import os\nos.system('wget https://files.example/model.ckpt')", ["https://files.example/model.ckpt"]),
        ("import subprocess\nsubprocess.run(['git', 'clone', 'https://huggingface.co/a/b'])", ["a/b"]),
        ("from sentence_transformers import SentenceTransformer\nSentenceTransformer('all-MiniLM-L6-v2')",
         ["sentence-transformers/all-MiniLM-L6-v2"]),
        ("from speechbrain.pretrained import E\nE.from_hparams(source='speechbrain/a')", ["speechbrain/a"]),
        ("P.from_pretrained('pyannote/speaker-diarization@2.1')", ["pyannote/speaker-diarization"]),
        ("X.from_pretrained('./weights')\nX.from_pretrained('model')\nX.from_pretrained(unknown)", []),
        ("x = x + 'a'\nX.from_pretrained(x)", []),
    ],
)  # fmt: skip
def test_weights_are_found_however_the_code_names_them(code: str, names: list[str], inspect: Inspect) -> None:
    files = {"app.py": code, "Dockerfile": "FROM python:3.10\nENV SET_IN_DOCKERFILE=c/d\nCMD python3 app.py\n"}

    assert sorted(weight["name"] for weight in found(inspect(files, "--json", "--offline"))["weights"]) == names


def test_weights_of_the_dockerfile_and_shell_scripts_are_found(inspect: Inspect) -> None:
    files = {
        "Dockerfile": """FROM python:3.10
ARG MODEL=a/b
RUN wget -q https://huggingface.co/c/d/resolve/main/model.ckpt
RUN git clone https://huggingface.co/e/f && huggingface-cli download g/h
RUN python3 -c "from transformers import AutoModel; AutoModel.from_pretrained('i/j')"
CMD ["./start.sh"]
""",
        "start.sh": "curl -LO https://files.example/weights.pt\nexec ./server\n",
    }

    report = found(inspect(files, "--json", "--offline"))

    assert {weight["name"]: weight["during"] for weight in report["weights"]} == {
        "c/d": "build",
        "e/f": "build",
        "g/h": "build",
        "i/j": "build",
        "https://files.example/weights.pt": "start or call",
    }
    assert report["template"]["kind"] == "shell"


@pytest.mark.parametrize(
    ("files", "kind", "port"),
    [
        ({"main.py": "import uvicorn\nfrom fastapi import FastAPI\napp = FastAPI()\nuvicorn.run(app, port=9000)",
          "Dockerfile": "FROM python:3.10\nCMD python main.py"}, "fastapi", 9000),
        ({"src/api.py": "from fastapi import FastAPI\napp = FastAPI()",
          "Dockerfile": "FROM python:3.10\nCMD uvicorn src.api:app --host 0.0.0.0 --port 8080"}, "fastapi", 8080),
        ({"server.py": "from http.server import HTTPServer\nHTTPServer(('', 8000), None).serve_forever()",
          "Dockerfile": "FROM python:3.10\nCMD [\"python3\", \"server.py\"]"}, "http", 8000),
        ({"app.py": "from flask import Flask\napp = Flask('x')\napp.run(host='0.0.0.0', port=5000)",
          "Dockerfile": "FROM python:3.10\nCMD [\"python3\", \"app.py\"]"}, "flask", 5000),
        ({"app.py": "import gradio as gr\ngr.Interface().launch(server_port=7860)",
          "Dockerfile": "FROM python:3.10\nCMD python3 app.py"}, "gradio", 7860),
        ({"index.js": "require('http').createServer().listen(8000)",
          "Dockerfile": "FROM node:18\nCMD [\"node\", \"index.js\"]"}, "node", 8000),
        ({"api/server.py": "from inner import app\napp.run(port=8000)",
          "api/inner.py": "import sanic\napp = sanic.Sanic('x')",
          "Dockerfile": "FROM python:3.10\nCOPY api/ .\nCMD python3 -u server.py"}, "sanic", 8000),
        ({"main.go": "package main\nfunc main() { http.ListenAndServe(\":8000\", nil) }", "go.mod": "module x",
          "Dockerfile": "FROM golang:1.20\nRUN go build -o /server\nCMD [\"/server\"]"}, "go", 8000),
        ({"cog.yaml": "predict: predict.py:Predictor", "predict.py": "class Predictor: pass"}, "cog", None),
        ({"config.yaml": "model_class_name: Model", "model/model.py": "class Model: pass"}, "truss", None),
        ({"app.py": "from potassium import Potassium\napp = Potassium('x')"}, "potassium", 8000),
        ({"Dockerfile": "FROM debian:12\nCMD [\"/usr/bin/thing\"]"}, "unknown", None),
    ],
)  # fmt: skip
def test_every_kind_of_server_is_recognised(
    files: dict[str, str], kind: str, port: int | None, inspect: Inspect
) -> None:
    report = found(inspect(files, "--json", "--offline"))

    assert (report["template"]["kind"], report["port"]) == (kind, port)


def test_a_gated_repository_asks_for_a_token(inspect: Inspect) -> None:
    files = {"app.py": "from transformers import AutoModel\nAutoModel.from_pretrained('meta-llama/Llama-2-7b-chat-hf')"}

    done = inspect(files, "--json")

    (weight,) = found(done)["weights"]
    assert (done.returncode, weight["state"], weight["license"]) == (1, "gated", "llama2")


def test_an_unreachable_hub_is_reported_as_unread(inspect: Inspect, monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(Hub, "url", property(lambda self: "http://127.0.0.1:9"))
    files = {"app.py": "from transformers import AutoModel\nAutoModel.from_pretrained('owner/name')"}

    report = found(inspect(files, "--json"))

    assert report["runs"] is True
    assert "the hub was not reached" in report["unread"][0]


def test_old_names_of_potassium_narrow_its_versions(inspect: Inspect) -> None:
    app = (
        "from potassium import Potassium\napp = Potassium('x')\n@app.async_handler\ndef handler(context, request): ..."
    )

    report = found(inspect({"app.py": app}, "--json", "--offline"))

    assert report["template"]["versions"] == ["0.0.5", "0.0.6", "0.0.7", "0.0.8"]
    assert "async_handler is of 0.0.5 to 0.0.8" in report["template"]["reason"]


def test_gpu_calls_behind_is_available_need_no_change(inspect: Inspect) -> None:
    app = """import torch
device = "cuda" if torch.cuda.is_available() else "cpu"
model = load().to(device)
if torch.cuda.is_available():
    model.cuda()
"""
    assert found(inspect({"app.py": app}, "--json", "--offline"))["runs"] is True
    report = found(inspect({"app.py": app + "model.cuda()\nx = torch.device('cuda')\n"}, "--json", "--offline"))
    assert [difference["where"] for difference in report["differences"] if difference["change"]] == [
        "app.py:6",
        "app.py:7",
    ]


def test_an_unreadable_file_is_reported_and_the_rest_is_inspected(inspect: Inspect) -> None:
    files = {"app.py": "print 'Python 2'\n", "Dockerfile": "FROM python:3.10\nCMD python app.py\n"}

    report = found(inspect(files, "--json", "--offline"))

    assert report["unread"] == [
        "app.py:1: not read as Python 3: Missing parentheses in call to 'print'. Did you mean print(...)?"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--dry-run"], "--dry-run goes with --fix"), (["--as-of", "yesterday"], "--as-of yesterday: give a date")],
)
def test_a_wrong_argument_ends_with_2(options: list[str], message: str, inspect: Inspect) -> None:
    done = inspect(FIRST_TEMPLATE, "--offline", *options)

    assert done.returncode == 2
    assert message in done.stderr


def test_a_wrong_bananastand_toml_is_named(inspect: Inspect) -> None:
    done = inspect({**FIRST_TEMPLATE, "bananastand.toml": "[app]\nports = 1\n"}, "--offline")

    assert done.returncode == 2
    assert "bananastand.toml: app.ports" in done.stderr


@pytest.mark.needs("git")
def test_a_git_repository_is_inspected_by_its_address(inspect: Inspect, tmp_path: Path) -> None:
    inspect(FIRST_TEMPLATE, "--offline")
    commit(tmp_path / "repository", "2022-11-05T10:00:00Z")
    local = found(inspect({}, "--json", "--offline"))
    address = f"file://{tmp_path}/repository"
    command = [sys.executable, "-m", "bananastand", "inspect", address, "--json", "--offline"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})  # fmt: skip

    assert local["as_of"].startswith("open requirements resolve as of 2022-11-05, the repository's last commit")
    assert found(done)["template"]["first"] is True
    assert found(done)["as_of"] == local["as_of"]


READS = 'import os\nname = os.environ["GREETING"]\n'


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"start.sh": "#!/bin/bash\nset -e\nexport GREETING=hello\nexec python3 server.py\n"}, "./start.sh"),
        ({"start": "#!/bin/sh\nGREETING='good day' exec python3 server.py\n"}, "bash start"),
        ({"start.sh": ". ./settings.sh\npython3 server.py\n", "settings.sh": "export A GREETING=a\n"}, "sh start.sh"),
        ({"start.sh": ': "${GREETING:=hello}"\nexport GREETING\npython3 server.py\n'}, "sh start.sh"),
        ({}, "GREETING=hello python3 server.py"),
        ({}, "env GREETING=hello python3 server.py"),
        ({"settings.py": 'import os\nos.environ.setdefault("GREETING", "hello")\n'}, "python3 server.py"),
        ({"settings.py": 'import os\nos.environ["GREETING"] = "hello"\n'}, "python3 server.py"),
        ({"settings.py": "from dotenv import load_dotenv\nload_dotenv()\n", ".env": "GREETING=hello\n"},
         "python3 server.py"),
    ],
)  # fmt: skip
def test_a_variable_that_the_repository_sets_itself_needs_no_value(
    files: dict[str, str], command: str, inspect: Inspect
) -> None:
    server = f"{'import settings' if 'settings.py' in files else ''}\n{READS}"
    dockerfile = f"FROM python:3.10\nCOPY . .\nEXPOSE 8000\nCMD {command}\n"

    report = found(inspect({"server.py": server, "Dockerfile": dockerfile, **files}, "--json", "--offline"))

    assert report["variables"][0]["name"] == "GREETING"
    assert report["variables"][0]["required"] is False
    assert report["runs"] is True


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"other.sh": "export GREETING=hello\n"},  # which nothing starts
        {"settings.py": 'import os\nos.environ["OTHER"] = "hello"\n'},
    ],
)
def test_a_variable_that_nothing_sets_needs_a_value(files: dict[str, str], inspect: Inspect) -> None:
    dockerfile = "FROM python:3.10\nCOPY . .\nCMD python3 server.py\n"

    report = found(inspect({"server.py": READS, "Dockerfile": dockerfile, **files}, "--json", "--offline"))

    assert report["differences"][0]["text"] == "GREETING has no value"
    assert report["runs"] is False


@pytest.mark.parametrize(
    ("line", "required"),
    [
        ("RUN python3 download.py", False),
        ("ENV HF_AUTH_TOKEN=${HF_AUTH_TOKEN}", False),
        ("RUN pip install git+https://$HF_AUTH_TOKEN@github.com/o/r", True),
        ('RUN curl -H "Authorization: ${HF_AUTH_TOKEN}" https://example.com/weights', True),
    ],
)
def test_a_secret_of_an_arg_line_is_needed_where_a_run_line_reads_it(
    line: str, required: bool, inspect: Inspect
) -> None:
    code = 'import os\ntoken = os.getenv("HF_AUTH_TOKEN")\n'
    dockerfile = f"FROM python:3.10\nARG HF_AUTH_TOKEN\n{line}\nCMD python3 server.py\n"
    files = {"download.py": code, "server.py": "", "Dockerfile": dockerfile}

    report = found(inspect(files, "--json", "--offline"))

    assert [variable["required"] for variable in report["variables"] if variable["name"] == "HF_AUTH_TOKEN"] == [
        required
    ]


def test_a_python_that_a_line_of_the_dockerfile_installs_is_the_one_that_counts(inspect: Inspect) -> None:
    dockerfile = "FROM nvidia/cuda:11.3.1-base-ubuntu20.04\nRUN apt-get install -y python3.9\nCMD python3.9 server.py\n"

    report = found(inspect({"server.py": "", "Dockerfile": dockerfile}, "--json", "--offline"))

    assert report["base"]["python"] == "3.9"
    assert report["base"]["reason"] == "Dockerfile line 3 names it"


@pytest.mark.parametrize(("line", "runs"), [("RUN git clone https://github.com/o/r /r", True), ("COPY . .", False)])
def test_a_program_that_a_line_brings_is_not_missed(line: str, runs: bool, inspect: Inspect) -> None:
    report = found(
        inspect({"Dockerfile": f"FROM python:3.10\n{line}\nCMD python3 /r/serve.py\n"}, "--json", "--offline")
    )

    assert report["runs"] is runs
    assert any(
        "serve.py, which the repository does not have" in difference["text"] for difference in report["differences"]
    )
