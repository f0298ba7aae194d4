"""The engine's options as environment variables."""

from __future__ import annotations

import pytest

import tiny
from bananastand.diffusion import Engine
from bananastand.diffusion.environment import options_from_environment
from bananastand.diffusion.policy import fifo


def test_unset_options_keep_the_engines_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANANASTAND_MODE", "")

    assert options_from_environment() == {}


def test_all_options_reach_the_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, value in {"MODE": "fast", "POLICY": "fifo", "ROWS": "3", "QUEUE": " 5 "}.items():
        monkeypatch.setenv(f"BANANASTAND_{name}", value)

    pipeline = tiny.stable_diffusion(tmp_path_factory.mktemp("a"))
    engine = Engine(tiny.model_file(), pipeline, **options_from_environment())

    assert (engine.mode, engine.policy, engine.batch_size, engine.queue) == ("fast", fifo, 3, 5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BANANASTAND_MODE", "exacter", "mode is 'exacter'; exact and fast are known"),
        ("BANANASTAND_POLICY", "lifo", "policy is 'lifo'; shortest, fifo, round-robin are known"),
        ("BANANASTAND_ROWS", "0", "BANANASTAND_ROWS is '0'; a whole number from 1 to 10000 is allowed"),
        ("BANANASTAND_QUEUE", "many", "BANANASTAND_QUEUE is 'many'"),
    ],
)
def test_an_invalid_option_fails_with_its_name_and_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValueError, match=message):
        Engine(tiny.model_file(), tiny.stable_diffusion(tmp_path_factory.mktemp("a")), **options_from_environment())
