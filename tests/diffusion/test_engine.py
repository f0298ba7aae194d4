"""The engine: seeds, steps, previews, cancellation, loading, and pipelines without an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from bananastand import cancel
from bananastand.diffusion import Engine, GenerationRequest, LoadError, Step, encode
from bananastand.diffusion.responses import response_body, response_events


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tiny.model_file(), tiny.stable_diffusion(tmp_path_factory.mktemp("tokenizer")))


def wish(engine: Engine, **fields: Any) -> GenerationRequest:
    return GenerationRequest.parse({"prompt": "two pears", "seed": 7, **fields}, engine.model)


def test_the_same_seed_paints_the_same_bytes(engine: Engine) -> None:
    first, second = (encode(engine.paint(wish(engine)).pictures[0].image, "png") for _ in range(2))

    assert first == second
    assert first != encode(engine.paint(wish(engine, seed=8)).pictures[0].image, "png")


def test_picture_i_is_the_single_picture_of_seed_plus_i(engine: Engine) -> None:
    three = engine.paint(wish(engine, num_images=3)).pictures

    assert [picture.seed for picture in three] == [7, 8, 9]
    for picture in three:
        (alone,) = engine.paint(wish(engine, seed=picture.seed)).pictures
        assert encode(picture.image, "png") == encode(alone.image, "png")


def test_every_step_is_reported(engine: Engine) -> None:
    seen: list[Step] = []
    engine.paint(wish(engine, num_images=2, num_inference_steps=3), seen.append)

    assert [(step.index, step.done, step.steps) for step in seen] == [
        (0, 1, 3),
        (0, 2, 3),
        (0, 3, 3),
        (1, 1, 3),
        (1, 2, 3),
        (1, 3, 3),
    ]
    assert {step.images for step in seen} == {2}


def test_a_preview_is_a_picture_and_changes_nothing(engine: Engine) -> None:
    sizes: list[Any] = []

    def look(step: Step) -> None:
        preview = step.preview()
        assert preview is not None
        sizes.append(preview.size)

    looked_at = engine.paint(wish(engine), look).pictures[0].image

    assert sizes == [(32, 32)] * 4
    assert looked_at.tobytes() == engine.paint(wish(engine)).pictures[0].image.tobytes()


def test_a_cancelled_request_ends_at_the_next_step(engine: Engine) -> None:
    token, seen = cancel.Token(), list[int]()

    def leave(step: Step) -> None:
        seen.append(step.done)
        if step.done == 2:
            token.cancel("the caller is gone")

    with cancel.scope(token), pytest.raises(cancel.Cancelled, match="the caller is gone"):
        engine.paint(wish(engine, num_inference_steps=50), leave)

    assert seen == [1, 2]
    assert engine.paint(wish(engine)).pictures  # the engine is free again


def test_a_request_that_is_already_out_of_time_never_starts(engine: Engine) -> None:
    with cancel.scope(cancel.Token(timeout=0)), pytest.raises(cancel.Cancelled):
        engine.paint(wish(engine), lambda step: pytest.fail("a step was made"))


def test_an_error_in_the_step_hook_leaves_the_engine_usable(engine: Engine) -> None:
    def broken(step: Step) -> None:
        raise RuntimeError("the listener broke")

    with pytest.raises(RuntimeError, match="the listener broke"):
        engine.paint(wish(engine), broken)
    assert engine.paint(wish(engine)).pictures


def test_timings_name_the_parts_and_add_up(engine: Engine) -> None:
    timings = engine.paint(wish(engine)).timings

    assert list(timings) == ["waited", "prompt", "denoise", "decode", "total"]
    assert sum(timings.values()) - timings["total"] == pytest.approx(timings["total"], abs=1e-3)


def test_an_answer_has_the_keys_banana_users_read(engine: Engine) -> None:
    body = response_body(engine, engine.paint(wish(engine, num_images=2, format="jpeg")))

    assert list(body) == ["output", "images", "model", "mode", "precision", "timings"]
    assert body["output"] == body["images"][0]["base64"]
    assert [{k: v for k, v in image.items() if k != "base64"} for image in body["images"]] == [
        {"format": "jpeg", "width": 32, "height": 32, "seed": 7},
        {"format": "jpeg", "width": 32, "height": 32, "seed": 8},
    ]
    assert (body["model"], body["mode"], body["precision"]) == ("tiny", "exact", "float32")


def test_events_are_queued_every_step_with_previews_and_the_result(engine: Engine) -> None:
    events = list(response_events(engine, wish(engine, num_inference_steps=6)))

    assert [name for name, _ in events] == ["queued", *["step"] * 6, "result"]
    assert [data["step"] for name, data in events if name == "step"] == [1, 2, 3, 4, 5, 6]
    assert ["preview" in data for name, data in events if name == "step"] == [False, False, False, True, False, False]
    assert events[-1][1]["output"] == response_body(engine, engine.paint(wish(engine, num_inference_steps=6)))["output"]


def test_closing_the_events_cancels_the_work(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    predict, forwards = engine.family.predict, list[int]()
    monkeypatch.setattr(engine.family, "predict", lambda batch: forwards.append(len(batch)) or predict(batch))
    events = response_events(engine, wish(engine, num_inference_steps=50, num_images=4))
    assert next(events)[0] == "queued"
    assert next(events)[0] == "step"
    events.close()
    engine.paint(wish(engine))

    assert len(forwards) < 4 * 50


def test_a_pipeline_without_an_adapter_paints_as_it_does_alone(tmp_path: Path) -> None:
    pipeline = tiny.strange(tmp_path)
    engine = Engine(tiny.model_file(pipeline="StrangePipeline"), pipeline)
    steps: list[tuple[int, int, int]] = []

    painting = engine.paint(
        wish(engine, num_images=2, num_inference_steps=3), lambda s: steps.append((s.index, s.done, s.steps))
    )

    assert steps == [(0, 1, 3), (0, 2, 3), (0, 3, 3), (1, 1, 3), (1, 2, 3), (1, 3, 3)]
    for picture in painting.pictures:
        stock = pipeline(
            "two pears",
            num_inference_steps=3,
            guidance_scale=4.0,
            width=32,
            height=32,
            generator=torch.Generator("cpu").manual_seed(picture.seed),
            output_type="np",
        ).images[0]
        assert np.array_equal(np.asarray(picture.image), np.round(stock * 255).astype(np.uint8))


def test_a_whole_pipeline_is_cancelled_between_its_steps(tmp_path: Path) -> None:
    pipeline = tiny.strange(tmp_path)
    engine, token = Engine(tiny.model_file(), pipeline), cancel.Token()

    with cancel.scope(token), pytest.raises(cancel.Cancelled):
        engine.paint(wish(engine), lambda step: token.cancel())


def test_a_model_that_is_not_here_says_how_to_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(LoadError, match=r"the weights of sdxl-base are not all here; .*python download.py sdxl-base"):
        Engine.load("sdxl-base")


def test_broken_weights_give_one_line(tmp_path: Path) -> None:
    pipeline = tiny.stable_diffusion(tmp_path / "tokenizer")
    pipeline.save_pretrained(tmp_path / "tiny")
    (tmp_path / "tiny" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"not tensors")
    from bananastand.diffusion.loading import load_pipeline

    model = tiny.model_file().model_copy(update={"path": tmp_path / "tiny"})

    with pytest.raises(LoadError) as caught:
        load_pipeline(model, "cpu")
    assert str(caught.value).startswith("tiny could not be loaded from ")
    assert "\n" not in str(caught.value)


def test_a_saved_pipeline_loads_and_paints_the_same(tmp_path: Path) -> None:
    from bananastand.diffusion.loading import load_pipeline

    pipeline = tiny.stable_diffusion(tmp_path / "tokenizer")
    pipeline.save_pretrained(tmp_path / "tiny")
    model = tiny.model_file().model_copy(update={"path": tmp_path / "tiny"})
    loaded, built = Engine(model, load_pipeline(model, "cpu")), Engine(model, pipeline)

    assert (
        loaded.paint(wish(loaded)).pictures[0].image.tobytes() == built.paint(wish(built)).pictures[0].image.tobytes()
    )
