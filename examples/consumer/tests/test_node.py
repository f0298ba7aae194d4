"""The tests in js/, run by Node against this test's own world."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

JS = Path(__file__).resolve().parents[1] / "js" / "figures.test.mjs"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_from_node(paperbanana):
    environment = os.environ | {"PAPERBANANA_URL": paperbanana.base_url, "PAPERBANANA_KEY": paperbanana.key}
    done = subprocess.run(["node", "--test", str(JS)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 2" in done.stdout or "pass 2" in done.stdout
