"""PaperBanana at its boundaries: layouts, keys, quotas, the time of a task and pages of the history, over HTTP.

The clock starts at 2026-01-01T00:00:00Z.
"""

from __future__ import annotations

from typing import Any

import pytest

from bananastand_mocks.paperbanana import PaperBananaProvider
from bananastand_mocks.paperbanana.vlm import Question, VlmError
from paperbanana_caller import KEY, PaperBananaCaller, refusal

TWO = {"source_task_ids": ["task_a", "task_b"]}


@pytest.fixture
def call() -> PaperBananaCaller:
    return PaperBananaCaller("empty")


def test_a_task_is_json(call: PaperBananaCaller) -> None:
    answer = call("GET", f"/api/tasks/{call.submit()}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


# Requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2", "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '2'"),
        ("2x0", "Layout rows and cols must be >= 1. Got: 2x0"),
        ("-1x2", "Layout rows and cols must be >= 1. Got: -1x2"),
        ("01x2", "layout: String should match RxC"),
    ],
)
def test_a_layout_of_another_form_is_refused(layout: str, text: str) -> None:
    assert refusal(PaperBananaCaller("documents")("POST", "/api/composite", {**TWO, "layout": layout})) == (422, text)


@pytest.mark.parametrize("layout", ["AUTO", "1x2", "2X3"])
def test_a_layout_is_read_in_either_case(layout: str) -> None:
    assert PaperBananaCaller("documents")("POST", "/api/composite", {**TWO, "layout": layout}).status_code == 202


def test_a_composite_has_a_hundred_panels_at_most() -> None:
    def compose(panels: int) -> Any:
        body = {"source_task_ids": ["task_a"] * panels, "labels": [f"({number})" for number in range(panels)]}
        return PaperBananaCaller("documents")("POST", "/api/composite", body)

    assert compose(100).status_code == 202
    assert refusal(compose(101)) == (422, "source_task_ids: List should have at most 100 items")


@pytest.mark.parametrize("data", ["{}", "[1, 2]", "5", '"text"', "null"])
def test_data_json_takes_any_json(data: str, call: PaperBananaCaller) -> None:
    assert call("POST", "/api/plot", {"data_json": data, "intent": "bars"}).status_code == 202


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 500 + "]" * 500, "nested too deeply"),
    ],
)
def test_invalid_data_json_is_refused_with_the_parsers_reason(data: str, text: str, call: PaperBananaCaller) -> None:
    refused = call("POST", "/api/plot", {"data_json": data, "intent": "bars"})

    assert refusal(refused) == (422, f"Invalid JSON in data_json: {text}")


def test_an_unknown_vlm_provider_is_quoted_in_part(call: PaperBananaCaller) -> None:
    refused = call("POST", "/api/plot", {"data_json": "[1]", "intent": "bars", "vlm_provider": "x" * 101})

    assert refusal(refused) == (
        422,
        f"Unknown VLM provider: {'x' * 100}. Available: apimart, gemini, kie, openrouter",
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("label_position", "label_position must be one of: top, bottom"),
        ("spacing", "spacing: Input should be a valid integer"),
        ("webhook_include_image", "webhook_include_image: Input should be a valid boolean"),
    ],
)
def test_a_field_of_another_kind_is_named(name: str, text: str) -> None:
    assert refusal(PaperBananaCaller("documents")("POST", "/api/composite", {**TWO, name: "left"})) == (422, text)


# Keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_found_by_a_mask_only_if_it_fits_one_key(call: PaperBananaCaller) -> None:
    key = call.new_key()
    assert call.detail(f"{key[:9]}...")["name"] == "team"
    for other in (f"{key[:8]}...", f"{key[:10]}...", key[:9], "..."):
        assert refusal(call("GET", f"/api/admin/keys/{other}")) == (404, "API key not found")


# Tasks -----------------------------------------------------------------------------------------------------------


def test_a_task_is_pending_for_a_fifth_of_its_time(call: PaperBananaCaller) -> None:
    call.world.tasks.finish_after_seconds(10)
    task = call.submit()

    seen = [call.task(task)["status"]]
    for seconds in (1.9, 0.1, 7.9, 0.1):
        call.world.clock.advance(seconds)
        seen.append(call.task(task)["status"])

    assert seen == ["pending", "pending", "running", "running", "completed"]


@pytest.mark.parametrize("seconds", [4.0, [4.0, 4.0]])
def test_a_setting_says_how_long_a_task_takes(seconds: Any, call: PaperBananaCaller) -> None:
    call.world.settings["paperbanana.seconds"] = seconds
    task = call.submit()

    call.world.clock.advance(3.9)
    assert call.task(task)["status"] == "running"
    call.world.clock.advance(0.1)
    assert call.task(task)["status"] == "completed"


def test_a_task_can_be_made_to_fail_with_a_reason(call: PaperBananaCaller) -> None:
    call.world.tasks.finish_after_seconds(10)
    call.world.tasks.fail_next(1, "no ink")
    failing, following = call.submit(), call.submit()
    call.world.clock.advance(10)

    assert (call.task(failing)["status"], call.task(failing)["error"]) == ("failed", "no ink")
    detail = call.ok("GET", f"/api/admin/history/{failing}")
    assert (detail["status"], detail["error"], detail["image_base64"]) == ("failed", "no ink", None)
    assert call.task(following)["status"] == "completed"


class Unreachable:
    """A VLM that answers no question."""

    def ask(self, question: Question) -> str:
        raise VlmError("no answer")


def test_a_task_fails_with_the_reason_of_its_vlm(caplog: pytest.LogCaptureFixture) -> None:
    call = PaperBananaCaller("empty", PaperBananaProvider(vlm=Unreachable()))
    task = call.submit()
    call.world.clock.advance(1)

    assert (call.task(task)["status"], call.task(task)["error"]) == ("failed", "no answer")
    assert [record.message for record in caplog.records] == [f"task {task} failed: no answer"]


def test_the_history_is_paged_twenty_at_a_time_latest_first(call: PaperBananaCaller) -> None:
    tasks = [call.submit() for _ in range(3)]

    def page(query: str = "") -> tuple[list[int], dict[str, int]]:
        body = call.ok("GET", f"/api/admin/history{query}")
        return [tasks.index(row["task_id"]) for row in body.pop("items")], body

    assert page() == ([2, 1, 0], {"total": 3, "page": 1, "size": 20, "pages": 1})
    assert page("?size=2") == ([2, 1], {"total": 3, "page": 1, "size": 2, "pages": 2})
    assert page("?size=2&page=2") == ([0], {"total": 3, "page": 2, "size": 2, "pages": 2})
    assert page("?size=3") == ([2, 1, 0], {"total": 3, "page": 1, "size": 3, "pages": 1})
    assert page("?endpoint=generate") == ([], {"total": 0, "page": 1, "size": 20, "pages": 1})
    assert page(f"?api_key={KEY[:9]}...&size=1&page=3")[0] == [0]
    assert page(f"?api_key={KEY}&status=failed")[0] == []
