"""The seam between a host and an engine."""

from __future__ import annotations

import threading

import pytest

from bananastand import cancel


def test_a_fresh_token_lets_work_go_on() -> None:
    cancel.Token().check()


def test_the_first_reason_stands() -> None:
    token = cancel.Token()
    token.cancel("the caller is gone")
    token.cancel("out of patience")

    with pytest.raises(cancel.Cancelled, match="the caller is gone"):
        token.check()


def test_a_deadline_calls_the_work_off() -> None:
    with pytest.raises(cancel.Cancelled, match="out of time"):
        cancel.Token(timeout=0).check()


def test_a_scope_names_its_token_and_ends() -> None:
    outer, inner = cancel.Token(), cancel.Token()
    with cancel.scope(outer):
        with cancel.scope(inner):
            assert cancel.current() is inner
        assert cancel.current() is outer
    assert cancel.current() is None


def test_a_new_thread_is_in_no_scope() -> None:
    seen: list[cancel.Token | None] = []
    with cancel.scope(cancel.Token()):
        thread = threading.Thread(target=lambda: seen.append(cancel.current()))
        thread.start()
        thread.join()

    assert seen == [None]
