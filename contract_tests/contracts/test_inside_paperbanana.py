"""What PaperBanana keeps, tells and sends, at its edges; called directly."""

from __future__ import annotations

import re
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from bananastand import outbound
from bananastand.contracts.errors import Problem, ProviderError, Violation
from bananastand_mocks.drawing.figures import FigureError
from bananastand_mocks.kernel.world import World
from bananastand_mocks.paperbanana import PaperBananaProvider, errors, history, keys, lifecycle, rules, state, webhooks
from bananastand_mocks.paperbanana.vlm import VlmError
from in_process import InProcess

KEY, ADMIN = "pb_" + "0" * 32, {"authorization": "Bearer admin-bananastand"}
CALLER = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def call() -> Any:
    """An empty world. The clock stands at 2026-01-01T00:00:00Z."""
    provider = PaperBananaProvider()
    made: Any = InProcess(provider, kind="empty", headers=CALLER)
    made.provider = provider
    return made


@pytest.fixture
def world(call: Any) -> World:
    return call.world


def row(**fields: Any) -> Any:
    return {
        "task_id": "task_a",
        "status": "completed",
        "diagram_type": "methodology",
        "description": "two boxes",
        "error": None,
        "formats": ["png"],
        "base": "http://mock/paperbanana",
        "created_at": 1767225600.0,
        "completed_at": 1767225601.5,
        **fields,
    }


# Webhooks --------------------------------------------------------------------------------------------------------


def test_what_a_webhook_tells_of_a_figure() -> None:
    assert list(webhooks.payload(row(), b"\x89PNG").items()) == [
        ("event", "task.completed"),
        ("task_id", "task_a"),
        ("status", "completed"),
        ("diagram_type", "methodology"),
        ("description", "two boxes"),
        ("image_url", "http://mock/paperbanana/api/tasks/task_a/image"),
        ("image_base64", "iVBORw=="),
        ("error", None),
        ("created_at", "2026-01-01T00:00:00+00:00"),
        ("completed_at", "2026-01-01T00:00:01.500000+00:00"),
    ]


def test_what_a_webhook_tells_where_there_is_no_figure() -> None:
    failed = webhooks.payload(row(status="failed", error="no data", description=None), None)
    assert (failed["event"], failed["image_url"], failed["image_base64"]) == ("task.failed", None, None)
    assert (failed["error"], failed["description"]) == ("no data", None)
    prompt = webhooks.payload(row(formats=[]), None)
    assert (prompt["event"], prompt["image_url"], prompt["image_base64"]) == ("task.completed", None, None)


def test_what_a_webhook_is_sent_with() -> None:
    signed, plain = (dict(webhooks._headers(row(), b"{}", secret)) for secret in ("hush", None))

    assert signed.pop("User-Agent").startswith("PaperBanana-Webhook/")
    assert signed == {
        "Content-Type": "application/json",
        "X-PaperBanana-Event": "task.completed",
        "X-PaperBanana-Signature": f"sha256={outbound.sign(b'{}', 'hush')}",
    }
    assert plain.keys() == {"Content-Type", "User-Agent", "X-PaperBanana-Event"}
    assert "X-PaperBanana-Signature" not in dict(webhooks._headers(row(), b"{}", ""))
    assert dict(webhooks._headers(row(status="failed"), b"{}", None))["X-PaperBanana-Event"] == "task.failed"


def tried(status: int | None = None, error: str | None = None, raised: Exception | None = None) -> Any:
    outcome: Future[outbound.Attempt] = Future()
    if raised is not None:
        outcome.set_exception(raised)
    else:
        outcome.set_result(outbound.Attempt(error is None, status, error, 0.1, None))
    return webhooks._judge(outcome)


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, None), (204, None), (302, None), (399, None), (400, "HTTP 400"), (404, "HTTP 404"), (500, "HTTP 500")],
)
def test_below_400_is_delivered(status: int, error: str | None) -> None:
    assert tried(status) == (status, error)


