"""Every witness is accepted by every client method that could meet it, and keeps all its fields."""

from __future__ import annotations

from pathlib import Path

import pytest
import respx
import yaml

from examples import answers_of_documents
from witnesses import Witness, content_of, headers_of, is_kept, plain, read_with, witnesses

PAIRS = [
    pytest.param(witness, method, id=f"{witness.provider}.{method}: {witness.source}")
    for witness in witnesses()
    for method in witness.methods
]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("witness", "method"), PAIRS)
def test_a_witness_is_read_whole(witness: Witness, method: str, kind: str, caught: respx.MockRouter) -> None:
    caught.route().respond(200, content=content_of(witness), headers=headers_of(witness))

    result = read_with(witness, method, kind)

    assert is_kept(witness, method, result), plain(result)


def test_every_witness_names_its_source_and_how_it_knows() -> None:
    assert {witness.kind for witness in witnesses()} == {"document", "specification", "recording", "code"}
    assert [str(witness) for witness in witnesses() if len(witness.source) < 4 or not witness.methods] == []
    assert len({(str(witness), str(witness.body)) for witness in witnesses()}) == len(witnesses())


def test_every_answer_of_the_documents_is_a_witness() -> None:
    rows = yaml.safe_load((Path(__file__).parent / "documents.yaml").read_text(encoding="utf-8"))["witnesses"]

    assert [row["answer"] for row in rows] == [str(answer) for answer in answers_of_documents()]
