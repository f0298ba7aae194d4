"""Where the checkout, its tests' helpers and its packages are."""

from __future__ import annotations

import os
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
# What PYTHONPATH must hold for a child process that imports our packages and these helpers.
PATHS = os.pathsep.join(map(str, (SUPPORT, ROOT, ROOT / "mocks")))
