"""What PaperBanana's brain is asked and what is made of its answers, without one: every question is caught."""

from __future__ import annotations

from typing import Any

import pytest

from bananastand_mocks import forward
from bananastand_mocks.paperbanana import PaperBananaProvider, vlm, vlm_planner
from bananastand_mocks.paperbanana.vlm import OpenAIVlm, Question, VlmError
from bananastand_mocks.paperbanana.vlm_planner import VlmPlanner
from in_process import InProcess

URL = "https://vlm.test/v1"
TOLD = {"choices": [{"message": {"content": "a text"}}]}


class Asked:
    """In the place of `forward.post`: keeps what is sent and gives one answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: int = 200, json: Any = TOLD) -> None:
        self.sent, self.status, self.json = list[Any](), status, json
        monkeypatch.setattr(forward, "post", self)

    async def __call__(self, url: str, **words: Any) -> forward.AppResponse:
        self.sent.append((url, words))
        if isinstance(self.json, Exception):
            raise self.json
        return forward.AppResponse(self.status, "application/json", b"", self.json)


def ask(question: Question | None = None, **options: Any) -> str:
    return OpenAIVlm({"": URL, "kie": "https://kie.test/"}, **options).ask(question or Question("be brief", "what?"))


def test_a_question_as_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)

    assert ask(keys={"": "hush"}) == "a text"
    assert asked.sent == [
        (
            "https://vlm.test/v1/chat/completions",
            {
                "json": {
                    "model": "gemini-2.0-flash",
                    "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what?"}],
                },
                "headers": {"authorization": "Bearer hush"},
                "timeout": 120.0,
            },
        )
    ]


def test_a_picture_goes_with_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    ask(Question("be brief", "what?", b"\x89PNG", "kie", "large"), keys={"kie": "k", "": "hush"}, timeout=3.0)

    ((url, words),) = asked.sent
    assert (url, words["headers"], words["timeout"]) == (
        "https://kie.test/chat/completions", {"authorization": "Bearer k"}, 3.0,
    )  # fmt: skip
    assert words["json"]["model"] == "large"
    assert words["json"]["messages"][1]["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
    ]


def test_who_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    ask(Question("", "", provider="gemini"))
    only = OpenAIVlm({"kie": "https://kie.test"}, model="own")
    only.ask(Question("", ""))
    with pytest.raises(VlmError, match=r"^VLM provider gemini is not configured on this server$"):
        only.ask(Question("", "", provider="gemini"))

    assert [url for url, _ in asked.sent] == [f"{URL}/chat/completions", "https://kie.test/chat/completions"]
    assert asked.sent[1][1]["json"]["model"] == "own"
    assert asked.sent[1][1]["headers"] == {}


@pytest.mark.parametrize(
    ("status", "json", "told"),
    [
        (201, TOLD, "the VLM answered 201"),
        (400, {"error": {"message": "no\n such model"}}, "the VLM answered 400: no such model"),
        (401, {"error": "bad key hush"}, "the VLM answered 401: bad key [redacted]"),
        (404, {"message": "not here"}, "the VLM answered 404: not here"),
        (500, None, "the VLM answered 500"),
        (500, {"error": {"message": 5}}, "the VLM answered 500"),
        (500, {"error": {"message": "x" * 301}}, f"the VLM answered 500: {'x' * 300}"),
        (200, {}, "the VLM answered without a text"),
        (200, {"choices": []}, "the VLM answered without a text"),
        (200, {"choices": [{"message": {"content": " \n"}}]}, "the VLM answered without a text"),
        (200, {"choices": [{"message": {"content": 5}}]}, "the VLM answered without a text"),
        (200, [], "the VLM answered without a text"),
        (200, forward.AppUnreachable("ConnectError"), "the VLM does not answer: ConnectError"),
    ],
)
def test_what_goes_wrong(status: int, json: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Asked(monkeypatch, status, json)

    with pytest.raises(VlmError) as caught:
        ask(keys={"": "hush"})
    assert str(caught.value) == told


def test_an_answer_is_read_so_far_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    Asked(monkeypatch, json={"choices": [{"message": {"content": "x" * 200_001}}, {"message": {"content": "second"}}]})

    assert ask() == "x" * 200_000


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("nobody=https://vlm.test", "'nobody' is no VLM provider; there are gemini, openrouter, kie, apimart"),
        ("ftp://vlm.test", "'ftp://vlm.test' is no base URL such as https://openrouter.ai/api/v1"),
        ("kie=vlm.test", "'vlm.test' is no base URL such as https://openrouter.ai/api/v1"),
        ("https://", "'https://' is no base URL such as https://openrouter.ai/api/v1"),
        ("https://vlm.test:0", "'https://vlm.test:0' is no base URL such as https://openrouter.ai/api/v1"),
        ("https://vlm.test:x", "'https://vlm.test:x' is no base URL such as https://openrouter.ai/api/v1"),
    ],
)
def test_an_entry_that_is_none(entry: str, told: str) -> None:
    with pytest.raises(ValueError, match="is no ") as caught:
        vlm.configured([entry], {})
    assert str(caught.value) == told


def test_where_a_brain_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    named = {"BANANASTAND_VLM_URL": "https://a.test/v1/, kie=https://b.test?x=1", "BANANASTAND_VLM_KEY": "all",
             "BANANASTAND_VLM_KEY_KIE": "own"}  # fmt: skip
    found = vlm.configured([], named)
    assert found is not None
    for provider in (None, "kie", "gemini"):
        found.ask(Question("", "", provider=provider))
    assert [(url, words["headers"]["authorization"]) for url, words in asked.sent] == [
        ("https://a.test/v1/chat/completions", "Bearer all"),
        ("https://b.test?x=1/chat/completions", "Bearer own"),
        ("https://a.test/v1/chat/completions", "Bearer all"),
    ]
    assert vlm.configured([], {}) is None
    assert vlm.configured([], {"BANANASTAND_VLM_URL": " "}) is None
    own = vlm.configured(["https://c.test"], named, model="m")
    assert own is not None
    own.ask(Question("", ""))
    assert (asked.sent[-1][0], asked.sent[-1][1]["json"]["model"]) == ("https://c.test/chat/completions", "m")


# What it is asked of a task --------------------------------------------------------------------------------------


class Answers:
    """A brain that says one thing after the other."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), list[Question]()

    def ask(self, question: Question) -> str:
        self.asked.append(question)
        return self.answers.pop(0)


