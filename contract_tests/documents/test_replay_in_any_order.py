"""The curls of each document in shuffled orders, in one world: what one leaves behind does not break another.

A curl gets its success, or 404 where an earlier curl has deleted what it names.
"""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest
from paper_pdf import paper
from snippets import Snippet, snippets

import bananastand_mocks
from bananastand_mocks.running import Endpoint

SEEDS = (1, 2, 3)
DELETING = {
    "delete_image": {"get_image", "delete_image"},
    "delete_images": {"get_image", "delete_image"},
    "delete_key": {"get_key", "update_key"},
}
PLACEHOLDERS = {"MODEL_ID": "fal-ai/flux-pro", "INSTANCE_ID": "abc123"}  # as C:340 and C:363 say


def sent(example: Snippet, at: Endpoint, folder: Path) -> int:
    """The status that a snippet's curl gets, run by bash with host and keys replaced."""
    text = re.sub(r"https://[^/\s\"]+(/(bananadev|falai)(?=[/&?]))?", at.base_url, example.text)
    for name, value in PLACEHOLDERS.items():
        text = text.replace(f"={name}", f"={value}")
    for name, value in (("YOUR_API_TOKEN", at.key), ("sk_live_xxx", at.key), ("pb_your_api_key_here", at.key)):
        text = text.replace(name, value)
    text = text.replace("YOUR_ADMIN_KEY", at.admin_key)
    text = text.replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)
    done = subprocess.run(["bash", "-c", text], capture_output=True, timeout=60, cwd=folder)
    assert done.returncode == 0, text + done.stderr.decode()
    return int(done.stdout[-3:])


@pytest.mark.needs("bash", "curl", "base64")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("provider", ["bananadev", "falai", "gobananas", "paperbanana"])
def test_the_curls_of_a_document_work_in_any_order(provider: str, seed: int, tmp_path: Path) -> None:
    (tmp_path / "paper.pdf").write_bytes(paper())
    examples = snippets(provider, "curl")
    random.Random(seed).shuffle(examples)
    missing = set[str]()
    with bananastand_mocks.start(provider, kind="documents") as server:
        for example in examples:
            status, operation = sent(example, server.endpoint(provider), tmp_path), example.operation or ""
            assert (status == 404) if operation in missing else (200 <= status < 303), f"{example}: {status}"
            missing |= DELETING.get(operation, set())
        assert server.default.world.breaches == []