def test_what_never_arrived() -> None:
    assert tried(error="no answer") == (None, "no answer")
    assert tried(raised=ValueError("no")) == (None, "ValueError: no")
    assert tried(raised=ValueError("x" * 300)) == (None, f"ValueError: {'x' * 188}")


def test_a_webhook_waits_for_its_first_try() -> None:
    assert webhooks.outbox("https://example.com/hook", include_image=True) == {
        "url": "https://example.com/hook",
        "include_image": True,
        "status": None,
        "tries": [],
    }
    assert webhooks.TIMEOUT == 30.0


# Rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        ("auto", None),
        ("AUTO", None),
        ("1x1", None),
        ("2X3", None),
        ("2", "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '2'"),
        ("1x2x3", "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '1x2x3'"),
        ("axb", "Layout must be 'RxC' with integers. Got: axb"),
        ("0x2", "Layout rows and cols must be >= 1. Got: 0x2"),
        ("2x0", "Layout rows and cols must be >= 1. Got: 2x0"),
        ("-1x2", "Layout rows and cols must be >= 1. Got: -1x2"),
    ],
)
def test_a_layout(layout: str, told: str | None) -> None:
    assert rules.layout_error(layout) == told


NANO, GPT = "google/nano-banana", "gpt-image-2-text-to-image"


@pytest.mark.parametrize(
    ("body", "provider", "told"),
    [
        ({}, "gemini", None),
        ({"aspect_ratio": "1:1"}, "gemini", None),
        ({"image_model": "nano-banana-pro"}, "gemini", "image_model only works when the image provider is kie_imagen"),
        ({"image_resolution": "2K"}, "gemini", "image_resolution only works when the image provider is kie_imagen"),
        ({"image_model": NANO, "image_resolution": "2K"}, "gemini",
         "image_model only works when the image provider is kie_imagen"),
        ({"image_model": "nano-banana-pro", "image_resolution": "4K"}, "kie_imagen", None),
        ({"image_model": NANO}, "kie_imagen", None),
        ({"image_model": NANO, "image_resolution": "1K"}, "kie_imagen",
         "image_resolution is not supported by google/nano-banana"),
        ({"image_model": GPT, "aspect_ratio": "auto"}, "kie_imagen", None),
        ({"image_model": GPT, "aspect_ratio": "auto", "image_resolution": "1K"}, "kie_imagen", None),
        ({"image_model": GPT, "aspect_ratio": "auto", "image_resolution": "2K"}, "kie_imagen",
         "image_resolution 2K is not supported by gpt-image-2-text-to-image with aspect_ratio auto"),
        ({"image_model": GPT, "aspect_ratio": "1:1", "image_resolution": "2K"}, "kie_imagen", None),
        ({"image_model": GPT, "aspect_ratio": "1:1", "image_resolution": "4K"}, "kie_imagen",
         "image_resolution 4K is not supported by gpt-image-2-text-to-image with aspect_ratio 1:1"),
        ({"image_model": GPT, "aspect_ratio": "16:9", "image_resolution": "4K"}, "kie_imagen", None),
        ({"image_model": "nano-banana-2", "aspect_ratio": "auto", "image_resolution": "4K"}, "kie_imagen", None),
        ({"image_resolution": "4K", "aspect_ratio": "1:1"}, "kie_imagen", None),
    ],
)  # fmt: skip
def test_what_goes_together_in_a_picture(body: Any, provider: str, told: str | None) -> None:
    if told is None:
        rules.check_image_options(body, provider)
        return
    with pytest.raises(ProviderError) as caught:
        rules.check_image_options(body, provider)
    assert (caught.value.problem.condition, caught.value.problem.message) == ("invalid", told)


