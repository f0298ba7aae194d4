"""The options of each call: its timeout, whether it is retried, which key it uses."""

from __future__ import annotations

import importlib

import pytest

from bananastand.clients.request import ClientRequest
from client_calls import CASES, Case

MODULES = {"banana-native": "banana", "fal-queue": "falqueue"}
TIMEOUTS = {
    "banana-native.start_run": 70.0,  # held for a minute
    "banana-native.check_run": 70.0,
    "banana-native.put_upload": 320.0,
    "banana-native.warmup_project": 320.0,  # a call may take five minutes
    "banana-native.call_project": 320.0,
    "fal-queue.run": 600.0,
    "gobananas.create_image": 180.0,
    "gobananas.continue_image": 180.0,
}
# What is not a GET and yet does no harm when it is done twice.
TWICE = {
    "bananadev.check_run",
    "falai.delete_instance",
    "banana-native.check_run",
    "banana-native.update_project",
    "banana-native.put_upload",
    "fal-queue.cancel",
    "gobananas.delete_image",
    "gobananas.delete_character",
    "gobananas.delete_style_preset",
    "paperbanana.update_key",
    "paperbanana.delete_key",
}
WITHOUT_A_KEY = {
    "bananadev.get_base", "banana-native.put_upload", "fal-queue.get_webhook_keys", "paperbanana.get_health",
}  # fmt: skip
BY_THE_ADMIN = {
    f"paperbanana.{text}"
    for text in ("list_keys", "create_key", "get_key", "update_key", "delete_key", "list_history", "get_history")
}


def built(case: Case) -> ClientRequest[object]:
    """The call of a case, by its builder."""
    calls = importlib.import_module(f"bananastand.clients.{MODULES.get(case.provider, case.provider)}.calls")
    return getattr(calls, case.operation)(*case.required, **case.optional)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_slow_operation_has_a_longer_timeout(case: Case) -> None:
    assert built(case).timeout == TIMEOUTS.get(str(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_only_idempotent_operations_are_retried(case: Case) -> None:
    call = built(case)

    assert call.repeatable == (call.method == "GET" or str(case) in TWICE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_admin_operation_uses_the_admin_key(case: Case) -> None:
    call = built(case)

    assert (call.unsigned, call.admin) == (str(case) in WITHOUT_A_KEY, str(case) in BY_THE_ADMIN)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_only_run_urls_have_their_own_retry_table(case: Case) -> None:
    call = built(case)

    if case.operation in ("warmup_project", "call_project"):
        assert call.retry is not None
        assert (call.retry.statuses, call.retry.first, call.retry.longest, call.retry.total) == (
            frozenset((400, 423, 503)), 0.2, 3.0, 300.0,
        )  # fmt: skip
    else:
        assert call.retry is None
