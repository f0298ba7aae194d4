"""Every curl of the documents, sent to a mock with the documents' data, gets its success response.

Host and token are replaced, and MODEL_ID and INSTANCE_ID as C:340 and C:363 say. The base URL redirects (A:159). Every
response is checked against the contract.
"""

from __future__ import annotations

import pytest
from snippets import Snippet, read_curl, snippets

from bananastand_mocks.bananadev import BananaDevUpstream
from bananastand_mocks.falai import FalAIUpstream
from bananastand_mocks.lowcodeapi.gateway import Gateway
from bananastand_mocks.lowcodeapi.upstream import Upstream
from in_process import InProcess

TOKEN = "at_r0123456789abcdef0123456789abcdef"
REPLACED = {"YOUR_API_TOKEN": TOKEN, "MODEL_ID": "fal-ai/flux-pro", "INSTANCE_ID": "abc123"}
UPSTREAMS: dict[str, type[Upstream]] = {"bananadev": BananaDevUpstream, "falai": FalAIUpstream}


@pytest.mark.parametrize("example", [snippet for name in UPSTREAMS for snippet in snippets(name, "curl")], ids=str)
def test_a_curl_gets_its_success_answer(example: Snippet):
    text = example.text
    for placeholder, value in REPLACED.items():
        text = text.replace(f"={placeholder}", f"={value}")
    request = read_curl(text)
    send = InProcess(Gateway(UPSTREAMS[example.provider]()), kind="documents")
    answer = send(request.method, request.target, **({"json": request.body} if request.body else {}))
    if example.operation == "get_base":
        assert answer.status_code == 302
        assert answer.headers["location"] == "https://lowcodeapi.com?redirected_from=mock/bananadev"
    else:
        assert answer.status_code == 200
        assert answer.json()["provider"] == example.provider
    assert send.world.breaches == []


@pytest.mark.parametrize(
    "steps", [["C:337", "C:341", "C:345"], ["C:355", "C:364", "C:368", "C:372"], ["C:382", "C:386", "C:390"]], ids=str
)
def test_the_steps_of_an_example_work_one_after_another(steps: list[str]):
    by_line = {str(snippet): snippet for snippet in snippets("falai", "curl")}
    send = InProcess(Gateway(FalAIUpstream()), kind="documents")
    found = {"YOUR_API_TOKEN": TOKEN}
    assert steps
    for step in steps:
        text = by_line[step].text
        for placeholder, value in found.items():
            text = text.replace(f"={placeholder}", f"={value}")
        request = read_curl(text)
        assert "MODEL_ID" not in request.target
        assert "INSTANCE_ID" not in request.target
        answer = send(request.method, request.target, **({"json": request.body} if request.body else {}))
        assert answer.status_code == 200
        result = answer.json()["result"]
        if "models" in result:
            found["MODEL_ID"] = result["models"][0]["endpoint_id"]
        if "id" in result:
            found["INSTANCE_ID"] = result["id"]