@pytest.mark.parametrize("good", ["{}", "[1, 2]", "5", '"text"', "null"])
def test_data_that_is_json(good: str) -> None:
    rules.check_data(good)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "Invalid JSON in data_json: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("", "Invalid JSON in data_json: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, "Invalid JSON in data_json: nested too deeply"),
        ("[" * 500 + "]" * 500, "Invalid JSON in data_json: nested too deeply"),
    ],
)
def test_data_that_is_none(bad: str, told: str) -> None:
    with pytest.raises(ProviderError) as caught:
        rules.check_data(bad)
    assert caught.value.problem.message == told


def test_no_more_than_a_hundred_panels() -> None:
    rules.check_layout(100, "10x10", [f"({each})" for each in range(100)])
    with pytest.raises(ProviderError) as caught:
        rules.check_layout(101, "auto", None)
    assert caught.value.problem.message == "source_task_ids: List should have at most 100 items"
    with pytest.raises(ProviderError):
        rules.check_layout(2, "auto", ["(a)", "(b)", "(c)"])


@pytest.mark.parametrize(
    ("asked", "made"), [({}, ["png"]), ({"output_formats": ["svg", "pdf", "svg"]}, ["png", "svg", "pdf"]),
                        ({"output_formats": ["png"]}, ["png"]), ({"output_formats": []}, ["png"])],
)  # fmt: skip
def test_png_is_always_made(asked: Any, made: list[str]) -> None:
    assert rules.formats(asked) == made


# Keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_found_whole_or_by_a_mask_that_fits_one(world: World) -> None:
    first, second = "pb_111111" + "a" * 26, "pb_111111" + "b" * 26
    state.add_key(world, first, "one")
    assert state.mask(first) == "pb_111111..."
    assert state.find_key(world, first)[0] == first
    assert state.find_key(world, "pb_111111...")[0] == first
    for told in ("pb_11111...", "pb_1111111...", "pb_111111", "...", "pb_111111\ud800"):
        with pytest.raises(ProviderError, match="key_not_found"):
            state.find_key(world, told)

    state.add_key(world, second, "two")
    with pytest.raises(ProviderError, match="key_not_found"):
        state.find_key(world, "pb_111111...")
    assert state.find_key(world, second)[1]["name"] == "two"


def test_what_a_key_is_used_for_is_counted(world: World) -> None:
    made = state.add_key(world, "pb_1", "one", quota=1)
    assert made == {
        "number": made["number"], "name": "one", "quota_remaining": 1, "quota_total": 1, "total_used": 0,
        "active": True, "created_at": 1767225600.0, "webhook_url": None, "webhook_secret": None,
    }  # fmt: skip

    state.use(world, "pb_1", "plot", "task_a")
    state.use(world, KEY, "plot", "task_b")

    assert (made["quota_remaining"], made["quota_total"], made["total_used"]) == (0, 1, 1)
    assert state.keys(world)[KEY]["quota_remaining"] is None
    assert list(state.usage_of(world, "pb_1")) == [
        {"id": 1, "api_key": "pb_1", "task_id": "task_a", "endpoint": "plot", "created_at": 1767225600.0}
    ]
    state.remove_key(world, "pb_1")
    assert [each["task_id"] for each in state.usage(world).values()] == ["task_b"]


def test_a_hundred_uses_are_shown_the_latest_first(world: World) -> None:
    for number in range(101):
        state.use(world, KEY, "plot", f"task_{number}")

    log = keys.get_key(world, {"key": KEY})["usage_log"]

    assert (len(log), log[0]["task_id"], log[-1]["task_id"]) == (100, "task_100", "task_1")
    assert log[0] == {"id": 101, "task_id": "task_100", "endpoint": "plot", "created_at": "2026-01-01T00:00:00+00:00"}


