"""Hostile calls of hostile_corpus.py: a clear response of the provider within a second and 200 MB.

Each call's CPU time and additional memory are measured in a process of its own. Because CPU time doubles where other
work shares the core, a slow call is measured again, and the shortest of three times counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from paths import SUPPORT

SECONDS, MEGABYTES = 1.0, 200
EDIT = 2.0  # seconds for an edited picture: it is a new one of a megapixel, drawn


def calls(step: int) -> list[dict[str, Any]]:
    """Return the measurements of every `step`th call."""
    done = subprocess.run(
        [sys.executable, SUPPORT / "hostile_corpus.py", str(step)],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(SUPPORT), *sys.path))},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def overdue(found: list[dict[str, Any]]) -> list[str]:
    """Return the names of the calls that took too long."""
    return [item["name"] for item in found if item["seconds"] >= (EDIT if item["name"].endswith("edited") else SECONDS)]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_every_hostile_call_is_answered_clearly_soon_and_in_little_memory(step: int) -> None:
    found = calls(step)
    for item in found:
        assert item["megabytes"] < MEGABYTES, item
        assert item["status"] in (200, 202, 400, 401, 403, 404, 413, 422), item
        assert (item["error"] != "") == (item["status"] >= 400 or item["task"] == "failed"), item
    assert len(found) > 150 / step
    slow = set(overdue(found))
    for _ in range(2):
        slow = slow and slow.intersection(overdue(calls(step)))
    assert not slow, [item for item in found if item["name"] in slow]
    refused = {item["name"] for item in found if item["name"].startswith("upload") and item["status"] == 400}
    if step == 1:  # all others of 8K are taken
        assert refused == {"upload: 8K JPEG, progressive", "upload: WebP of more", "upload: longer PNG"}
