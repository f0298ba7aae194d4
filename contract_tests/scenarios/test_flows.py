"""Methods of the clients that make several calls: waiting for runs and tasks, deployments, files, pages."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bananastand.clients import Banana, BananaDev, FalAI, GoBananas, PaperBanana, errors
from bananastand.clients.banana import calls as banana
from bananastand.clients.bananadev import calls as bananadev
from bananastand.clients.falai import calls as falai
from bananastand.clients.gobananas import calls as gobananas
from bananastand.clients.gobananas.models import GeneratedImage
from bananastand.clients.paperbanana import calls as paperbanana
from bananastand.clients.response import RawResponse
from flow_driver import FlowDriver

CHECKED = {"id": "a", "message": "running", "created": 1, "apiVersion": "v4", "modelOutputs": None}
ENDED = {**CHECKED, "message": "success", "modelOutputs": [{"image": "x"}]}
STARTED = {**CHECKED, "callID": "call_1", "finished": False}
DONE = {**ENDED, "callID": "", "finished": True}
INSTANCE = {"id": "abc123", "instance_type": "gpu-1x-a10g", "name": None, "config": {}, "region": "us-west",
            "status": "provisioning", "created_at": "then", "started_at": None, "stopped_at": None}  # fmt: skip
TASK = {"task_id": "a", "status": "running", "diagram_type": "methodology", "image_base64": None, "artifacts": {},
        "description": None, "error": None}  # fmt: skip
COMPLETED = {**TASK, "status": "completed"}


def enveloped(result: Any) -> Any:
    return {"message": "Request completed", "provider": "any", "result": result, "response_headers": {}}


# A way to wait: its flow, what is answered first, while it goes on and at its end, and what is said of it meanwhile.
WAYS: dict[str, tuple[Any, list[Any], Any, Any, str]] = {
    "Banana.wait_for_run": (
        lambda **words: banana.wait_for_run(Banana("k").session, "call_1", **words),
        [], CHECKED, ENDED, "run call_1 is not finished",
    ),
    "Banana.run_and_wait": (
        lambda **words: banana.run_and_wait(Banana("k").session, "m", {"a": 1}, **words),
        [STARTED], CHECKED, ENDED, "run call_1 is not finished",
    ),
    "BananaDev.wait_for_run": (
        lambda **words: bananadev.wait_for_run(BananaDev("k").session, "call_1", "m", **words),
        [], enveloped(CHECKED), enveloped(ENDED), "run call_1 is not finished",
    ),
    "BananaDev.run_and_wait": (
        lambda **words: bananadev.run_and_wait(BananaDev("k").session, "m", {"a": 1}, **words),
        [enveloped(STARTED)], enveloped(CHECKED), enveloped(ENDED), "run call_1 is not finished",
    ),
    "FalAI.wait_for_instance": (
        lambda **words: falai.wait_for_instance(FalAI("k").session, "abc123", **words),
        [], enveloped(INSTANCE), enveloped({**INSTANCE, "status": "active"}), "instance abc123 is provisioning",
    ),
    "PaperBanana.wait_for_task": (
        lambda **words: paperbanana.wait_for_task(PaperBanana("k").session, "a", **words),
        [], TASK, COMPLETED, "task a is running",
    ),
    "PaperBanana.run_and_wait": (
        lambda **words: paperbanana.run_and_wait(PaperBanana("k").session, paperbanana.create_plot([1], "b"), **words),
        [{"task_id": "a", "status": "pending"}], TASK, COMPLETED, "task a is running",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_waiting_polls_every_four_seconds(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, first, meanwhile, end, _ = WAYS[way]
    at, seen = FlowDriver(monkeypatch, *first, meanwhile, meanwhile, end), list[Any]()

    found = at.run(begin(on_check=seen.append))

    assert at.pauses == [4.0, 4.0]
    assert len(seen) == 3
    assert seen[-1] == found


@pytest.mark.parametrize("way", WAYS)
def test_poll_and_deadline_can_be_chosen(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, first, meanwhile, _, text = WAYS[way]
    at = FlowDriver(monkeypatch, *first, meanwhile)

    with pytest.raises(errors.DeadlineExceeded) as caught:
        at.run(begin(poll=7.0, deadline=20.0))

    assert at.pauses == [7.0, 7.0, 6.0]
    assert str(caught.value) == f"{text} after 20 s"


@pytest.mark.parametrize("way", WAYS)
def test_waiting_ends_after_ten_minutes_by_default(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, first, meanwhile, _, text = WAYS[way]
    at = FlowDriver(monkeypatch, *first, meanwhile)

    with pytest.raises(errors.DeadlineExceeded, match=f"{text} after 600 s"):
        at.run(begin())

    assert at.now == 600.0
    assert len(at.pauses) == 150


@pytest.mark.parametrize("way", WAYS)
def test_waiting_ends_when_it_is_cancelled(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, first, meanwhile, _, text = WAYS[way]
    at = FlowDriver(monkeypatch, *first, meanwhile)

    with pytest.raises(errors.CallCancelled) as caught:
        at.run(begin(cancelled=lambda: at.now > 0))

    assert at.pauses == [4.0]
    assert str(caught.value) == f"{text} and no longer waited for"


@pytest.mark.parametrize(
    ("begin", "text"),
    [
        (lambda **words: falai.wait_for_instance(FalAI("k").session, "abc123", **words), "instance abc123 is not seen"),
        (lambda **words: paperbanana.wait_for_task(PaperBanana("k").session, "a", **words), "task a is not seen"),
    ],
)
def test_a_wait_cancelled_before_the_first_poll_says_not_seen(
    begin: Any, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = FlowDriver(monkeypatch)

    with pytest.raises(errors.CallCancelled, match=f"{text} and no longer waited for"):
        at.run(begin(cancelled=lambda: True))
    assert at.sent == []


# Runs ------------------------------------------------------------------------------------------------------------


def test_a_run_on_bananas_own_api(monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, STARTED, CHECKED, ENDED)

    found = at.run(banana.run_and_wait(Banana("k").session, "m", {"a": 1}))

    assert found.model_outputs == [{"image": "x"}]
    assert at.targets == ["POST /start/v4", "POST /check/v4", "POST /check/v4"]
    created = at.bodies[0]["created"]
    assert at.bodies[0] == {"modelKey": "m", "modelInputs": {"a": 1}, "created": created, "apiKey": "k"}
    assert at.bodies[1] == {"callID": "call_1", "created": at.bodies[1]["created"], "apiKey": "k"}


def test_a_run_through_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, *(enveloped(item) for item in (STARTED, CHECKED, ENDED)))

    found = at.run(bananadev.run_and_wait(BananaDev("k").session, "m", {"a": 1}))

    assert found.model_outputs == [{"image": "x"}]
    assert [item.partition("?")[0] for item in at.targets] == [
        "POST /bananadev/v1/run", "POST /bananadev/v1/check", "POST /bananadev/v1/check",
    ]  # fmt: skip
    assert at.bodies == [{"modelKey": "m", "modelInputs": {"a": 1}}, *[{"id": "call_1", "modelKey": "m"}] * 2]


@pytest.mark.parametrize(
    ("flow", "wrapped"),
    [
        (lambda: banana.run_and_wait(Banana("k").session, "m", {}), lambda body: body),
        (lambda: bananadev.run_and_wait(BananaDev("k").session, "m", {}), enveloped),
    ],
)
def test_a_run_that_is_done_at_once_is_not_checked(flow: Any, wrapped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, wrapped(DONE))

    assert at.run(flow()).model_outputs == [{"image": "x"}]
    assert (len(at.sent), at.pauses) == (1, [])


@pytest.mark.parametrize(
    ("flow", "wrapped", "request_"),
    [
        (lambda: banana.run_and_wait(Banana("k").session, "m", {}), lambda body: body, "POST /start/v4"),
        (lambda: bananadev.run_and_wait(BananaDev("k").session, "m", {}), enveloped, "POST /v1/run"),
    ],
)
def test_a_run_without_outputs_or_call_id_is_an_error(
    flow: Any, wrapped: Any, request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.APIRefusedError) as caught:
        FlowDriver(monkeypatch, wrapped({**STARTED, "callID": ""})).run(flow())

    assert str(caught.value) == f"{request_}: neither finished nor to be checked"
    assert caught.value.body == {
        "id": "a", "message": "running", "created": 1, "api_version": "v4", "model_outputs": None,
        "call_id": "", "finished": False,
    }  # fmt: skip


# Deploying -------------------------------------------------------------------------------------------------------

PROJECT = {"id": "p/1", "teamId": "t", "name": "new", "minReplicas": 0, "maxReplicas": 1, "inferenceTimeout": 60,
           "idleTimeout": 10}  # fmt: skip
UPLOAD = {"uploadUrl": "https://store.test/upload/key", "key": "key"}


@pytest.mark.parametrize(
    ("words", "first"),
    [({"name": "new"}, "POST /v1/projects"), ({"project": "p/1"}, "GET /v1/projects/p%2F1"),
     ({"name": ""}, "POST /v1/projects"), ({"project": ""}, "GET /v1/projects/")],
)  # fmt: skip
def test_an_archive_is_put_and_built(words: Any, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, PROJECT, UPLOAD, RawResponse(200, {}, b""), {"id": "build_1"})

    found = at.run(banana.deploy(Banana("k").session, b"archive", **words))

    assert (found.project.id, found.build.id) == ("p/1", "build_1")
    assert at.targets == [
        first, "POST /v1/projects/p%2F1/upload", "PUT /upload/key", "POST /v1/projects/p%2F1/build",
    ]  # fmt: skip
    assert at.sent[2].url == "https://store.test/upload/key"
    assert at.sent[2].content == b"archive"
    assert at.sent[3].content == b'{"key": "key"}'
    if "name" in words:
        assert json.loads(at.sent[0].content or b"") == words


@pytest.mark.parametrize("words", [{}, {"name": "new", "project": "p/1"}])
def test_a_project_is_named_in_one_way(words: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^name a new project or give the id of one that is there$"):
        FlowDriver(monkeypatch).run(banana.deploy(Banana("k").session, b"", **words))


def test_a_run_url_is_a_host_of_its_own_on_the_real_service_only() -> None:
    call = banana.call_project("a b", "/one/two", {"a": 1}, request_id="one")
    real, stand = Banana("k").session.prepare(call), Banana("k", base_url="http://here").session.prepare(call)

    assert (real.url, stand.url) == ("https://a%20b.run.banana.dev/one/two", "http://here/run/a%20b/one/two")
    assert real.headers["X-Banana-Request-Id"] == "one"
    assert real.content == b'{"a": 1}'
    assert Banana("k").session.prepare(banana.call_project("m")).url == "https://m.run.banana.dev/"
    assert Banana("k").session.prepare(banana.call_project("m", "/x")).url == "https://m.run.banana.dev/x"
    assert Banana("k").session.prepare(banana.call_project("m")).content == b"{}"
    assert Banana("k").session.prepare(banana.warmup_project("m")).url == "https://m.run.banana.dev/_k/warmup"
    assert Banana("k").session.prepare(banana.list_projects()).url == "https://api.banana.dev/v1/projects"


# Tasks and files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "text"), [("no data", "no data"), (None, "failed")])
def test_a_task_that_failed_says_why(error: str | None, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, {**TASK, "status": "failed", "error": error})

    with pytest.raises(errors.TaskFailed) as caught:
        at.run(paperbanana.wait_for_task(PaperBanana("k").session, "a"))

    assert str(caught.value) == text
    assert caught.value.task.status == "failed"


@pytest.mark.parametrize(
    ("name", "words", "path"),
    [
        ("a.svg", {}, "GET /api/tasks/a/image?format=svg"),
        ("a.PDF", {}, "GET /api/tasks/a/image?format=pdf"),
        ("a.png", {}, "GET /api/tasks/a/image?format=png"),
        ("a.svg", {"format": "png"}, "GET /api/tasks/a/image?format=png"),
        ("a.jpeg", {}, "GET /api/tasks/a/image"),
    ],
)
def test_a_picture_of_a_task_is_written(
    name: str, words: Any, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = FlowDriver(monkeypatch, RawResponse(200, {"content-type": "image/png"}, b"picture"))

    found = at.run(paperbanana.save(PaperBanana("k").session, "a", tmp_path / name, **words))

    assert (found, found.read_bytes(), at.targets) == (tmp_path / name, b"picture", [path])


@pytest.mark.parametrize("kind", ["image/webp", "application/octet-stream"])
def test_a_picture_of_go_bananas_is_written_from_its_address(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = GeneratedImage(
        id=1, url="https://cdn.test/r2/a.png", thumbnail_url="t", width=1, height=1, format="png", size_bytes=7
    )
    at = FlowDriver(monkeypatch, RawResponse(200, {"content-type": kind}, b"picture"))

    found = at.run(gobananas.save(GoBananas("k").session, image, str(tmp_path / "a.png")))

    assert (found, found.read_bytes()) == (tmp_path / "a.png", b"picture")
    assert (at.sent[0].url, "X-API-Key" in at.sent[0].headers) == ("https://cdn.test/r2/a.png", False)


def test_a_file_that_is_no_picture_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, RawResponse(200, {"content-type": "text/html"}, b"gone"))

    with pytest.raises(errors.APIResponseError, match="text/html is not image/ or application/pdf"):
        at.run(paperbanana.save(PaperBanana("k").session, "a", tmp_path / "a.png"))
    assert list(tmp_path.iterdir()) == []


def test_an_upload_is_a_form_of_one_file() -> None:
    for words in ({}, {"file": b"", "image_url": ""}):
        with pytest.raises(ValueError, match=r"^give a file or an image_url$"):
            gobananas.upload_image(**words)
    call = gobananas.upload_image(b"\x89PNG")
    boundary = call.headers["content-type"].removeprefix("multipart/form-data; boundary=")

    assert len(boundary) == 32
    assert call.content == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="image.png"\r\n'
        f"Content-Type: image/png\r\n\r\n"
    ).encode() + b"\x89PNG" + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip


def test_a_pdf_goes_as_base64() -> None:
    call: Any = paperbanana.create_diagram_from_pdf(b"%PDF-1.4", "Our method")

    assert call.json["pdf_base64"] == base64.b64encode(b"%PDF-1.4").decode()
    plot: Any = paperbanana.create_plot({"a": [1, 2]}, "bars")
    assert plot.json == {"data_json": '{"a": [1, 2]}', "intent": "bars"}
    a_plot: Any = paperbanana.create_plot('{"a": 1}', "bars")
    assert a_plot.json["data_json"] == '{"a": 1}'


# Pages -----------------------------------------------------------------------------------------------------------


class Page:
    """As much of a page as a book reads."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def turned(book: Any, *pages: Page) -> tuple[list[Any], list[Any]]:
    """The items of these pages and the queries they were asked for with; there is no further one."""
    queries, items, call = list[Any](), list[Any](), book.first
    for page in pages:
        queries.append(dict(call.query))
        items += book.items(page)
        call = book.next_request(call, page)
    assert call is None
    return items, queries


