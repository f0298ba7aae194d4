"""What every error of the clients can do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from bananastand.clients import FalQueue, errors

WORDS: dict[type[Exception], dict[str, Any]] = {
    errors.APIStatusError: {"request": "GET /a", "status": 429, "headers": {"retry-after": "1"}, "body": {"a": [1]}},
    errors.APIConnectionError: {"request": "GET /a", "sent": False},
    errors.APIRefusedError: {"request": "GET /a", "body": {"a": 1}, "task": {"id": 1}},
    errors.APIError: {"request": "GET /a", "body": "text"},
    errors.TaskFailed: {"task": {"id": 1}},
    errors.DeadlineExceeded: {"task": {"id": 1}},
    errors.ClockStopped: {"task": {"id": 1}},
}
CLASSES = [value for value in map(errors.__dict__.get, errors.__all__) if isinstance(value, type)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_passes_between_processes(kind: type[Exception], again: Any) -> None:
    words = next((words for base, words in WORDS.items() if issubclass(kind, base)), {})
    error = kind("it failed", **words)
    error.add_note("a note")

    other = again(error)

    assert type(other) is kind
    assert (str(other), repr(other), vars(other)) == (str(error), repr(error), vars(error))


def test_the_password_of_an_address_is_in_no_repr() -> None:
    with FalQueue("key", base_url="http://me:p4ssw0rd@127.0.0.1:9") as fal:
        assert "p4ssw0rd" not in repr(fal.session) + repr(fal)