GRAPH = '{"boxes": [{"label": "Encoder", "kind": "model", "details": []}], "arrows": [], "frames": []}'
DIAGRAM: dict[str, Any] = {"kind": "diagram", "source_context": "x" * 60_001, "caption": "c" * 1001}
PLOT: dict[str, Any] = {"kind": "plot", "intent": "i" * 4001, "data_json": "9" * 8001}


def think(answers: Answers, recipe: dict[str, Any], iterations: int) -> dict[str, Any]:
    drawn = VlmPlanner(answers, lambda planned: b"drawn")
    return drawn.think(recipe, iterations=iterations, provider="kie", model="large")


def test_of_a_diagram_so_much_is_sent() -> None:
    answers = Answers(GRAPH)

    found = think(answers, DIAGRAM, 1)

    assert found["graph"]["boxes"][0]["label"] == "Encoder"
    (question,) = answers.asked
    assert (question.system, question.image, question.provider, question.model) == (
        vlm_planner.SYSTEM,
        None,
        "kie",
        "large",
    )
    assert question.text.count("x" * 60_000) == 1
    assert "x" * 60_001 not in question.text
    assert question.text.count("c" * 1000) == 1
    assert "c" * 1001 not in question.text


def test_of_a_plot_so_much_is_sent_and_kept() -> None:
    answers = Answers(f'{{"intent": "{"b" * 4001}"}}')

    found = think(answers, PLOT, 1)

    assert found["intent"] == "b" * 4000
    (question,) = answers.asked
    assert ("i" * 4000 in question.text, "i" * 4001 in question.text) == (True, False)
    assert ("9" * 8000 in question.text, "9" * 8001 in question.text) == (True, False)


