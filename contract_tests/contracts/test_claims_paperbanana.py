"""The mock keeps each claim of claims/paperbanana.yaml, over HTTP; those on webhooks are in a file of their own."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess
from paper_pdf import paper
from paperbanana_caller import ADMIN, DIAGRAM, KEY, PLOT, SHOWN, PaperBananaCaller, refusal

MONTH = 31 * 86400


@pytest.fixture
def call() -> PaperBananaCaller:
    return PaperBananaCaller()


def pdf(**body: Any) -> dict[str, Any]:
    return {"pdf_base64": base64.b64encode(paper()).decode(), "caption": "Figure 1: Overview", **body}


# Keys, and who is let in


def test_paperbanana_auth_bearer(call: PaperBananaCaller):
    refused = (401, "Missing or invalid Authorization header")
    for header in ("", KEY, f"bearer {KEY}", f"Basic {KEY}"):
        assert refusal(call("GET", "/api/tasks/a", authorization=header)) == refused
        assert refusal(call("GET", "/api/admin/keys", authorization=header)) == refused


def test_paperbanana_auth_unknown_key(call: PaperBananaCaller):
    for unknown in (ADMIN, "pb_" + "1" * 32, "", KEY + " "):
        call.key = unknown
        assert refusal(call("GET", "/api/tasks/a")) == (401, "Invalid API key")
        assert refusal(call("POST", "/api/plot", PLOT)) == (401, "Invalid API key")


def test_paperbanana_auth_admin_key(call: PaperBananaCaller):
    for unknown in (KEY, "admin"):
        header = f"Bearer {unknown}"
        assert refusal(call("GET", "/api/admin/keys", authorization=header)) == (401, "Invalid admin key")
        assert refusal(call("GET", "/api/admin/history", authorization=header)) == (401, "Invalid admin key")


def test_paperbanana_auth_admin_key_from_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PAPERBANANA_ADMIN_KEY", "chosen")
    chosen = InProcess(PaperBananaProvider(), kind="empty")
    assert chosen("GET", "/api/admin/keys", headers={"authorization": "Bearer chosen"}).status_code == 200
    assert chosen("GET", "/api/admin/keys", headers={"authorization": f"Bearer {ADMIN}"}).status_code == 401


def test_paperbanana_auth_admin_key_not_configured(call: PaperBananaCaller):
    call.world.settings["paperbanana.admin_key_configured"] = False
    assert refusal(call("GET", "/api/admin/keys")) == (500, "PAPERBANANA_ADMIN_KEY not configured")
    assert call("GET", "/api/tasks/a").status_code == 404


def test_paperbanana_auth_health_open(call: PaperBananaCaller):
    assert call("GET", "/api/health", authorization="").json() == {"status": "ok", "version": "0.1.2"}


def test_paperbanana_auth_order(call: PaperBananaCaller):
    broken = {"headers": {"authorization": "", "content-type": "application/json"}, "content": b"{"}
    status, text = refusal(call.send("POST", "/api/plot", **broken))
    assert (status, text[:18]) == (422, "JSON decode error:")
    assert refusal(call("POST", "/api/plot", {}, authorization=""))[0] == 401
    call.key = call.new_key(quota=1)
    call.submit()
    assert refusal(call("POST", "/api/plot", {})) == (403, "Quota exhausted")


# Errors


def test_paperbanana_errors_detail_is_text(call: PaperBananaCaller):
    wrong = {
        "source_context: Field required": {"caption": "a"},
        "caption: Input should be a valid string": {**DIAGRAM, "caption": 1},
        "iterations: Input should be greater than or equal to 1": {**DIAGRAM, "iterations": 0},
        "iterations: Input should be less than or equal to 10": {**DIAGRAM, "iterations": 11},
        "iterations: Input should be a valid integer": {**DIAGRAM, "iterations": "3.5"},
        "webhook_include_image: Input should be a valid boolean": {**DIAGRAM, "webhook_include_image": 2},
        "output_formats.1: output_formats may hold png": {**DIAGRAM, "output_formats": ["png", "svg"]},
        "output_formats: Input should be a valid list": {**DIAGRAM, "output_formats": "png"},
        "image_resolution must be one of: 1K, 2K, 4K": {**DIAGRAM, "image_resolution": "8K"},
        "body: Input should be a valid dictionary": [DIAGRAM],
    }
    for text, body in wrong.items():
        assert refusal(call("POST", "/api/generate", body)) == (422, text)
    assert refusal(call("GET", "/api/tasks/a/image?format=jpg")) == (422, "format must be one of: png, svg, pdf")
    assert refusal(call("GET", "/api/nothing")) == (404, "Not Found")
    assert refusal(call("PUT", "/api/plot", PLOT)) == (405, "Method Not Allowed")


def test_paperbanana_errors_data_json(call: PaperBananaCaller):
    expected = "Invalid JSON in data_json: Expecting ',' delimiter: line 1 column 4 (char 3)"
    assert refusal(call("POST", "/api/plot", {**PLOT, "data_json": "[1 2]"})) == (422, expected)
    status, text = refusal(call("POST", "/api/plot", {**PLOT, "data_json": "[" * 100_000}))
    assert (status, text[:26]) == (422, "Invalid JSON in data_json:")
    object_given = {**PLOT, "data_json": {"a": [1]}}
    assert refusal(call("POST", "/api/plot", object_given)) == (422, "data_json: Input should be a valid string")


def test_paperbanana_errors_aspect_ratio(call: PaperBananaCaller):
    listed = "16:9, 1:1, 21:9, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 9:16, auto"
    for path, body in (("/api/plot", PLOT), ("/api/generate", DIAGRAM)):
        answer = call("POST", path, {**body, "aspect_ratio": "16:10"})
        assert refusal(answer) == (422, f"aspect_ratio must be one of: {listed}")
        assert call("POST", path, {**body, "aspect_ratio": "auto"}).status_code == 202


def test_paperbanana_errors_vlm_provider(call: PaperBananaCaller):
    text = "Unknown VLM provider: openai. Available: apimart, gemini, kie, openrouter"
    assert refusal(call("POST", "/api/plot", {**PLOT, "vlm_provider": "openai"})) == (422, text)
    for name in ("gemini", "openrouter", "kie", "apimart"):
        assert call("POST", "/api/plot", {**PLOT, "vlm_provider": name, "vlm_model": "any"}).status_code == 202


# Quotas


def test_paperbanana_quota_at_acceptance(call: PaperBananaCaller):
    call.key = call.new_key(quota=5)
    call.world.tasks.finish_after_seconds(60)
    call.world.tasks.fail_next()
    failing = call.submit()
    assert call.detail(call.key)["quota_remaining"] == 4
    call.world.clock.advance(60)
    assert call.task(failing)["status"] == "failed"
    assert call.detail(call.key)["quota_remaining"] == 4
    assert call.detail(call.key)["total_used"] == 1


def test_paperbanana_quota_refused_is_free(call: PaperBananaCaller):
    call.key = call.new_key(quota=5)
    refused = [
        ("/api/generate", {"caption": "a"}, 422),
        ("/api/generate", {**DIAGRAM, "image_model": "google/nano-banana", "image_resolution": "1K"}, 422),
        ("/api/generate-from-pdf", pdf(pages="9"), 422),
        ("/api/optimize-prompt", {}, 422),
        ("/api/plot", {**PLOT, "data_json": "{"}, 422),
        ("/api/composite", {"source_task_ids": ["a", "b"]}, 404),
    ]
    for path, body, status in refused:
        assert call("POST", path, body).status_code == status
    detail = call.detail(call.key)
    assert (detail["quota_remaining"], detail["total_used"], detail["usage_log"]) == (5, 0, [])


def test_paperbanana_quota_exhausted(call: PaperBananaCaller):
    call.key = call.new_key(quota=1)
    task = call.submit()
    for path, body in (("/api/plot", PLOT), ("/api/generate", DIAGRAM), ("/api/generate-from-pdf", pdf())):
        assert refusal(call("POST", path, body)) == (403, "Quota exhausted")
    assert call.task(task)["status"] == "completed"


def test_paperbanana_quota_exhausted_blocks_polling(call: PaperBananaCaller):
    call.world.settings["paperbanana.quota_blocks_polling"] = True
    call.key = call.new_key(quota=1)
    task = call.submit()
    assert refusal(call("GET", f"/api/tasks/{task}")) == (403, "Quota exhausted")


def test_paperbanana_quota_does_not_come_back(call: PaperBananaCaller):
    call.key = call.new_key(quota=3)
    assert [call("POST", "/api/plot", PLOT).status_code for _ in range(4)] == [202, 202, 202, 403]
    call.world.clock.advance(MONTH)
    assert refusal(call("POST", "/api/plot", PLOT)) == (403, "Quota exhausted")
    assert call.detail(call.key)["quota_remaining"] == 0
    call.ok("PATCH", f"/api/admin/keys/{call.key}", {"quota_remaining": 1})
    assert [call("POST", "/api/plot", PLOT).status_code for _ in range(2)] == [202, 403]


def test_paperbanana_quota_unlimited(call: PaperBananaCaller):
    call.key = call.new_key()
    call.submit()
    detail = call.detail(call.key)
    assert (detail["quota_remaining"], detail["quota_total"], detail["total_used"]) == (None, None, 1)


def test_paperbanana_key_disabled(call: PaperBananaCaller):
    call.key = call.new_key(quota=1)
    task = call.submit()
    call.ok("PATCH", f"/api/admin/keys/{call.key}", {"active": False})
    assert refusal(call("POST", "/api/plot", PLOT)) == (403, "API key is disabled")
    assert refusal(call("GET", f"/api/tasks/{task}")) == (403, "API key is disabled")
    call.ok("PATCH", f"/api/admin/keys/{call.key}", {"active": True})
    assert call.task(task)["status"] == "completed"


# Tasks and their files


def test_paperbanana_task_lifecycle(call: PaperBananaCaller):
    call.world.tasks.finish_after_seconds(60)
    task, seen = call.submit(), list[str]()
    for _ in range(4):
        seen.append(call.task(task)["status"])
        call.world.clock.advance(20)
    assert seen == ["pending", "running", "running", "completed"]
    assert call.ok("GET", f"/api/admin/history/{task}")["completed_at"] == "2026-01-01T00:01:00+00:00"


def test_a_task_may_take_as_long_as_the_document_tells(call: PaperBananaCaller):
    """Most jobs take 30 to 120 seconds (D:20)."""
    call.world.settings["paperbanana.seconds"] = [30, 120]
    tasks = [call.submit("/api/optimize-prompt", description="Draw a box.") for _ in range(20)]
    call.world.clock.advance(30)
    assert {call.task(task)["status"] for task in tasks} <= {"pending", "running"}
    call.world.clock.advance(90)
    ended = {call.ok("GET", f"/api/admin/history/{task}")["completed_at"] for task in tasks}
    assert len(ended) == 20


def test_paperbanana_task_polls(call: PaperBananaCaller):
    call.world.tasks.finish_after_polls(2)
    task = call.submit()
    assert [call.task(task)["status"] for _ in range(4)] == ["running", "running", "completed", "completed"]


def test_paperbanana_task_failed(call: PaperBananaCaller):
    call.world.tasks.fail_next(1, "no brush at hand")
    failing, undrawable = call.submit(), call.submit(data_json='"a word"')
    row = call.task(failing)
    assert {name: row[name] for name in row if name != "task_id"} == {
        "status": "failed", "diagram_type": "statistical_plot", "image_base64": None, "artifacts": {},
        "description": None, "error": "no brush at hand",
    }  # fmt: skip
    assert call.task(undrawable)["status"] == "failed"
    assert call.task(undrawable)["error"] != ""


def test_paperbanana_task_before_completion(call: PaperBananaCaller):
    call.world.tasks.finish_after_seconds(60)
    row = call.task(call.submit())
    assert (row["image_base64"], row["artifacts"], row["description"], row["error"]) == (
        None,
        {},
        None,
        None,
    )


def test_paperbanana_task_own_key(call: PaperBananaCaller):
    task = call.submit()
    call.key = call.new_key()
    assert refusal(call("GET", f"/api/tasks/{task}")) == (404, "Task not found")
    assert refusal(call("GET", f"/api/tasks/{task}/image")) == (404, "Task not found")
    assert refusal(call("GET", "/api/tasks/a1b2c3d4e5f6")) == (404, "Task not found")


@pytest.mark.parametrize(
    ("output_formats", "formats"),
    [
        (None, ["png"]),
        ([], ["png"]),
        (["svg"], ["png", "svg"]),
        (["png", "pdf", "svg", "svg"], ["png", "pdf", "svg"]),
    ],
)
def test_paperbanana_task_artifacts(call: PaperBananaCaller, output_formats: list[str] | None, formats: list[str]):
    task = call.submit(output_formats=output_formats)
    artifacts = call.task(task)["artifacts"]
    assert list(artifacts) == formats
    assert artifacts["png"] == {
        "format": "png", "media_type": "image/png", "download_url": f"http://mock/api/tasks/{task}/image",
    }  # fmt: skip
    for name in formats:
        file = call("GET", artifacts[name]["download_url"].removeprefix("http://mock"))
        assert (file.status_code, file.headers["content-type"]) == (200, artifacts[name]["media_type"])


def test_paperbanana_task_text_only(call: PaperBananaCaller):
    task = call.submit("/api/optimize-prompt", description="Draw an encoder with 6 blocks.")
    row = call.task(task)
    assert (row["status"], row["diagram_type"]) == ("completed", "prompt_optimization")
    assert (row["image_base64"], row["artifacts"]) == (None, {})
    assert "encoder" in row["description"]
    assert "6" in row["description"]
    assert refusal(call("GET", f"/api/tasks/{task}/image")) == (404, "Image not available yet")


def test_paperbanana_image_formats(call: PaperBananaCaller):
    task = call.submit(output_formats=["png", "svg", "pdf"], aspect_ratio="16:9")
    files = {name: call("GET", f"/api/tasks/{task}/image?format={name}") for name in ("png", "svg", "pdf")}
    plain = call("GET", f"/api/tasks/{task}/image")
    assert {name: file.headers["content-type"] for name, file in files.items()} == {
        "png": "image/png",
        "svg": "image/svg+xml",
        "pdf": "application/pdf",
    }
    assert plain.content == files["png"].content == base64.b64decode(call.task(task)["image_base64"])
    assert plain.headers["content-disposition"] == f'attachment; filename="{task}.png"'
    picture = Image.open(io.BytesIO(plain.content))
    assert picture.format == "PNG"
    assert abs(picture.width / picture.height - 16 / 9) < 0.01
    assert b"<svg" in files["svg"].content[:600]
    assert files["pdf"].content.startswith(b"%PDF-")


def test_paperbanana_image_not_available(call: PaperBananaCaller):
    task = call.submit()
    for name in ("svg", "pdf"):
        assert refusal(call("GET", f"/api/tasks/{task}/image?format={name}")) == (404, "Image not available yet")
    call.world.tasks.finish_after_seconds(60)
    later = call.submit()
    assert refusal(call("GET", f"/api/tasks/{later}/image")) == (404, "Image not available yet")
    call.world.tasks.fail_next()
    failing = call.submit()
    call.world.clock.advance(60)
    assert refusal(call("GET", f"/api/tasks/{failing}/image")) == (404, "Image not available yet")


# Diagrams, PDFs, composites


def test_paperbanana_diagram_image_provider(call: PaperBananaCaller):
    call.world.settings["paperbanana.image_provider"] = "gemini_imagen"
    for name, value in (("image_model", "nano-banana-pro"), ("image_resolution", "1K")):
        text = f"{name} only works when the image provider is kie_imagen"
        assert refusal(call("POST", "/api/generate", {**DIAGRAM, name: value})) == (422, text)
        assert refusal(call("POST", "/api/generate-from-pdf", pdf(**{name: value}))) == (422, text)
    assert call("POST", "/api/generate", DIAGRAM).status_code == 202


def accepted(call: PaperBananaCaller, **options: str) -> bool:
    return call("POST", "/api/generate", {**DIAGRAM, **options}).status_code == 202


def test_paperbanana_diagram_resolution_of_nano_banana(call: PaperBananaCaller):
    assert accepted(call, image_model="google/nano-banana")
    assert not accepted(call, image_model="google/nano-banana", image_resolution="1K")
    assert accepted(call, image_model="nano-banana-pro", image_resolution="4K")
    assert accepted(call, image_model="nano-banana-2", image_resolution="2K")
    assert accepted(call, image_resolution="4K")


def test_paperbanana_diagram_resolution_of_gpt_image(call: PaperBananaCaller):
    gpt = {"image_model": "gpt-image-2-text-to-image"}
    assert accepted(call, **gpt, aspect_ratio="auto", image_resolution="1K")
    assert not accepted(call, **gpt, aspect_ratio="auto", image_resolution="2K")
    assert not accepted(call, **gpt, aspect_ratio="auto", image_resolution="4K")
    assert accepted(call, **gpt, aspect_ratio="auto")
    assert accepted(call, **gpt, aspect_ratio="1:1", image_resolution="2K")
    assert not accepted(call, **gpt, aspect_ratio="1:1", image_resolution="4K")
    assert accepted(call, **gpt, aspect_ratio="16:9", image_resolution="4K")
    assert accepted(call, **gpt, image_resolution="4K")


def told_of(call: PaperBananaCaller, **body: Any) -> Any:
    task = call.submit("/api/generate-from-pdf", **pdf(**body))
    return call.ok("GET", f"/api/admin/history/{task}")["input_params"]


def test_paperbanana_pdf_data_url(call: PaperBananaCaller):
    url = "data:application/pdf;base64," + base64.b64encode(paper()).decode()
    assert told_of(call, pdf_base64=url)["text_length"] == told_of(call)["text_length"] > 300
    task = call.submit("/api/generate-from-pdf", **pdf(pdf_base64=url))
    assert call.world.blobs[f"paperbanana/{task}/input.pdf"] == paper()


def test_paperbanana_pdf_pages(call: PaperBananaCaller):
    lengths = {pages: told_of(call, pages=pages)["text_length"] for pages in ("3", "5-3", "3-5", "1,3-5", "", "1-5")}
    assert lengths["5-3"] == lengths["3-5"] < lengths["1,3-5"] < lengths["1-5"] == lengths[""]
    assert lengths["3"] < lengths["3-5"]


def test_paperbanana_pdf_refused(call: PaperBananaCaller):
    missing = "Page 9 is out of range for this PDF (1\u20135)"
    assert refusal(call("POST", "/api/generate-from-pdf", pdf(pages="9"))) == (422, missing)
    for wrong in (pdf(pages="a"), pdf(pages="1-2-3"), pdf(pdf_base64="%%%"), pdf(pdf_base64="aGVsbG8=")):
        status, text = refusal(call("POST", "/api/generate-from-pdf", wrong))
        assert (status, text != "") == (422, True)


def test_paperbanana_pdf_history(call: PaperBananaCaller):
    task = call.submit("/api/generate-from-pdf", **pdf(pages="2-4"))
    params = call.ok("GET", f"/api/admin/history/{task}")["input_params"]
    assert params.pop("text_length") > 100
    assert params == {
        "caption": "Figure 1: Overview", "pages": "2-4", "pdf_path": f"paperbanana/{task}/input.pdf",
    }  # fmt: skip
    assert call.world.blobs[f"paperbanana/{task}/input.pdf"] == paper()


def test_paperbanana_composite_sources(call: PaperBananaCaller):
    first, second = call.submit(), call.submit()
    text = call.submit("/api/optimize-prompt", description="Draw.")
    other = call.new_key()
    assert call("POST", "/api/composite", {"source_task_ids": [first, second]}).status_code == 202
    without = call("POST", "/api/composite", {"source_task_ids": [first, text]})
    assert refusal(without) == (422, f"Task {text} has no image")
    call.world.tasks.finish_after_seconds(60)
    later = call.submit()
    unfinished = call("POST", "/api/composite", {"source_task_ids": [first, later]})
    assert refusal(unfinished) == (422, f"Task {later} is not completed")
    call.key = other
    mine = call.submit()
    foreign = call("POST", "/api/composite", {"source_task_ids": [mine, first]})
    assert refusal(foreign) == (404, "Task not found")


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("1x1", "Layout 1x1 (1 cells) cannot fit 2 images"),
        ("wide", "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: 'wide'"),
        ("1x2x3", "Layout must be 'RxC' (e.g. '2x3') or 'auto'. Got: '1x2x3'"),
        ("axb", "Layout must be 'RxC' with integers. Got: axb"),
        ("0x2", "Layout rows and cols must be >= 1. Got: 0x2"),
    ],
)
def test_paperbanana_composite_layout(layout: str, text: str):
    call = PaperBananaCaller("documents")
    answer = call("POST", "/api/composite", {"source_task_ids": ["task_a", "task_b"], "layout": layout})
    assert refusal(answer) == (422, text)


def test_paperbanana_composite_labels():
    call = PaperBananaCaller("documents")
    answer = call("POST", "/api/composite", {"source_task_ids": ["task_a", "task_b"], "labels": ["(a)"]})
    assert refusal(answer) == (422, "Expected 2 labels, got 1")
    assert call("POST", "/api/composite", {"source_task_ids": ["task_a", "task_b"]}).status_code == 202


def size(call: PaperBananaCaller, task: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(call("GET", f"/api/tasks/{task}/image").content)).size


def test_paperbanana_composite_geometry():
    call = PaperBananaCaller("documents")
    sources = ["task_a", "task_b", "task_c"]
    width, height = size(call, "task_a")
    scaled = min(height, 1200)
    task = call.submit("/api/composite", source_task_ids=sources, layout="1x3", spacing=20, label_font_size=32)
    wide, high = size(call, task)
    assert high == scaled + 32 + 8 + 2 * 20
    assert wide == 3 * round(width * scaled / height) + 4 * 20


# Keys


def test_paperbanana_keys_shown_once(call: PaperBananaCaller):
    created = call.ok("POST", "/api/admin/keys", {"name": "my-app", "quota": 100})
    assert len(created["key"]) == 35
    assert created["key"].startswith("pb_")
    masked = created["key"][:9] + "..."
    assert call.ok("GET", "/api/admin/keys")[0] == {**created, "key": masked}
    assert call.detail(created["key"])["key"] == masked
    assert call.ok("PATCH", f"/api/admin/keys/{created['key']}", {})["key"] == masked


def test_paperbanana_keys_named_by_mask():
    call = PaperBananaCaller("documents")
    assert call.detail("pb_a1b2c3...") == call.detail(SHOWN)
    unknown = (404, "API key not found")
    for mask in ("pb_a1b2c4...", "pb_a1b2...", "pb_a1b2c3", SHOWN[:-1]):
        assert refusal(call("GET", f"/api/admin/keys/{mask}")) == unknown
        assert refusal(call("PATCH", f"/api/admin/keys/{mask}", {})) == unknown
        assert refusal(call("DELETE", f"/api/admin/keys/{mask}")) == unknown
    twin = call.world.table("paperbanana.keys")
    twin["pb_a1b2c3" + "0" * 26] = dict(twin[SHOWN])
    assert refusal(call("GET", "/api/admin/keys/pb_a1b2c3...")) == unknown
    assert call.detail(SHOWN)["name"] == "my-app"


def test_paperbanana_keys_usage_log(call: PaperBananaCaller):
    call.key = call.new_key()
    call.world.tasks.finish_after_seconds(3600)
    first = call.submit()
    for _ in range(99):
        call.submit()
    last = call.submit("/api/optimize-prompt", description="Draw.")
    log = call.detail(call.key)["usage_log"]
    assert len(log) == 100
    assert (log[0]["task_id"], log[0]["endpoint"], log[0]["id"]) == (last, "optimize-prompt", 101)
    assert first not in [entry["task_id"] for entry in log]
    assert call.detail(KEY)["usage_log"] == []


def test_paperbanana_keys_patch(call: PaperBananaCaller):
    key = call.new_key(quota=5, webhook_url="http://127.0.0.1:9/a", webhook_secret="s")
    path = f"/api/admin/keys/{key}"
    assert call.ok("PATCH", path, {"quota_remaining": 150, "quota_total": 200})["quota_remaining"] == 150
    same = call.ok("PATCH", path, {"quota_total": None, "active": None, "webhook_url": None})
    assert (same["quota_total"], same["active"], same["webhook_url"]) == (200, True, "http://127.0.0.1:9/a")
    cleared = call.ok("PATCH", path, {"webhook_url": "", "webhook_secret": "", "quota_remaining": 0})
    assert (cleared["webhook_url"], cleared["quota_remaining"]) == (None, 0)
    assert call.world.table("paperbanana.keys")[key]["webhook_secret"] is None


def test_paperbanana_keys_delete(call: PaperBananaCaller):
    key = call.key = call.new_key()
    task = call.submit()
    assert call("DELETE", f"/api/admin/keys/{key}").content == b""
    assert refusal(call("GET", f"/api/tasks/{task}")) == (401, "Invalid API key")
    assert refusal(call("GET", f"/api/admin/keys/{key}")) == (404, "API key not found")
    assert call.world.table("paperbanana.usage") == {}
    assert call.ok("GET", f"/api/admin/history/{task}")["key_name"] == "team"


def test_paperbanana_keys_newest_first(call: PaperBananaCaller):
    call.new_key(name="one", webhook_secret="hidden")
    call.new_key(name="two")
    listed = call("GET", "/api/admin/keys")
    assert [row["name"] for row in listed.json()] == ["two", "one", "ready-made"]
    assert "hidden" not in listed.text


def test_paperbanana_history_pages(call: PaperBananaCaller):
    call.world.tasks.finish_after_seconds(60)
    tasks = [call.submit() for _ in range(21)]
    call.key = call.new_key()
    other = call.submit("/api/optimize-prompt", description="Draw.")
    first = call.ok("GET", "/api/admin/history")
    assert [item["task_id"] for item in first["items"]] == [other, *reversed(tasks[2:])]
    assert {name: first[name] for name in ("total", "page", "size", "pages")} == {
        "total": 22, "page": 1, "size": 20, "pages": 2,
    }  # fmt: skip
    assert len(call.ok("GET", "/api/admin/history?page=2")["items"]) == 2
    for filter_ in (f"api_key={call.key}", f"api_key={call.key[:9]}...", "endpoint=optimize-prompt"):
        assert [item["task_id"] for item in call.ok("GET", f"/api/admin/history?{filter_}")["items"]] == [other]
    assert call.ok("GET", "/api/admin/history?status=completed")["pages"] == 1
    assert refusal(call("GET", "/api/admin/history/none")) == (404, "Task not found in history")
