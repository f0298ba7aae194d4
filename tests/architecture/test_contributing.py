"""CONTRIBUTING.md, followed to the letter: its toy provider and its toy model family, typed into a copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = re.findall(r"^```\w+\n(# (\S+/\S+)\n.*?)^```", PAGE, re.M | re.S)
REGISTRATIONS = {
    "mocks/bananastand_mocks/providers.py": [
        ("NAMES = (", 'NAMES = ("fruitshop", '),
        (
            "        case _:\n",
            '        case "fruitshop":\n            from .fruitshop import FruitShop\n\n'
            "            return FruitShop()\n        case _:\n",
        ),
    ],
    "bananastand/diffusion/families/__init__.py": [
        ("from .flux import Flux\n", "from .flux import Flux\nfrom .pixel_art import PixelArt\n"),
        ('    "FluxPipeline": Flux,\n', '    "FluxPipeline": Flux,\n    "PixelArtPipeline": PixelArt,\n'),
    ],
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with the page's files in it, registered as the page says."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("bananastand", "mocks", "tests/support"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for text, path in FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for path, changes in REGISTRATIONS.items():
        text = (folder / path).read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, f"{path}: {old}"
            text = text.replace(old, new)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("test", "passed"), [("tests/mocks/test_fruitshop.py", 3), ("tests/diffusion/test_pixel_art.py", 1)]
)
def test_what_the_page_says_to_type_works(copy: Path, test: str, passed: int) -> None:
    paths = os.pathsep.join(str(copy / name) for name in (".", "mocks", "tests/support"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert f"{passed} passed" in done.stdout, done.stdout + done.stderr


def test_the_toy_provider_is_served_by_its_name(copy: Path) -> None:
    code = """
from starlette.testclient import TestClient
from bananastand_mocks import create_app

with TestClient(create_app("fruitshop")) as client:
    print(client.get("/fruits/cherry", headers={"X-Shop-Key": "shop-key"}).json()["price"])
    print("bananastand_mocks.fruitshop.fruits.get_fruit" in client.get("/docs").text)
    print(*client.get("/openapi.json").json()["paths"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(copy), str(copy / "mocks")))},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout == "0.1\nTrue\n/fruits/{name}\n", done.stderr
