"""The table of environment variables: its page is current, and it has every variable that the programs read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bananastand.platform.settings import default_data, list_gpus
from bananastand.settings import PROGRAMS
from tools.settings_page import PAGE, render

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = ("bananastand/cli", "bananastand/diffusion", "bananastand/serving", "bananastand/outbound.py")
READ = re.compile(r"""(?:os\.environ(?:\.get)?[(\[]|environ\.get\(|envvar=)"(BANANASTAND_[A-Z_]+)\"""")


def test_the_settings_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m tools.settings_page"


def test_every_variable_that_a_program_reads_is_in_the_table() -> None:
    files = [
        file for place in PUBLIC for file in ((ROOT / place).rglob("*.py") if "." not in place else [ROOT / place])
    ]
    names = {name for file in files for name in READ.findall(file.read_text(encoding="utf-8"))}

    assert "BANANASTAND_DEVICE" in names
    assert names <= {field.validation_alias for program in PROGRAMS for field in program.model_fields.values()}


def test_data_directory_is_the_named_one_or_lies_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/share")
    monkeypatch.setenv("BANANASTAND_DATA", "/data/stand")
    assert default_data() == Path("/data/stand")

    monkeypatch.setenv("BANANASTAND_DATA", "")
    assert default_data() == Path("/share/bananastand")


def test_an_empty_list_of_gpus_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, GPU-7,-1")
    assert list_gpus() == ("0", "GPU-7")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert list_gpus() == ()


def test_clients_do_not_import_pydantic_settings() -> None:
    code = "import sys, bananastand, bananastand.clients; sys.exit('pydantic_settings' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