def test_the_pages_of_fal() -> None:
    first, last = (
        Page(models=[1, 2], next_cursor="Mg", has_more=True),
        Page(models=[3], next_cursor=None, has_more=False),
    )
    assert turned(falai.each_model(search="flux", limit=2), first, last) == (
        [1, 2, 3], [{"limit": 2, "search": "flux"}, {"limit": 2, "search": "flux", "cursor": "Mg"}],
    )  # fmt: skip
    one = Page(instances=[4], next_cursor="Mg", has_more=False)
    assert turned(falai.each_instance(status="active", limit=1), one) == ([4], [{"status": "active", "limit": 1}])
    lost = Page(models=[], next_cursor=None, has_more=True)
    assert turned(falai.each_model(), lost) == ([], [{}])
    again = Page(models=[], next_cursor="Mg", has_more=True)
    assert turned(falai.each_model(), again, again) == ([], [{}, {"cursor": "Mg"}])


def test_the_pages_of_go_bananas() -> None:
    def at(offset: int, more: bool, limit: int = 2) -> Page:
        return Page(limit=limit, offset=offset, has_more=more)

    first, last = Page(images=[1, 2], pagination=at(0, True)), Page(images=[3], pagination=at(2, False))
    assert turned(gobananas.each_image(search="a", limit=2), first, last) == (
        [1, 2, 3], [{"limit": 2, "search": "a"}, {"limit": 2, "search": "a", "offset": 2}],
    )  # fmt: skip
    one = Page(characters=[4], pagination=at(0, False))
    assert turned(gobananas.each_character(search="b", limit=5), one) == ([4], [{"limit": 5, "search": "b"}])
    by_one = (Page(images=[1], pagination=at(0, True, limit=1)), Page(images=[2], pagination=at(1, False, limit=1)))
    assert turned(gobananas.each_image(), *by_one) == ([1, 2], [{}, {"offset": 1}])
    stuck = Page(images=[], pagination=at(0, True, limit=0))
    assert turned(gobananas.each_image(), stuck) == ([], [{}])
    again = Page(images=[], pagination=at(0, True))
    assert turned(gobananas.each_image(), again, again) == ([], [{}, {"offset": 2}])


def test_the_pages_of_paperbananas_history() -> None:
    filters = {"size": 2, "endpoint": "plot", "status": "failed", "api_key": "pb_0"}
    first, last, empty = Page(items=[1, 2], pages=2), Page(items=[3], pages=2), Page(items=[], pages=9)

    book = paperbanana.each_history_item(size=2, endpoint="plot", status="failed", api_key="pb_0")
    assert turned(book, first, last) == ([1, 2, 3], [filters, {**filters, "page": 2}])
    assert turned(paperbanana.each_history_item(), empty) == ([], [{}])
    assert turned(paperbanana.each_history_item(), Page(items=[1], pages=1)) == ([1], [{}])
