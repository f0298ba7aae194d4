"""Every witness is accepted by every client method that could meet it, and keeps all its fields."""

from __future__ import annotations

import pytest
import respx

from witnesses import Witness, content_of, is_kept, plain, read_with, witnesses

PAIRS = [
    pytest.param(witness, method, id=f"{witness.provider}.{method}: {witness.source}")
    for witness in witnesses()
    for method in witness.methods
]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("witness", "method"), PAIRS)
def test_a_witness_is_read_whole(witness: Witness, method: str, kind: str, caught: respx.MockRouter) -> None:
    headers = {"content-type": "application/json"} if witness.enveloped else {}
    caught.route().respond(200, content=content_of(witness), headers=headers)

    result = read_with(witness, method, kind)

    assert is_kept(witness, method, result), plain(result)
