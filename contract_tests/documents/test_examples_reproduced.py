"""Every answer that a document shows, got from the mock: its command is sent in the documents world.

The answer has the example's keys and kinds of values throughout, and its values but where DIFFERING says. A list is
compared by its first row, and a text with an ellipsis by what stands before that. Documents A and C show no answers.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from curls import read
from paper_pdf import paper
from snippets import Snippet, snippets

from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

PROVIDERS: dict[str, type[Provider]] = {"gobananas": GoBananas, "paperbanana": PaperBanana}
KEYS = {
    "sk_live_xxx": "sk_live_bananastand",
    "pb_your_api_key_here": "pb_" + "0" * 32,
    "YOUR_ADMIN_KEY": "admin-bananastand",
    "${PDF_B64}": base64.b64encode(paper()).decode(),
}
TASK = {"task_id"}
DIFFERING: dict[str, set[str]] = {
    "B:90": {"images.0.id", "images.0.url", "images.0.thumbnail_url", "images.0.size_bytes", "session_id"},
    "B:132": {"images.0.url", "images.0.thumbnail_url", "pagination.limit", "pagination.total", "pagination.has_more"},
    "B:202": {"sessions.0.total_images", "sessions.0.total_edits"},
    "B:241": {"daily.0.date", "daily.0.images", "daily.0.edits", "daily.0.size_mb"},
    "D:110": TASK,
    "D:233": TASK,
    "D:310": TASK,
    "D:371": TASK,
    "D:460": TASK,
    "D:632": {"description", *(f"artifacts.{kind}.download_url" for kind in ("png", "svg", "pdf"))},
    "D:731": {"key", "created_at", "webhook_url"},
}


def shown() -> list[Snippet]:
    return [each for name in PROVIDERS for each in snippets(name, "response", "answer", "error") if each.text[0] in "{["
            and each.operation is not None]  # fmt: skip


def sent(example: Snippet) -> Snippet:
    """The command before an answer, or the first one of its operation."""
    own = [each for each in snippets(example.provider, "curl") if each.operation == example.operation]
    before = [each for each in own if each.lines[0] < example.lines[0]]
    return before[-1] if before else own[0]


def differing(example: Any, answer: Any, where: str = "") -> set[str]:
    """The places whose values differ. Fails where the kinds do."""
    if isinstance(example, dict):
        assert isinstance(answer, dict), where
        assert set(example) <= set(answer), where
        return {
            place for key in example for place in differing(example[key], answer[key], f"{where}.{key}".lstrip("."))
        }
    if isinstance(example, list):
        assert isinstance(answer, list), where
        assert bool(answer) == bool(example), where
        return differing(example[0], answer[0], f"{where}.0".lstrip(".")) if example else set()
    assert isinstance(answer, bool) == isinstance(example, bool), where
    if example is None or answer is None:
        return set() if answer == example else {where}
    numbers = isinstance(example, int | float) and isinstance(answer, int | float)
    assert numbers or type(answer) is type(example), where
    if isinstance(example, str) and "..." in example:
        return set() if answer.startswith(example.partition("...")[0]) else {where}
    return set() if answer == example else {where}


@pytest.mark.parametrize("example", shown(), ids=str)
def test_an_answer_of_a_document_is_what_the_mock_answers(example: Snippet) -> None:
    text = sent(example).text
    for placeholder, value in KEYS.items():
        text = text.replace(placeholder, value)
    request = read(text.partition("\n")[2] if text.startswith("PDF_B64=") else text)
    send = InProcess(PROVIDERS[example.provider](), kind="documents")

    answer = send(
        request.method,
        request.target,
        headers=request.headers,
        content=None if request.body is None else json.dumps(request.body).encode(),
    )

    assert answer.status_code < 300
    assert differing(json.loads(example.text), answer.json()) == DIFFERING.get(str(example), set())
