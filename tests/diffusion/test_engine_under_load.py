"""Many requests at once: what each gets, who goes first, and what becomes of those that leave."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

import tiny
from bananastand import cancel
from bananastand.diffusion import Busy, Engine, GenerationRequest, Job, OutOfMemory, Step
from bananastand.diffusion.families import StepFamily
from bananastand.diffusion.policy import POLICIES, Policy, ShortestRemaining, fifo, round_robin


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny.stable_diffusion(tmp_path_factory.mktemp("tokenizer"))


def wish(**fields: Any) -> GenerationRequest:
    return GenerationRequest.parse({"prompt": "two pears", "seed": 7, **fields}, tiny.card())


def some(rng: random.Random) -> GenerationRequest:
    side = rng.choice((24, 32, 32, 32))
    return wish(
        prompt="".join(rng.choices("abcdefgh ", k=12)),
        seed=rng.randrange(10_000),
        num_inference_steps=rng.randint(1, 6),
        guidance_scale=rng.choice((0, 2.5, 7)),
        num_images=rng.choice((1, 1, 1, 2)),
        width=side,
    )


def pixels(job: Job) -> list[np.ndarray]:
    return [np.asarray(picture.image).astype(int) for picture in job.result(60).pictures]


def stepping(engine: Engine, until: threading.Event, steps: int = 50) -> Job:
    """A job that holds the engine at its first step until the event is set."""

    def hold(step: Step) -> None:
        until.wait(20)

    return engine.submit(wish(num_inference_steps=steps, seed=1), hold)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_in_exact_mode_a_picture_is_the_same_in_any_company(pipeline: Any, policy: str, rows: int) -> None:
    rng = random.Random(f"{policy}{rows}")
    requests = [some(rng) for _ in range(24)]
    alone = Engine(tiny.card(), pipeline, rows=rows)
    crowded = Engine(tiny.card(), pipeline, rows=rows, policy=policy)

    jobs = [crowded.submit(request) for request in requests]
    painted = [pixels(job) for job in jobs]  # before the other engine begins, which shares the pipeline

    worst = 0
    for request, pictures in zip(requests, painted, strict=True):
        assert len(pictures) > 0
        for one, other in zip(pixels(alone.submit(request)), pictures, strict=True):
            worst = max(worst, int(np.abs(one - other).max()))
    assert worst == 0


def test_in_fast_mode_a_picture_differs_by_rounding_only(pipeline: Any) -> None:
    rng = random.Random(5)
    requests = [some(rng) for _ in range(16)]
    alone = Engine(tiny.card(), pipeline)
    crowded = Engine(tiny.card(), pipeline, mode="fast", rows=8)

    jobs = [crowded.submit(request) for request in requests]
    painted = [pixels(job) for job in jobs]

    for request, pictures in zip(requests, painted, strict=True):
        assert len(pictures) > 0
        for one, other in zip(pixels(alone.submit(request)), pictures, strict=True):
            assert np.abs(one - other).max() <= 1


def test_guided_and_unguided_requests_share_a_forward_in_fast_mode_only(pipeline: Any) -> None:
    for mode, mixed in (("fast", True), ("exact", False)):
        engine = Engine(tiny.card(), pipeline, mode=mode, rows=2)  # pyright: ignore[reportArgumentType]
        free = threading.Event()
        first = stepping(engine, free, steps=1)
        seen = recorded(engine)
        jobs = [
            engine.submit(wish(num_inference_steps=4, guidance_scale=4)),
            engine.submit(wish(num_inference_steps=4, guidance_scale=0)),
        ]
        free.set()
        for job in (first, *jobs):
            job.result(20)
        assert any(len(rows) == 2 for rows in seen) == mixed


def recorded(engine: Engine) -> list[set[int]]:
    """For each forward from now on, how many rows its pictures have: 2 with guidance, 1 without."""
    seen = list[set[int]]()
    predict = engine.family.predict  # pyright: ignore[reportAttributeAccessIssue]

    def record(batch: Sequence[Any]) -> list[torch.Tensor]:
        seen.append({picture.conditioning.rows for picture in batch})
        return predict(batch)

    engine.family.predict = record  # pyright: ignore[reportAttributeAccessIssue]
    return seen


def order_of_ends(engine: Engine, *steps: int) -> list[int]:
    """Submit one request for each number of steps while the engine is held; who ended in which order."""
    free, ended = threading.Event(), list[int]()
    held = stepping(engine, free, steps=1)
    time.sleep(0.05)

    def told(number: int) -> Callable[[Step], None]:
        return lambda step: ended.append(number) if step.done == step.steps else None

    jobs = [
        engine.submit(wish(num_inference_steps=count, seed=number), told(number)) for number, count in enumerate(steps)
    ]
    free.set()
    for job in (held, *jobs):
        job.result(60)
    return ended


def test_the_shortest_ends_first(pipeline: Any) -> None:
    engine = Engine(tiny.card(), pipeline)
    engine.paint(wish())  # a forward of this size is measured now

    assert order_of_ends(engine, 30, 3, 12) == [1, 2, 0]


def test_fifo_ends_in_the_order_of_arrival(pipeline: Any) -> None:
    assert order_of_ends(Engine(tiny.card(), pipeline, policy=fifo), 30, 3, 12) == [0, 1, 2]


def test_round_robin_steps_each_in_turn(pipeline: Any) -> None:
    engine, seen, free = Engine(tiny.card(), pipeline, policy=round_robin), list[str](), threading.Event()
    held = stepping(engine, free, steps=1)
    jobs = [engine.submit(wish(num_inference_steps=4), lambda step, name=name: seen.append(name)) for name in "ab"]
    free.set()
    for job in (held, *jobs):
        job.result(20)

    assert "".join(seen) in ("abababab", "babababa")


def test_a_policy_is_a_few_lines(pipeline: Any) -> None:
    last_come: Policy = lambda request: -request.number  # noqa: E731

    assert order_of_ends(Engine(tiny.card(), pipeline, policy=last_come), 3, 3, 3) == [2, 1, 0]


@dataclass(frozen=True)
class Ranked:
    number: int
    arrived: float
    stepped: float
    remaining: float


def test_a_long_request_gives_way_only_to_those_that_arrive_soon_enough() -> None:
    policy, long = ShortestRemaining(ageing=0.1), Ranked(0, arrived=100.0, stepped=100.0, remaining=2.5)

    def short(arrived: float) -> Ranked:
        return Ranked(1, arrived, arrived, remaining=0.25)

    assert policy(short(122.0)) < policy(long)
    assert policy(short(123.0)) > policy(long)


def test_of_two_alike_the_first_goes_first_whatever_forwards_took_meanwhile(pipeline: Any) -> None:
    engine = Engine(tiny.card(), pipeline)
    family = cast("StepFamily", engine.family)
    early, late = (Job(wish(num_inference_steps=9), number) for number in (0, 1))
    late.arrived += 1.0
    for job, seconds in ((early, 2.0), (late, 0.1)):  # the machine was slow when the first one came, then fast
        engine._jobs.append(job)
        job.pending = family.begin(job.request)
        job.estimate = engine._estimates[engine._key(job.pending[0])]
        engine._took([(late, job.pending[0])], seconds)

    assert early.remaining == late.remaining > 0
    assert engine._pick([late, early])[0][0] is early


def test_a_long_request_ends_while_short_ones_keep_coming(pipeline: Any) -> None:
    engine = Engine(tiny.card(), pipeline, policy=ShortestRemaining(ageing=0.5))
    step = engine.paint(wish(num_inference_steps=10)).timings["denoise"] / 10
    long = engine.submit(wish(num_inference_steps=20))
    bound = time.monotonic() + 20 * step / 0.5 + 10.0
    shorts = list[Job]()
    while not long.over and time.monotonic() < bound:
        shorts = [job for job in shorts if not job.over]
        while len(shorts) < 3:  # always one more that is shorter
            shorts.append(engine.submit(wish(num_inference_steps=2, seed=time.monotonic_ns() % 1000)))
        time.sleep(step)

    assert long.over
    for job in shorts:
        job.result(20)


def test_a_cancelled_job_frees_its_rows_at_the_next_step(pipeline: Any) -> None:
    engine, seen = Engine(tiny.card(), pipeline), list[int]()

    def leave(step: Step) -> None:
        seen.append(step.done)
        if step.done == 3:
            job.cancel("changed my mind")

    ready = threading.Event()
    job = engine.submit(wish(num_inference_steps=50), lambda step: ready.wait(10) and leave(step))
    ready.set()

    with pytest.raises(cancel.Cancelled, match="changed my mind"):
        job.result(20)
    assert seen == [1, 2, 3]


def test_a_job_out_of_time_ends_although_another_paints(pipeline: Any) -> None:
    engine, free = Engine(tiny.card(), pipeline), threading.Event()
    held = stepping(engine, free, steps=2)
    with cancel.scope(cancel.Token(timeout=0.05)):
        late = engine.submit(wish(num_inference_steps=50))
    time.sleep(0.1)
    free.set()

    with pytest.raises(cancel.Cancelled, match="out of time"):
        late.result(20)
    assert held.result(20).pictures


def test_a_full_queue_says_when_to_come_back(pipeline: Any) -> None:
    engine, free = Engine(tiny.card(), pipeline, queue=2), threading.Event()
    jobs = [stepping(engine, free, steps=2), engine.submit(wish())]

    with pytest.raises(Busy, match=r"busy: too many requests are waiting; retry after \d+ s") as caught:
        engine.submit(wish())

    assert caught.value.retry_after >= 1
    free.set()
    for job in jobs:
        job.result(20)
    assert engine.paint(wish()).pictures


def test_one_listeners_error_ends_its_own_job_only(pipeline: Any) -> None:
    engine, free = Engine(tiny.card(), pipeline, rows=2), threading.Event()
    held = stepping(engine, free, steps=1)

    def broken(step: Step) -> None:
        raise RuntimeError("the listener broke")

    bad, good = engine.submit(wish(), broken), engine.submit(wish(seed=8))
    free.set()

    with pytest.raises(RuntimeError, match="the listener broke"):
        bad.result(20)
    assert good.result(20).pictures
    assert held.result(20).pictures


def short_of_memory(engine: Engine, fits: Callable[[int, int], bool]) -> None:
    """Let forwards fail unless fits(rows, requests in the engine)."""
    predict = engine.family.predict  # pyright: ignore[reportAttributeAccessIssue]

    def limited(batch: Sequence[Any]) -> list[torch.Tensor]:
        if not fits(len(batch), len(engine._jobs)):  # pyright: ignore[reportPrivateUsage]
            raise torch.OutOfMemoryError("tried to allocate")
        return predict(batch)

    engine.family.predict = limited  # pyright: ignore[reportAttributeAccessIssue]


def test_in_fast_mode_less_memory_means_fewer_rows(tmp_path: Path) -> None:
    engine = Engine(tiny.card(), tiny.stable_diffusion(tmp_path), mode="fast", rows=8)
    short_of_memory(engine, lambda rows, requests: rows <= 2)
    free = threading.Event()
    held = stepping(engine, free, steps=1)
    jobs = [engine.submit(wish(seed=seed)) for seed in range(8)]
    free.set()

    assert all(job.result(30).pictures for job in (held, *jobs))
    assert engine.rows == 2


def test_in_exact_mode_a_request_without_room_waits_until_the_others_have_left(tmp_path: Path) -> None:
    engine = Engine(tiny.card(), tiny.stable_diffusion(tmp_path), policy=fifo)
    alone = engine.paint(wish(width=64, height=64)).pictures[0].image.tobytes()
    large = threading.Event()
    predict = engine.family.predict  # pyright: ignore[reportAttributeAccessIssue]

    def limited(batch: Sequence[Any]) -> list[torch.Tensor]:
        others = [job for job in engine._jobs if not job.over]  # pyright: ignore[reportPrivateUsage]
        if batch[0].request.width == 64 and len(others) > 1:
            large.set()
            raise torch.OutOfMemoryError("tried to allocate")
        return predict(batch)

    engine.family.predict = limited  # pyright: ignore[reportAttributeAccessIssue]
    free = threading.Event()
    held = stepping(engine, free, steps=1)
    big, small = engine.submit(wish(width=64, height=64)), engine.submit(wish(num_inference_steps=3))
    free.set()

    assert big.result(30).pictures[0].image.tobytes() == alone
    assert small.result(30).pictures
    assert held.result(30).pictures
    assert large.is_set()


def test_in_exact_mode_a_request_that_does_not_fit_alone_fails_clearly(tmp_path: Path) -> None:
    engine = Engine(tiny.card(), tiny.stable_diffusion(tmp_path))
    short_of_memory(engine, lambda rows, requests: False)

    with pytest.raises(OutOfMemory, match="tiny ran out of memory on cpu; ask for a smaller picture"):
        engine.paint(wish())


def test_fast_mode_measures_its_rows_at_warm_up(pipeline: Any) -> None:
    engine = Engine(tiny.card(), pipeline, mode="fast")
    engine.warm_up()

    assert engine.rows in (1, 2, 4, 8, 16)


def test_exact_mode_paints_one_at_a_time_at_sizes_where_company_matters(tmp_path: Path, caplog: Any) -> None:
    engine = Engine(tiny.card(), tiny.stable_diffusion(tmp_path), rows=4)
    seen = list[tuple[int, int]]()
    predict = engine.family.predict  # pyright: ignore[reportAttributeAccessIssue]

    def uneven(batch: Sequence[Any]) -> list[torch.Tensor]:
        seen.append((batch[0].request.width, len(batch)))
        wide = 1e-7 * (batch[0].request.width == 32)
        return [rows + wide * place for place, rows in enumerate(predict(batch))]

    engine.family.predict = uneven  # pyright: ignore[reportAttributeAccessIssue]
    engine.paint(wish(width=32, num_inference_steps=2))
    engine.paint(wish(width=16, num_inference_steps=2))

    assert seen[-2:] == [(16, 4), (16, 4)]
    assert [size for size in seen if size == (32, 1)] == [(32, 1), (32, 1)]
    assert "forwards of 4 pictures of 32 x 32 are not exact here: those are painted 1 at a time" in caplog.text
    assert "16 x" not in caplog.text


def test_exact_mode_takes_the_most_rows_at_which_company_does_not_matter(tmp_path: Path) -> None:
    engine = Engine(tiny.card(), tiny.stable_diffusion(tmp_path), rows=4)
    seen = list[int]()
    predict = engine.family.predict  # pyright: ignore[reportAttributeAccessIssue]

    def even_at_two(batch: Sequence[Any]) -> list[torch.Tensor]:
        seen.append(len(batch))
        return [rows + 1e-7 * (len(batch) > 2) * place for place, rows in enumerate(predict(batch))]

    engine.family.predict = even_at_two  # pyright: ignore[reportAttributeAccessIssue]
    engine.paint(wish(num_inference_steps=2))

    assert seen[-2:] == [2, 2]


def test_exact_mode_asks_once_for_each_size_and_guidance(pipeline: Any) -> None:
    engine = Engine(tiny.card(), pipeline, rows=4)
    seen = recorded(engine)
    for fields in ({"guidance_scale": 4}, {"guidance_scale": 0}, {"guidance_scale": 4}):
        engine.paint(wish(num_inference_steps=2, **fields))

    assert len(seen) == 3 * 2 + 2 * (1 + 4)


def test_many_threads_may_paint_at_once(pipeline: Any) -> None:
    engine = Engine(tiny.card(), pipeline)
    alone = [engine.paint(wish(seed=seed)).pictures[0].image.tobytes() for seed in range(8)]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: engine.paint(wish(seed=seed)).pictures[0].image.tobytes(), range(8)))

    assert together == alone


def test_the_threads_of_an_engine_end_with_it(tmp_path: Path) -> None:
    before = threading.active_count()
    for _ in range(3):
        engine = Engine(tiny.card(), tiny.stable_diffusion(tmp_path))
        engine.paint(wish())
    del engine

    for _ in range(100):
        gc.collect()
        if threading.active_count() <= before:
            break
        time.sleep(0.02)
    assert threading.active_count() <= before
