"""Clients and mocks together: images, characters, tasks, keys and webhooks, with both kinds of client."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bananastand.clients.errors import (
    AuthenticationError,
    BadRequestError,
    DeadlineExceeded,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    TaskFailed,
    UnprocessableError,
)
from bananastand.clients.gobananas import AsyncGoBananas, GoBananas
from bananastand.clients.paperbanana import AsyncPaperBanana, PaperBanana, calls, verify_webhook
from both_clients import client_of


@pytest.fixture(params=["sync", "async"])
def bananas(request: pytest.FixtureRequest, gobananas: Any) -> Iterator[Any]:
    with client_of(request.param, gobananas, GoBananas, AsyncGoBananas) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
def paper(request: pytest.FixtureRequest, paperbanana: Any) -> Iterator[Any]:
    with client_of(
        request.param, paperbanana, PaperBanana, AsyncPaperBanana, admin_key=paperbanana.admin_key
    ) as client:
        yield client


def test_the_life_of_an_image(bananas: Any, tmp_path: Path) -> None:
    created = bananas.create_image("a banana stand by the sea", n=2, aspect_ratio="16:9", seed=7)
    first, second = created.images
    assert (first.width, first.height) == (1820, 1024)

    saved = bananas.save(first, tmp_path / "stand.png")
    assert len(saved.read_bytes()) == first.size_bytes
    with Image.open(saved) as opened:
        assert opened.size == (1820, 1024)

    found = bananas.get_image(first.id)
    assert (found.prompt, found.seed, found.operation_type) == ("a banana stand by the sea", 7, "generate")
    assert bananas.get_file(found.r2_key, download=True) == saved.read_bytes()

    edited = bananas.continue_image("in the rain", image_id=second.id).images[0]
    history = bananas.get_image(edited.id).edit_history
    assert [(item.id, item.operation_type) for item in history] == [(second.id, "generate"), (edited.id, "edit")]
    session = bananas.get_session(created.session_id)
    assert (session.total_images, session.total_edits) == (3, 1)

    deleted = bananas.delete_images([second.id, 999_999])
    assert (deleted.deleted, [item.id for item in deleted.failed]) == ([second.id], [999_999])
    assert bananas.delete_image(first.id) is None
    with pytest.raises(NotFoundError):
        bananas.get_image(first.id)


def test_images_page_by_page(bananas: Any) -> None:
    ids = [image.id for _ in range(3) for image in bananas.create_image("a red pear", n=2).images]
    bananas.create_image("a green pear")

    assert [image.id for image in bananas.each_image(search="RED", limit=4)] == ids[::-1]
    assert bananas.list_images(search="red", limit=4).pagination.has_more is True


def test_an_uploaded_picture_is_continued(bananas: Any) -> None:
    with io.BytesIO() as buffer:
        Image.new("RGB", (64, 48), "orange").save(buffer, "PNG")
        file = buffer.getvalue()

    uploaded = bananas.upload_image(file)
    assert (uploaded.width, uploaded.height, uploaded.format) == (64, 48, "png")
    again = bananas.upload_for_editing("data:image/png;base64," + base64.b64encode(file).decode())
    continued = bananas.continue_image("with a leaf").images[0]
    assert bananas.get_image(continued.id).parent_id == again.image_id
    with pytest.raises(BadRequestError):
        bananas.upload_image(b"no picture at all")


def test_characters_and_presets(bananas: Any) -> None:
    created = bananas.create_character("Bo", "a banana with a hat", tags=["fruit"])
    assert bananas.update_character(created.id, description="an old one").base_prompt == "a banana with a hat"
    assert [item.id for item in bananas.each_character(search="Bo")] == [created.id]
    preset = bananas.create_style_preset("watercolour", "in watercolour")
    assert preset.id in [item.id for item in bananas.list_style_presets().presets]

    image = bananas.create_image("at sea", character_id=created.id, style_preset_name="watercolour").images[0]
    found = bananas.get_image(image.id)
    assert (found.character_id, found.style_preset_id) == (created.id, preset.id)

    assert bananas.delete_character(created.id).deleted is True
    assert bananas.delete_style_preset(preset.id).id == preset.id


def test_usage_counts_images(bananas: Any) -> None:
    before = bananas.get_profile().tenant.quotas
    created = bananas.create_image("a pear", n=2)

    usage = bananas.get_usage(days=1)
    after = bananas.get_profile().tenant.quotas
    assert usage.summary.total_images == 2
    assert after.used_mb > before.used_mb
    assert created.session_id in [session.session_id for session in bananas.list_sessions().sessions]


def test_a_spent_quota_is_an_error(bananas: Any, stand: Any) -> None:
    image = bananas.get_image(bananas.create_image("a pear").images[0].id)
    stand.world.settings |= {"gobananas.monthly_mb": 0, "gobananas.quota_status": 402}

    with pytest.raises(PaymentRequiredError, match="Quota exceeded"):
        bananas.create_image("a pear")
    with pytest.raises(PaymentRequiredError):
        bananas.continue_image("in the rain")
    with pytest.raises(PaymentRequiredError):
        bananas.upload_image(image_url=image.url)
    with pytest.raises(PaymentRequiredError):
        bananas.upload_for_editing(image.url)


def test_a_rate_limit_is_waited_for_until_its_reset(bananas: Any, stand: Any) -> None:
    stand.limits.set("gobananas", 1, 3600)
    bananas.get_profile()

    with pytest.raises(RateLimitError) as caught:
        bananas.get_profile()

    assert int(caught.value.headers["x-ratelimit-remaining"]) == 0
    assert caught.value.body["code"] == "RATE_LIMITED"


def test_the_life_of_a_plot(paper: Any, stand: Any, tmp_path: Path) -> None:
    stand.tasks.finish_after_polls(2)
    seen: list[str] = []

    task = paper.run_and_wait(
        calls.create_plot({"a": 1, "b": 2}, "compare the two as bars", output_formats=["png", "svg", "pdf"]),
        poll=0.01,
        on_check=lambda task: seen.append(task.status),
    )

    assert seen[-1] == "completed"
    assert set(seen[:-1]) <= {"pending", "running"}
    assert set(task.artifacts) == {"png", "svg", "pdf"}
    assert base64.b64decode(task.image_base64).startswith(b"\x89PNG")
    assert paper.save(task.task_id, tmp_path / "bars.pdf").read_bytes().startswith(b"%PDF")
    assert paper.save(task.task_id, tmp_path / "bars.svg").read_bytes().lstrip().startswith(b"<")
    assert paper.get_history(task.task_id).endpoint == "plot"


def test_figures_are_put_together(paper: Any, stand: Any) -> None:
    stand.tasks.finish_immediately()
    first, second = (
        paper.run_and_wait(calls.create_diagram(f"The encoder feeds the decoder {n}.", "Our method"), poll=0.01)
        for n in (1, 2)
    )

    both = paper.run_and_wait(calls.create_composite([first.task_id, second.task_id], layout="1x2"), poll=0.01)

    assert both.diagram_type == "composite"
    with Image.open(io.BytesIO(paper.get_task_image(both.task_id))) as opened:
        assert opened.width > opened.height
    with pytest.raises(UnprocessableError, match="Layout must be"):
        paper.create_composite([first.task_id, second.task_id], layout="sideways")


def test_a_description_is_rewritten(paper: Any, stand: Any) -> None:
    stand.tasks.finish_immediately()

    task = paper.run_and_wait(calls.optimize_prompt("3 encoders and 1 decoder", guidelines="no red"), poll=0.01)

    assert task.image_base64 is None
    assert "3" in task.description
    with pytest.raises(NotFoundError):
        paper.get_task_image(task.task_id)


def test_a_task_that_fails(paper: Any, stand: Any) -> None:
    stand.tasks.finish_immediately()
    stand.tasks.fail_next(1)

    with pytest.raises(TaskFailed) as caught:
        paper.run_and_wait(calls.create_plot([1, 2], "a line"), poll=0.01)

    assert caught.value.task.error == str(caught.value)


def test_a_task_that_takes_too_long(paper: Any, stand: Any) -> None:
    stand.tasks.finish_after_polls(1000)

    with pytest.raises(DeadlineExceeded):
        paper.run_and_wait(calls.create_plot([1, 2], "a line"), poll=0.01, deadline=0.05)


def test_the_life_of_a_key_with_a_quota(paper: Any, paperbanana: Any, stand: Any) -> None:
    new_key = paper.create_key("mine", quota=2)
    assert new_key.quota_remaining == 2
    with PaperBanana(new_key.key, base_url=paperbanana.base_url, strict=True) as mine:
        for _ in range(2):
            mine.create_plot([1, 2], "a line")
        with pytest.raises(PermissionDeniedError, match="Quota exhausted"):
            mine.create_plot([1, 2], "a line")
        paper.update_key(new_key.key, quota_remaining=1)
        mine.create_plot([1, 2], "a line")
        assert len(paper.get_key(new_key.key).usage_log) == 3
        assert [item.endpoint for item in paper.each_history_item(api_key=new_key.key, size=2)] == ["plot"] * 3
        paper.update_key(new_key.key, active=False)
        with pytest.raises(PermissionDeniedError, match="API key is disabled"):
            mine.create_plot([1, 2], "a line")
        assert paper.delete_key(new_key.key) is None
        with pytest.raises(AuthenticationError, match="Invalid API key"):
            mine.create_plot([1, 2], "a line")
    assert new_key.name not in [key.name for key in paper.list_keys()]


def test_a_task_tells_its_webhook_and_the_signature_holds(paper: Any, paperbanana: Any, stand: Any,
                                                          httpserver: HTTPServer) -> None:  # fmt: skip
    got: list[Request] = []

    def take(request: Request) -> Response:
        got.append(request)
        request.get_data()
        return Response(status=500 if len(got) == 1 else 204)

    httpserver.expect_request("/hook").respond_with_handler(take)
    key = paper.create_key("hooked", webhook_url=httpserver.url_for("/hook"), webhook_secret="hush")
    stand.tasks.finish_immediately()
    with PaperBanana(key.key, base_url=paperbanana.base_url) as mine:
        task_id = mine.create_plot([1, 2], "a line").task_id
    stand.clock.advance(10)

    assert stand.journal.deliveries(task_id).waits == [0, 5]
    body, signature = got[-1].get_data(), got[-1].headers["X-PaperBanana-Signature"]
    assert verify_webhook(body, signature, "hush")
    assert not verify_webhook(body + b" ", signature, "hush")
    assert not verify_webhook(body, None, "hush")
    assert paper.get_history(task_id).webhook_status == "delivered"


def test_the_health_check_answers(paperbanana: Any) -> None:
    with PaperBanana(base_url=paperbanana.base_url) as nobody:
        assert nobody.get_health().status == "ok"
