"""What uv and pip say when they fail, as they say it, and what a user is told instead."""

from __future__ import annotations

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

RUST = """\
error: Failed to build `tokenizers==0.10.3`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

         [stdout]
         running build_rust

         [stderr]
         error: can't find Rust compiler

         If you are using an outdated pip version, it is possible a prebuilt wheel is available for this package
         error: subprocess-exited-with-error

hint: `tokenizers` (v0.10.3) was included because `transformers` (v4.11.3) depends on `tokenizers`"""
MECAB = """\
error: Failed to build `mecab-python3==0.996.1`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta:__legacy__.get_requires_for_build_wheel` failed (exit status: 1)

         [stderr]
         /bin/sh: 1: mecab-config: not found
         Traceback (most recent call last):
           File "<string>", line 27, in mecab_config
         IndexError: list index out of range

hint: Build failures usually indicate a problem with the package or the build environment"""
TORCH = """\
error: No solution found when resolving dependencies
  cause: Because torch==1.11.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you \
require torch==1.11.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.11 (`cp311`), but we only found wheels for `torch` (v1.11.0) with the following Python ABI \
tags: `cp37m`, `cp38`, `cp39`, `cp310`"""
GIT = """\
   Updating https://github.com/x/y.git (HEAD)
error: Git operation failed
  cause: failed to clone into: /root/.cache/uv/git-v2/db/36c1e61c0b17d7ac
  cause: process didn't exit successfully: `/usr/bin/git fetch --force 'https://github.com/x/y.git' '+HEAD'` (exit: 128)
         --- stderr
         fatal: repository 'https://github.com/x/y.git/' not found"""
PIP = """\
Collecting torch==1.11.0
ERROR: Could not find a version that satisfies the requirement torch==1.11.0 (from versions: 1.13.0, 1.13.1, 2.0.0)
ERROR: No matching distribution found for torch==1.11.0"""
PIP_BUILD = """\
  error: subprocess-exited-with-error
  × python setup.py bdist_wheel did not run successfully.
  │ exit code: 1
      gcc -O2 -Iinclude -c src/a.c -o a.o
      src/a.c:1:10: fatal error: Python.h: No such file or directory
      error: command '/usr/bin/gcc' failed with exit code 1
  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for slowfruit
ERROR: Failed to build installable wheels for some pyproject.toml based projects (slowfruit)
note: this is an issue with the package"""


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
        (RUST, ["requirements.txt line 1 (transformers==4.11.3): tokenizers 0.10.3 has no wheel for Python 3.11",
                "it has wheels for Python 3.6-3.9", "can't find Rust compiler", "apt-get install cargo rustc",
                '[build] python = "3.9"']),
        (MECAB, ["requirements.txt line 6 (mecab-python3==0.996.1): mecab-python3 0.996.1 cannot be built",
                 "mecab-config: not found", "apt-get install libmecab-dev mecab"]),
        (TORCH, ["requirements.txt line 2 (torch==1.11.0): torch 1.11.0 has no wheel for Python 3.11",
                 "it has for 3.7-3.10"]),
        (GIT, ["requirements.txt line 8", "https://github.com/x/y.git cannot be fetched", "not found"]),
        (PIP, ["requirements.txt line 2 (torch==1.11.0): torch has no version 1.11.0 for Python 3.11"]),
        (PIP_BUILD, ["requirements.txt line 7 (slowfruit): slowfruit cannot be built on Python 3.11",
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
    text = explain_failure(said.splitlines(), context)
    for part in parts:
        assert part in text
    assert "note:" not in text
    assert "\n" not in text


def test_a_full_disk_is_recognised_in_the_installers_output() -> None:
    assert is_disk_full(["error: failed to write to file", "  cause: No space left on device (os error 28)"])
    assert is_disk_full(["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"])
    assert not is_disk_full(["error: (os error 2)"])
