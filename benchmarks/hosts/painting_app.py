"""app.py with the engine's policy taken from POLICY."""

import os
import runpy
import sys
from pathlib import Path
from typing import Any

from bananastand.diffusion import Engine
from bananastand.diffusion.policy import POLICIES

_load = Engine.load
ROOT = Path(__file__).resolve().parents[2]


def load(*args: Any, **options: Any) -> Engine:
    return _load(*args, **options, policy=POLICIES[os.environ.get("POLICY", "shortest")])


Engine.load = load  # type: ignore[method-assign]
sys.argv = [str(ROOT / "app.py")]
runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