def test_an_update_leaves_what_it_does_not_name(call: Any) -> None:
    body = {"name": "one", "quota": 5, "webhook_url": "https://example.com/hook", "webhook_secret": "hush"}
    key = call("POST", "/api/admin/keys", json=body, headers=ADMIN).json()["key"]

    def changed(**fields: Any) -> Any:
        shown = call("PATCH", f"/api/admin/keys/{key}", json=fields, headers=ADMIN).json()
        return {name: shown[name] for name in ("quota_remaining", "quota_total", "active", "webhook_url")}

    whole = {"quota_remaining": 5, "quota_total": 5, "active": True, "webhook_url": "https://example.com/hook"}
    assert changed() == whole
    assert changed(quota_remaining=0) == {**whole, "quota_remaining": 0}
    assert changed(active=False, quota_total=9) == {**whole, "quota_remaining": 0, "quota_total": 9, "active": False}
    assert changed(webhook_url="", webhook_secret="")["webhook_url"] is None
    assert state.keys(call.world)[key]["webhook_secret"] is None


def test_a_quota_is_used_up_to_its_last(call: Any) -> None:
    key = call("POST", "/api/admin/keys", json={"name": "one", "quota": 1}, headers=ADMIN).json()["key"]
    mine = {"authorization": f"Bearer {key}"}
    plot = {"data_json": "[1, 2]", "intent": "bars"}

    first, second = (call("POST", "/api/plot", json=plot, headers=mine) for _ in range(2))
    polled = call("GET", f"/api/tasks/{first.json()['task_id']}", headers=mine)

    assert (first.status_code, second.status_code, polled.status_code) == (202, 403, 200)
    assert second.json() == {"detail": "Quota exhausted"}
    call.world.settings["paperbanana.quota_blocks_polling"] = True
    assert call("GET", f"/api/tasks/{first.json()['task_id']}", headers=mine).status_code == 403


# What is kept ----------------------------------------------------------------------------------------------------


def test_the_oldest_task_that_is_over_makes_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state.TASKS_KEPT == 10_000
    monkeypatch.setattr(state, "TASKS_KEPT", 2)
    for name, status in (("a", "running"), ("b", "failed")):
        state.keep_task(world, row(task_id=name, status=status))
    assert list(state.tasks(world)) == ["a", "b"], "as many as there is room for"
    for name, status in (("c", "completed"), ("d", "pending"), ("e", "pending")):
        state.keep_task(world, row(task_id=name, status=status))
    assert list(state.tasks(world)) == ["a", "d", "e"]
    state.keep_task(world, row(task_id="f", status="pending"))
    assert list(state.tasks(world)) == ["a", "d", "e", "f"], "what goes on is not forgotten"


def test_the_oldest_pdfs_make_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state.PDF_BYTES == 64 * 2**20
    monkeypatch.setattr(state, "PDF_BYTES", 10)
    world.blobs["another"] = b"x" * 50
    assert state.keep_pdf(world, "a", b"x" * 5) == "paperbanana/a/input.pdf"
    state.keep_pdf(world, "b", b"x" * 5)
    assert len(world.blobs) == 3, "as much as there is room for"
    state.keep_pdf(world, "c", b"x")
    assert list(world.blobs) == ["another", "paperbanana/b/input.pdf", "paperbanana/c/input.pdf"]


def test_settings_are_the_documents() -> None:
    assert state.SETTINGS == {
        "paperbanana.seconds": [0.0, 0.0],
        "paperbanana.webhook_waits": [5, 15, 60],
        "paperbanana.image_provider": "kie_imagen",
        "paperbanana.admin_key_configured": True,
        "paperbanana.quota_blocks_polling": False,
    }


# The life of a task ----------------------------------------------------------------------------------------------


def plotted(call: Any) -> str:
    return call("POST", "/api/plot", json={"data_json": "[1, 2]", "intent": "bars"}).json()["task_id"]


def test_a_task_is_pending_for_a_fifth_of_its_time(call: Any) -> None:
    call.world.tasks.finish_after_seconds(10)
    task = plotted(call)

    def status() -> str:
        return call("GET", f"/api/tasks/{task}").json()["status"]

    assert status() == "pending"
    call.world.clock.advance(1.9)
    assert status() == "pending"
    call.world.clock.advance(0.1)
    assert status() == "running"
    call.world.clock.advance(7.9)
    assert status() == "running"
    call.world.clock.advance(0.1)
    assert status() == "completed"


