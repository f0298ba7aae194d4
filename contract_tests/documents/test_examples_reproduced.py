"""Every response that a document shows, reproduced: the document's command is sent to a mock with the document's data.

The response has the example's keys and types, and its values except those in DIFFERING. Of a list the first row is
compared, of a text with an ellipsis the part before it. Documents A and C show no responses.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from curl_commands import read
from examples import DIFFERING, answers_of_documents
from paper_pdf import paper
from snippets import Snippet, snippets

from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

PROVIDERS: dict[str, type[Provider]] = {"gobananas": GoBananasProvider, "paperbanana": PaperBananaProvider}
KEYS = {
    "sk_live_xxx": "sk_live_bananastand",
    "pb_your_api_key_here": "pb_" + "0" * 32,
    "YOUR_ADMIN_KEY": "admin-bananastand",
    "${PDF_B64}": base64.b64encode(paper()).decode(),
}


def sent(example: Snippet) -> Snippet:
    """The command before an answer, or the first one of its operation."""
    own = [snippet for snippet in snippets(example.provider, "curl") if snippet.operation == example.operation]
    before = [item for item in own if item.lines[0] < example.lines[0]]
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
    if not numbers:
        assert type(answer) is type(example), where
    if isinstance(example, str) and "..." in example:
        return set() if answer.startswith(example.partition("...")[0]) else {where}
    return set() if answer == example else {where}


@pytest.mark.parametrize("example", answers_of_documents(), ids=str)
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
