"""The desk's client of Banana, against the mock; the wheel brings neither `mocks` nor `models`."""

from pathlib import Path

import pytest

import mocks
import models
from desk.clients import Banana

HERE = Path(__file__).resolve().parents[1]


def test_a_picture_is_waited_for(banana_native, stand):
    stand.tasks.finish_after_polls(1)
    assert Banana(banana_native.base_url, banana_native.key).paint("value", "a ripe banana")
    assert [call.operation for call in stand.journal] == ["start_run", "check_run", "check_run"]


def test_an_error_inside_a_200(banana_native):
    with pytest.raises(RuntimeError, match="Model not found"):
        Banana(banana_native.base_url, banana_native.key).paint("nobody", "a ripe banana")


def test_our_own_folders_are_ours():
    assert Path(mocks.__file__) == HERE / "mocks" / "__init__.py"
    assert Path(models.__file__) == HERE / "models" / "__init__.py"
