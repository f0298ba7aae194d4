"""The GPUs that the platform gives to replicas."""

from __future__ import annotations

import pynvml
import pytest

from bananastand.platform.settings import list_gpus


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver with three GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 3)


def test_each_gpu_of_the_driver_is_used() -> None:
    assert list_gpus() == ("0", "1", "2")


@pytest.mark.parametrize(("value", "gpus"), [("2, 0", ("2", "0")), ("", ()), ("-1", ())])
def test_cuda_visible_devices_decides_where_it_is_set(
    value: str, gpus: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)

    assert list_gpus() == gpus


def test_a_machine_without_a_driver_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.setattr("pathlib.Path.glob", lambda folder, pattern: iter(()))

    assert list_gpus() == ()
