"""Advice for what apps print. Where the library is here, the text is its own: a program is run and fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bananastand.platform.replicas.advice import advice
from bananastand.platform.replicas.advice.missing_packages import python_package
from bananastand.platform.tracebacks import last_error


def printed(tmp_path: Path, code: str) -> list[str]:
    """What a program prints that fails."""
    (tmp_path / "app.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "app.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode, "it was to fail"
    return [*done.stderr.splitlines(), f"the app ended with status {done.returncode} while it started"]


@pytest.mark.parametrize(
    ("code", "where", "what"),
    [
        ("import torch\ntorch.zeros(1).cuda()\n", "app.py:2: torch.zeros(1).cuda()", "bananastand deploy --cpu"),
        ('import torch\nm = torch.nn.Linear(1, 1).to("cuda")\n', "app.py:2", "torch.cuda.is_available()"),
        ('import torch\ntorch.Generator("cuda")\n', "app.py:2", "bananastand deploy --cpu"),
        ("import cv2\n", "app.py:1: import cv2", "Write a requirements.txt with `opencv-python-headless`"),
        ("from huggingface_hub import cached_download\n", "app.py:1", "huggingface_hub<0.26"),
        ("from transformers import AdamW\n", "The installed transformers", "--as-of 2023-06-01"),
        ("import transformers\ntransformers.AdamW\n", "The installed transformers", "app.py:2"),
        ("from diffusers.pipeline_utils import DiffusionPipeline\n", "The installed diffusers", "--as-of 2023-06-01"),
        ("import numpy\nnumpy.float_\n", "app.py:2", "`numpy<2`"),
        ("import numpy\nnumpy.int\n", "app.py:2", "`numpy<1.24`"),
        ("from pydantic import BaseSettings\n", "app.py:1", "`pydantic<2`"),
        ("import os\nos.environ['MY_TOKEN']\n", "variable MY_TOKEN (app.py:2", "bananastand deploy --secret MY_TOKEN"),
        ("import os\nos.environ['MODEL_ID']\n", "variable MODEL_ID", "bananastand deploy --env MODEL_ID=VALUE"),
        ("open('/no-such-weights.bin')\n", "not there (app.py:1", "COPY /no-such-weights.bin"),
        ("open('weights.bin')\n", "not there (app.py:1", "starts at WORKDIR"),
        ("import ctypes\nctypes.CDLL('libcudnn.so.4')\n", "libcudnn.so.4 of CUDA", "--builder container"),
        (
            "from socket import socket\na, b = socket(), socket()\na.bind(('', 0))\na.listen()\n"
            "b.bind(a.getsockname())\n",
            "port already that the app asks for (app.py:5",
            "ss -ltnp",
        ),
        (
            "from potassium import Potassium\napp = Potassium('x')\n@app.async_handler('/')\ndef f(): pass\n",
            "another Potassium (app.py:3",
            "`potassium>=0.0.5,<=0.0.8`",
        ),
        (
            "from potassium import Potassium\napp = Potassium('x')\n@app.handler('/', gpu=False)\ndef f(): pass\n",
            "another Potassium (app.py:3",
            "`potassium>=0.0.9,<=0.0.10`",
        ),
        ("import os\nos.kill(os.getpid(), 9)\n", "signal 9", "free -h"),
        ("import torch\ntorch.empty(10**13)\n", "more memory than this machine has free (app.py:2", "free -h"),
        ("import os\nos._exit(os.system('no-such-program') >> 8)\n", "program no-such-program is not", "apt-get"),
    ],
)
def test_what_a_program_of_today_prints_is_explained(code: str, where: str, what: str, tmp_path: Path) -> None:
    text = advice(printed(tmp_path, code), tmp_path)

    assert text is not None
    assert where in text
    assert what in text


@pytest.mark.parametrize(
    ("files", "step"),
    [
        ({"requirements.txt": "torch\n"}, "Add `scikit-learn` to requirements.txt, which does not name it."),
        ({"requirements.txt": "Scikit_Learn==1.0  # old\n"}, "requirements.txt names it: have the Dockerfile run"),
        ({"build/requirements-gpu.txt": "numpy\n"}, "Add `scikit-learn` to build/requirements-gpu.txt"),
        ({"sklearn/__init__.py": ""}, "is in the repository: have the Dockerfile COPY it"),
        ({}, "Write a requirements.txt with `scikit-learn`"),
    ],
)
def test_a_missing_module_is_looked_for_in_the_repository(files: dict[str, str], step: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    text = advice(["ModuleNotFoundError: No module named 'sklearn'"], tmp_path)

    assert text is not None
    assert step in text


def test_a_file_of_the_repository_that_is_not_where_the_app_looks_is_to_be_copied(tmp_path: Path) -> None:
    (tmp_path / "weights.txt").touch()

    text = advice(["FileNotFoundError: [Errno 2] No such file or directory: '/weights.txt'"], tmp_path)

    assert text is not None
    assert "add `COPY weights.txt /weights.txt` to the Dockerfile" in text


def test_the_last_error_counts_and_a_warning_before_it_does_not() -> None:
    lines = [
        "Could not load dynamic library 'libcudart.so.11.0': libcudart.so.11.0: cannot open shared object file",
        "Traceback (most recent call last):",
        '  File "app.py", line 3, in <module>',
        "    import whisper",
        "ModuleNotFoundError: No module named 'whisper'",
    ]

    assert str(advice(lines)).startswith("whisper is not installed (app.py:3: import whisper); the package is openai-")


def test_an_error_of_the_apps_own_gets_no_advice() -> None:
    lines = ["Traceback (most recent call last):", '  File "app.py", line 3, in f', "KeyError: 'PROMPT'"]

    assert advice(lines) is None  # no environment variable: a key of the app's own
    assert advice(["all is well", "the app ended with status 1"]) is None
    assert advice([]) is None


def test_the_line_of_the_app_is_named_as_the_repository_has_it(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").touch()
    error = last_error([
        "Traceback (most recent call last):",
        '  File "/data/builds/1/stage0/root/app/src/app.py", line 7, in init',
        "    load()",
        '  File "/venv/lib/python3.8/site-packages/x/load.py", line 70, in load',
        "    raise OSError(",
        "OSError: no weights",
    ])  # fmt: skip

    assert error is not None
    assert error.sentence(tmp_path) == "OSError: no weights (src/app.py:7)"
    assert str(error) == "OSError: no weights (/app/src/app.py:7)"


def test_the_last_of_chained_errors_and_one_whose_text_is_on_the_next_line() -> None:
    lines = [
        "Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: first", "",
        "During handling of the above exception, another exception occurred:", "",
        "Traceback (most recent call last):", '  File "a.py", line 2, in g', "    g()", "    ~^^",
        "RuntimeError: ", "the second", "a line after it",
    ]  # fmt: skip

    assert str(last_error(lines)) == "RuntimeError: the second (a.py:2)"


def test_a_syntax_error_and_lines_without_an_error(tmp_path: Path) -> None:
    assert str(last_error(printed(tmp_path, "def f(:\n"))).endswith("app.py:1)")
    assert last_error(["Loading: 5 of 10", "Error: none"]) is None


@pytest.mark.parametrize(
    ("module", "package"), [("PIL.Image", "pillow"), ("sentence_transformers", "sentence-transformers"), ("a", "a")]
)
def test_missing_module_is_mapped_to_its_package(module: str, package: str) -> None:
    assert python_package(module) == package