def test_each_further_iteration_shows_the_picture_until_it_is_content() -> None:
    answers = Answers('{"intent": "one"}', '{"intent": "two"}', '```json\n{"done": true}\n```', '{"intent": "never"}')

    found = think(answers, PLOT, 9)

    assert found["intent"] == "two"
    first, second, third = answers.asked
    assert (first.image, second.image, third.image) == (None, b"drawn", b"drawn")
    assert second.text.startswith(f'{first.text}\n\nThis is the figure that was drawn from {{"intent": "one"}}\n')
    assert third.text.startswith(f'{first.text}\n\nThis is the figure that was drawn from {{"intent": "two"}}\n')


def test_as_many_questions_as_iterations() -> None:
    answers = Answers(*[f'{{"intent": "{each}", "done": false}}' for each in range(5)])

    assert think(answers, PLOT, 3)["intent"] == "2"
    assert len(answers.asked) == 3


def test_a_prompt_is_edited_and_a_composite_left_alone() -> None:
    answers = Answers("  better \n")
    recipe = {"kind": "prompt", "diagram_type": "statistical_plot", "prompt": "p" * 60_001, "source_context": None,
              "caption": "c" * 1001, "guidelines": "g" * 60_001}  # fmt: skip

    assert think(answers, recipe, 3) == {**recipe, "text": "better"}
    (question,) = answers.asked
    assert question.system == vlm_planner.EDITOR
    assert "of a statistical plot figure" in question.text
    assert "Context: none\n" in question.text
    for letter, most in (("p", 60_000), ("c", 1000), ("g", 60_000)):
        assert (letter * most in question.text, letter * (most + 1) in question.text) == (True, False)
    assert think(answers, {"kind": "composite"}, 3) == {"kind": "composite"}


@pytest.mark.parametrize(
    ("recipe", "answer", "told"),
    [
        (PLOT, "no idea", "The VLM's answer is no JSON object: no idea"),
        (PLOT, "{" + "x " * 99, f"The VLM's answer is no JSON object: {('{' + 'x ' * 99)[:80]}"),
        (PLOT, "[1]", "The VLM's answer is no JSON object: [1]"),
        (PLOT, '{"intent": 5}', "The VLM's answer has no intent"),
        (PLOT, "{}", "The VLM's answer has no intent"),
    ],
)
def test_an_answer_that_is_none(recipe: dict[str, Any], answer: str, told: str) -> None:
    with pytest.raises(VlmError) as caught:
        think(Answers(answer), recipe, 1)
    assert str(caught.value) == told


@pytest.mark.parametrize("around", ["{}x", "x{}", "```json{}```", "\n{}\n"])
def test_an_object_is_found_in_what_is_said_around_it(around: str) -> None:
    answer = around.replace("{}", '{"intent": "one"}')

    assert think(Answers(answer), PLOT, 1)["intent"] == "one"


def test_a_graph_that_is_none() -> None:
    with pytest.raises(VlmError, match=r"^The VLM's answer is no diagram: "):
        think(Answers('{"boxes": []}'), DIAGRAM, 1)


@pytest.mark.parametrize("asked", [Answers(), None])
def test_thinking_has_a_queue_of_its_own(asked: Answers | None) -> None:
    provider = PaperBananaProvider(vlm=asked)
    call = InProcess(provider, kind="empty", headers={"authorization": f"Bearer pb_{'0' * 32}"})
    call.world.tasks.finish_after_seconds(10)
    task = call("POST", "/api/plot", json={"data_json": "[1, 2]", "intent": "bars"}).json()["task_id"]

    errand = provider.workshop._finish(call.world, {"task_id": task})

    assert errand is not None
    assert errand.lane is (provider.workshop.renderer.lane if asked is None else provider.workshop.thinking)