def test_a_task_takes_as_many_polls_as_are_wished(call: Any) -> None:
    call.world.tasks.finish_after_polls(2)
    task = plotted(call)

    assert [call("GET", f"/api/tasks/{task}").json()["status"] for _ in range(4)] == [
        "running", "running", "completed", "completed",
    ]  # fmt: skip


def test_a_task_is_finished_once(call: Any) -> None:
    task = plotted(call)
    assert re.fullmatch("[0-9a-f]{32}", task)
    workshop = call.provider.workshop
    assert call("GET", f"/api/tasks/{task}").json()["status"] == "completed"

    assert workshop._finish(call.world, {"task_id": task}) is None
    assert workshop._finish(call.world, {"task_id": "none"}) is None
    workshop._start(call.world, {"task_id": task})
    workshop._start(call.world, {"task_id": "none"})
    assert call("GET", f"/api/tasks/{task}").json()["status"] == "completed"
    call.world.tasks.finish_after_seconds(10)
    call.world.tasks.fail_next(1, "no ink")
    failing = plotted(call)
    assert workshop._finish(call.world, {"task_id": failing}) is None
    assert workshop._finish(call.world, {"task_id": failing}) is None
    assert call("GET", f"/api/tasks/{failing}").json()["error"] == "no ink"


@pytest.mark.parametrize(
    ("raised", "told", "logged"),
    [
        (FigureError("too many boxes", "intent"), "too many boxes", []),
        (VlmError("no answer"), "no answer", ["task task_a failed: no answer"]),
        (ValueError(), "ValueError", ["a drawing failed"]),
    ],
)
def test_a_drawing_that_fails_is_logged_where_it_is_a_mistake_of_ours(
    raised: Exception, told: str, logged: list[str], call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    outcome: Future[Any] = Future()
    outcome.set_exception(raised)
    drawn = row(status="running", completed_at=None, webhook=None)

    call.provider.workshop._drawn(call.world, drawn, outcome)

    assert (drawn["status"], drawn["error"], drawn["completed_at"]) == ("failed", told, 1767225600.0)
    assert [each.message for each in caplog.records] == logged


def test_how_long_a_task_takes(world: World) -> None:
    assert lifecycle._seconds(world) == 0.0
    world.settings["paperbanana.seconds"] = [3.0, 3.0]
    assert lifecycle._seconds(world) == 3.0
    world.settings["paperbanana.seconds"] = 4.0
    assert lifecycle._seconds(world) == 4.0
    world.settings["paperbanana.seconds"] = [2.0, 9.0]
    assert all(2.0 <= lifecycle._seconds(world) <= 9.0 for _ in range(50))
    assert len({lifecycle._seconds(world) for _ in range(50)}) == 50
    world.tasks.finish_after_seconds(5)
    assert lifecycle._seconds(world) == 5


def test_the_pages_of_the_history(call: Any) -> None:
    tasks = [plotted(call) for _ in range(3)]

    def page(**asked: Any) -> tuple[list[int], dict[str, int]]:
        told = history.list_history(call.world, asked)
        return [tasks.index(each["task_id"]) for each in told.pop("items")], told

    assert page() == ([2, 1, 0], {"total": 3, "page": 1, "size": 20, "pages": 1})
    assert page(size=2) == ([2, 1], {"total": 3, "page": 1, "size": 2, "pages": 2})
    assert page(size=2, page=2) == ([0], {"total": 3, "page": 2, "size": 2, "pages": 2})
    assert page(size=3) == ([2, 1, 0], {"total": 3, "page": 1, "size": 3, "pages": 1})
    assert page(endpoint="generate") == ([], {"total": 0, "page": 1, "size": 20, "pages": 1})
    assert page(api_key=state.mask(KEY), size=1, page=3)[0] == [0]
    assert page(api_key=KEY, status="failed")[0] == []


# What is said of a mistake ---------------------------------------------------------------------------------------


def told(rule: str, field: str, message: str, **body: Any) -> str:
    operation = SimpleNamespace(id="create_plot", template="/api/plot")
    at: Any = SimpleNamespace(operation=operation, body=body)
    answer = errors.render(Problem("violation", violations=(Violation("body", field, rule, message),)), at)
    assert answer.status == 422
    return answer.body["detail"]


@pytest.mark.parametrize(
    ("rule", "field", "message", "body", "text"),
    [
        ("required", "intent", "\"intent\" is a required property", {}, "intent: Field required"),
        ("required", "", "a body is required", {}, "body: Field required"),
        ("pattern", "layout", "no match", {"layout": "2"},
         "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '2'"),
        ("pattern", "layout", "no match", {"layout": "01x2"}, "layout: String should match RxC"),
        ("pattern", "name", "\" \" does not match", {}, "name: \" \" does not match"),
        ("format", "webhook_url", "is not a uri", {}, "webhook_url: is not a uri"),
        ("enum", "vlm_provider", "", {"vlm_provider": "x" * 101},
         f"Unknown VLM provider: {'x' * 100}. Available: apimart, gemini, kie, openrouter"),
        ("enum", "output_formats.1", "", {}, "output_formats.1: output_formats may hold pdf, png, svg"),
        ("enum", "image_resolution", "", {}, "image_resolution must be one of: 1K, 2K, 4K"),
        ("enum", "image_model", "", {}, "image_model must be one of: nano-banana-pro, google/nano-banana, "
         "nano-banana-2, gpt-image-2-text-to-image"),
        ("enum", "diagram_type", "", {}, "diagram_type must be one of: methodology, statistical_plot"),
        ("enum", "label_position", "", {}, "label_position must be one of: top, bottom"),
        ("enum", "format", "", {}, "format must be one of: png, svg, pdf"),
        ("enum", "status", "", {}, "status must be one of: pending, running, completed, failed"),
        ("enum", "other", "5 is none of them", {}, "other: 5 is none of them"),
        ("const", "other", "5 is not 4", {}, "other: 5 is not 4"),
        ("type", "intent", '5 is not of type "string"', {}, "intent: Input should be a valid string"),
        ("type", "quota", '"x" is not of types "integer", "null"', {}, "quota: Input should be a valid integer"),
        ("type", "quota", '"x" is not of types "null", "array"', {}, "quota: Input should be a valid list"),
        ("type", "active", "it is of no type", {}, "active: Input should be a valid value"),
        ("minimum", "spacing", "-1 is less than the minimum of 0", {},
         "spacing: Input should be greater than or equal to 0"),
        ("maximum", "spacing", "201 is greater than the maximum of 200", {},
         "spacing: Input should be less than or equal to 200"),
        ("minItems", "source_task_ids", "[] should be at least 2 long", {},
         "source_task_ids: List should have at least 2 items"),
        ("minLength", "name", "'' should be at least 3 long", {}, "name: String should have at least 3 characters"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_mistake(rule: str, field: str, message: str, body: Any, text: str) -> None:
    assert told(rule, field, message, **body) == text


def test_an_admins_wrong_key_is_called_so() -> None:
    def wrong(template: str) -> Any:
        at: Any = SimpleNamespace(operation=SimpleNamespace(id="any", template=template))
        answer = errors.render(Problem("unknown_credential"), at)
        return answer.status, answer.body["detail"]

    assert wrong("/api/admin/keys") == (401, "Invalid admin key")
    assert wrong("/api/plot") == (401, "Invalid API key")
    nobody = errors.render(Problem("unknown_credential"), None)
    assert (nobody.status, nobody.body) == (401, {"detail": "Invalid API key"})
