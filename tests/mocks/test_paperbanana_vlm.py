"""PaperBanana with a brain: a local stand-in for a server of OpenAI's API is asked, and its failures are the task's."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bananastand_mocks.drawing.figures import FigureError
from bananastand_mocks.drawing.figures.diagrams.graph_json import read_graph
from bananastand_mocks.paperbanana import PaperBananaProvider
from bananastand_mocks.paperbanana.vlm import OpenAIVlm, Question, VlmError, configured
from in_process import InProcess

KEY = {"authorization": "Bearer pb_" + "0" * 32}
ADMIN = {"authorization": "Bearer admin-bananastand"}
DIAGRAM = {"source_context": "A reader reads.", "caption": "Figure 1: Reading"}
PLOT = {"data_json": '{"model": ["a", "b"], "accuracy": [1, 2]}', "intent": "whatever fits"}
GRAPH = {
    "boxes": [{"label": "Corpus", "kind": "data"}, {"label": "Reranker", "kind": "model", "details": ["12 layers"]}],
    "arrows": [{"source": 0, "target": 1, "label": "passages"}],
    "frames": [{"title": "Online", "members": [1]}],
}


class Fake:
    """Answers chat completions with these texts in turn, the last for good, and keeps what it was asked."""

    def __init__(self, server: HTTPServer, *texts: str, at: str = "/v1") -> None:
        self.url = server.url_for(at)
        self.texts = list(texts)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        server.expect_request(f"{at}/chat/completions", method="POST").respond_with_handler(self.take)

    def take(self, request: Request) -> Response:
        self.requests.append(request.get_json())
        self.keys.append(request.headers.get("Authorization"))
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        completion = {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": text}}]}
        return Response(json.dumps(completion), content_type="application/json")


def mock(*urls: str, **environ: str) -> InProcess:
    return InProcess(PaperBananaProvider(vlm=configured(urls, environ)), kind="empty")


def submit(send: InProcess, path: str, **body: Any) -> str:
    answer = send("POST", f"/api/{path}", headers=KEY, json=body)
    assert answer.status_code == 202, answer.text
    send.world.clock.advance(1)
    return answer.json()["task_id"]


def task(send: InProcess, name: str) -> dict[str, Any]:
    return send("GET", f"/api/tasks/{name}", headers=KEY).json()


def test_a_diagram_shows_what_the_brain_read_and_saw(httpserver: HTTPServer):
    better = {**GRAPH, "boxes": [*GRAPH["boxes"], {"label": "Answer"}]}
    fake = Fake(httpserver, f"```json\n{json.dumps(GRAPH)}\n```", json.dumps(better), '{"done": true}')
    send = mock(fake.url, BANANASTAND_VLM_KEY="sk-brain")
    name = submit(send, "generate", **DIAGRAM, iterations=8)
    status = task(send, name)

    assert status["status"] == "completed"
    assert "3 boxes and 1 arrow" in status["description"]
    assert "Corpus -> Reranker (passages)" in status["description"]
    assert len(fake.requests) == 3  # the first reading, a look, a look that finds nothing
    assert set(fake.keys) == {"Bearer sk-brain"}
    assert {body["model"] for body in fake.requests} == {"gemini-2.0-flash"}
    first, second, _ = (body["messages"][1]["content"] for body in fake.requests)
    assert "A reader reads." in first
    picture = second[1]["image_url"]["url"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert "Reranker" in second[0]["text"]

    httpserver.stop()  # what was drawn once is drawn again without asking
    fresh = InProcess(PaperBananaProvider(), kind="empty")
    row = send.world.table("paperbanana.tasks")[name]
    fresh.world.table("paperbanana.tasks")[name] = json.loads(json.dumps(row))
    assert task(fresh, name) == status
    httpserver.start()


def test_one_iteration_is_one_question(httpserver: HTTPServer):
    fake = Fake(httpserver, json.dumps(GRAPH))
    send = mock(fake.url)
    submit(send, "generate", **DIAGRAM, iterations=1)
    assert (len(fake.requests), fake.keys) == (1, [None])


def test_a_plot_follows_the_intent_that_the_brain_made_of_it(httpserver: HTTPServer):
    fake = Fake(httpserver, '{"intent": "Line plot with a legend"}', '{"done": true}')
    send = mock(fake.url)
    assert "line plot" in task(send, submit(send, "plot", **PLOT))["description"]
    assert PLOT["data_json"] in fake.requests[0]["messages"][1]["content"]


def test_a_prompt_is_the_brains_text_and_a_composite_asks_nobody(httpserver: HTTPServer):
    fake = Fake(httpserver, "  Draw two boxes, Corpus and Reranker.\n")
    send = mock(fake.url)
    status = task(send, submit(send, "optimize-prompt", description="two boxes"))
    assert (status["description"], status["artifacts"]) == ("Draw two boxes, Corpus and Reranker.", {})
    fake.texts = ['{"intent": "bars"}']
    panels = [submit(send, "plot", **PLOT, iterations=1) for _ in range(2)]
    request_count = len(fake.requests)
    assert task(send, submit(send, "composite", source_task_ids=panels))["status"] == "completed"
    assert len(fake.requests) == request_count


def test_a_request_chooses_provider_and_model(httpserver: HTTPServer):
    kie, other = Fake(httpserver, json.dumps(GRAPH), at="/kie"), Fake(httpserver, json.dumps(GRAPH), at="/other")
    send = mock(other.url, f"kie={kie.url}", BANANASTAND_VLM_KEY="general", BANANASTAND_VLM_KEY_KIE="theirs")
    submit(send, "generate", **DIAGRAM, iterations=1, vlm_provider="kie", vlm_model="gemini-2.5-flash")
    submit(send, "generate", **DIAGRAM, iterations=1, vlm_provider="openrouter")
    submit(send, "generate", **DIAGRAM, iterations=1)
    assert [(body["model"], key) for body, key in zip(kie.requests, kie.keys, strict=True)] == [
        ("gemini-2.5-flash", "Bearer theirs")
    ]
    assert other.keys == ["Bearer general"] * 2

    refused = send("POST", "/api/generate", headers=KEY, json={**DIAGRAM, "vlm_provider": "openai"})
    assert (refused.status_code, refused.json()["detail"]) == (
        422, "Unknown VLM provider: openai. Available: apimart, gemini, kie, openrouter")  # fmt: skip
    assert send("POST", "/api/generate", headers=KEY, json={**DIAGRAM, "vlm_model": 1}).status_code == 422

    alone = mock(f"kie={kie.url}")
    status = task(alone, submit(alone, "generate", **DIAGRAM, vlm_provider="gemini"))
    assert (status["status"], status["error"]) == ("failed", "VLM provider gemini is not configured on this server")


def broken(status: int, body: str) -> Callable[[HTTPServer], str]:
    def serve(server: HTTPServer) -> str:
        server.expect_request("/v1/chat/completions").respond_with_data(body, status, content_type="application/json")
        return server.url_for("/v1")

    return serve


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (broken(401, '{"error": {"message": "Incorrect API key provided: sk-brain"}}'),
         "the VLM answered 401: Incorrect API key provided: [redacted]"),
        (broken(429, '{"error": "slow\\n down"}'), "the VLM answered 429: slow down"),
        (broken(503, "<html>"), "the VLM answered 503"),
        (broken(302, ""), "the VLM answered 302"),
        (broken(200, "{}"), "the VLM answered without a text"),
        (broken(200, '{"choices": []}'), "the VLM answered without a text"),
        (broken(200, '{"choices": [{"message": {"content": null}}]}'), "the VLM answered without a text"),
        (broken(200, '{"choices": [{"message": {"content": "I cannot"}}]}'),
         "The VLM's answer is no JSON object: I cannot"),
        (broken(200, '{"choices": [{"message": {"content": "{\\"boxes\\": []}"}}]}'),
         "The VLM's answer is no diagram: there are no boxes"),
        (lambda server: "http://127.0.0.1:9/v1", "the VLM does not answer: ConnectError"),
    ],
)  # fmt: skip
def test_what_goes_wrong_with_the_brain_fails_the_task(
    serve: Callable[[HTTPServer], str], error: str, httpserver: HTTPServer
):
    send = mock(serve(httpserver), BANANASTAND_VLM_KEY="sk-brain")
    name = submit(send, "generate", **DIAGRAM, webhook_url="http://127.0.0.1:9/")
    status = task(send, name)
    assert (status["status"], status["error"], status["artifacts"]) == ("failed", error, {})
    assert send("GET", f"/api/tasks/{name}/image", headers=KEY).status_code == 404
    history = send("GET", f"/api/admin/history/{name}", headers=ADMIN).json()
    assert (history["status"], history["webhook_attempts"]) == ("failed", 1)


def test_a_brain_that_takes_too_long_fails_the_task(httpserver: HTTPServer):
    httpserver.expect_request("/v1/chat/completions").respond_with_handler(lambda _: time.sleep(2) or Response())
    vlm = OpenAIVlm({"": httpserver.url_for("/v1")}, timeout=0.5)
    send = InProcess(PaperBananaProvider(vlm=vlm), kind="empty")
    assert task(send, submit(send, "generate", **DIAGRAM))["error"] == "the VLM does not answer: ReadTimeout"


@pytest.mark.parametrize(
    "document",
    [
        {"boxes": [{"label": ""}]},
        {"boxes": [{"label": 1}]},
        {"boxes": [{"label": "a", "kind": "beast"}]},
        {"boxes": [{"label": "a", "details": "b"}]},
        {"boxes": "a"},
        {"boxes": [1]},
        {"boxes": [{"label": "a"}] * 31},
        {"boxes": [{"label": "a"}], "arrows": [{"source": 0, "target": 1}]},
        {"boxes": [{"label": "a"}], "arrows": [{"source": 0, "target": True}]},
        {"boxes": [{"label": "a"}], "arrows": [{"source": -1, "target": 0}]},
        {"boxes": [{"label": "a"}], "arrows": [{"source": 0, "target": 0, "label": [1]}]},
        {"boxes": [{"label": "a"}], "frames": [{"title": "b", "members": ["a"]}]},
        {"boxes": [{"label": "a"}], "frames": [{}] * 5},
    ],
)
def test_a_graph_that_is_none_is_refused(document: dict[str, Any]):
    with pytest.raises(FigureError):
        read_graph(document)


def test_a_brain_is_configured_by_option_or_environment_and_off_without_either():
    assert configured((), {}) is None
    assert configured((), {"BANANASTAND_VLM_KEY": "alone"}) is None
    assert configured((), {"BANANASTAND_VLM_URL": "https://a.example/v1, kie=https://b.example"}) is not None
    assert configured(["https://a.example/v1?x=y"], {}) is not None
    for wrong in ("openai=https://a.example", "ftp://a.example", "a.example", "kie=", "http://[", "http://a:99999"):
        with pytest.raises(ValueError, match="is no"):
            configured([wrong], {})
    with pytest.raises(VlmError, match="VLM provider gemini is not configured"):
        OpenAIVlm({"kie": "http://127.0.0.1:9"}).ask(Question("", "", provider="gemini"))
