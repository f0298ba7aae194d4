"""What uv and pip say when they fail, as they say it, and what a user is told instead."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

from bananastand.platform.building.environments.installer_failures import FailureContext, explain_failure, is_disk_full
from bananastand.platform.building.environments.package_index import PackageFile
from bananastand.platform.building.environments.requirements import PipCall

TOKENIZERS = [
    PackageFile("tokenizers-0.10.3.tar.gz", Version("0.10.3")),
    *(
        PackageFile("x", Version("0.10.3"), frozenset({(f"cp3{minor}", f"cp3{minor}", "manylinux_2_12_x86_64")}))
        for minor in (6, 7, 8, 9)
    ),
]


SAID = tomllib.loads(Path(__file__).with_name("installer_output.toml").read_text("utf-8"))


@pytest.fixture
def context(tmp_path: Path) -> FailureContext:
    lines = ["transformers==4.11.3", "torch==1.11.0", "requests==2.25.1", "urllib3==2.0.0", "numpy>=2.2",
             "mecab-python3==0.996.1", "slowfruit", "git+https://github.com/x/y.git"]  # fmt: skip
    (tmp_path / "requirements.txt").write_text("\n".join(lines))
    call = PipCall(("install", "-r", "requirements.txt"), tmp_path)
    files = {"tokenizers": TOKENIZERS}
    return FailureContext(
        [call], "uv", 11, "the Python of this machine", "2023-03-01", lambda name: files.get(name, [])
    )


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("rust", ["requirements.txt line 1 (transformers==4.11.3): tokenizers 0.10.3 has no wheel for Python 3.11",
         "it has wheels for Python 3.6-3.9", "can't find Rust compiler", "apt-get install cargo rustc",
         '[build] python = "3.9"']),
        ("mecab", ["requirements.txt line 6 (mecab-python3==0.996.1): mecab-python3 0.996.1 cannot be built",
         "mecab-config: not found", "apt-get install libmecab-dev mecab"]),
        ("torch", ["requirements.txt line 2 (torch==1.11.0): torch 1.11.0 has no wheel for Python 3.11",
         "it has for 3.7-3.10"]),
        ("git", ["requirements.txt line 8", "https://github.com/x/y.git cannot be fetched", "not found"]),
        ("pip", ["requirements.txt line 2 (torch==1.11.0): torch has no version 1.11.0 for Python 3.11"]),
        ("pip_build", ["requirements.txt line 7 (slowfruit): slowfruit cannot be built on Python 3.11",
         "Python.h: No such file", "apt-get install python3-dev"]),
        ("error: Distribution not found at: file:///app/nothere", ["/app/nothere is not there", "COPY it before"]),
        ("error: File not found: nofile.txt", ["nofile.txt is not there"]),
        ("error: Unexpected '=', expected '-c', '-e', '-r' or the start of a requirement: r2.txt:2:1",
         ["r2.txt line 2 cannot be read: Unexpected '='"]),
        ("error: something new\nnote: see above", ["uv failed: something new"]),
    ],
)  # fmt: skip
def test_an_installer_failure_names_the_line_the_reason_and_what_to_do(
    context: FailureContext, said: str, parts: list[str]
) -> None:
    text = explain_failure(SAID.get(said, said).splitlines(), context)
    for part in parts:
        assert part in text
    assert "note:" not in text
    assert "\n" not in text


def test_a_full_disk_is_recognised_in_the_installers_output() -> None:
    assert is_disk_full(["error: failed to write to file", "  cause: No space left on device (os error 28)"])
    assert is_disk_full(["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"])
    assert not is_disk_full(["error: (os error 2)"])
