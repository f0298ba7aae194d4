"""Logs: their last lines, and what of an app's lines is not for a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bananastand.platform.store.logs import TAIL_BYTES, Log, plain, tail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never ended", "0;never ended"),
        ("\x1bPdevice\x1b\\after", "after"),
        ("\x1bcreset", "reset"),
        ("a\x9b31mb\x07\r", "a31mb"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\u202eleft", "left"),
        ("größe 猫", "größe 猫"),
    ],
)
def test_escape_sequences_and_control_characters_are_removed(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_the_last_lines_of_a_log_are_read_from_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", rotates=True, limit=4 * TAIL_BYTES)
    for number in range(2000):
        log.add(f"{number} {'x' * 500}")

    assert [row["line"].split()[0] for row in log.last(3)] == ["1997", "1998", "1999"]
    assert log.last(10_000)[-1] == log.lines()[-1]
    log.close()


def test_the_last_lines_go_on_in_the_older_half(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", rotates=True, limit=200)
    for number in range(5):
        log.add(f"line {number}")

    assert [row["line"] for row in log.last(5)] == [row["line"] for row in log.lines()]
    assert len(log.last(5)) > 1
    assert Log(tmp_path / "none").last(5) == []
    log.close()


def test_a_sentence_ends_with_the_last_error_or_the_last_lines() -> None:
    trace = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: no model", "bye"]

    assert tail(trace) == "; its last error: ValueError: no model (a.py:1)"
    assert tail(["one", "", "two\x1b[0m ", "three", "four"]) == "; its last lines: two | three | four"
    assert tail([]) == ""
