"""Adds build secrets, and the shell words that read them, to the RUN lines of a Dockerfile's text."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Sequence

from .dockerfile import Dockerfile, Instruction, Stage

__all__ = ["add_run_environment"]

SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
DEFAULT_SHELL = ("/bin/sh", "-c")
HEREDOC_ALONE = re.compile(r"<<-?(['\"]?)[\w.]+\1$")
WITHOUT_SHELL = ("scratch", "distroless")


def add_run_environment(
    text: str, dockerfile: Dockerfile, flags: Sequence[str], words: str, log: Callable[[str], None]
) -> str:
    """Return the text with flags and first words in each RUN line that a POSIX shell runs.

    Args:
        text: Of the Dockerfile.
        dockerfile: The same, read.
        flags: For each RUN line, such as --mount=...
        words: Of a shell, that end with a semicolon: they stand before a line's command.
        log: Hears of lines that stay as they are.
    """
    lines, shells = text.removeprefix("\ufeff").splitlines(), dict[int, tuple[str, ...]]()
    edits = list[tuple[int, int, list[str]]]()
    for stage in dockerfile.stages:
        earlier = dockerfile.stage(stage.base, stage.index)
        shell = shells[earlier.index] if earlier is not None else DEFAULT_SHELL
        for instruction, first, after in dockerfile.spans(stage, len(lines)):
            if instruction.name == "SHELL":
                shell = instruction.exec_form() or shell
            if instruction.name == "RUN":
                here = lines[first - 1 : after - 1]
                edited = _edit_run(
                    here, instruction, shell, _has_shell(stage, dockerfile), flags, words, dockerfile.escape
                )
                if edited is None:
                    log(f"Dockerfile line {instruction.line}: tokens and addresses of this machine do not reach it")
                else:
                    edits.append((first - 1, after - 1, edited))
        shells[stage.index] = shell
    for start, end, edited in reversed(edits):
        lines[start:end] = edited
    return "\n".join([*lines, ""])


def _has_shell(stage: Stage, dockerfile: Dockerfile) -> bool:
    while (earlier := dockerfile.stage(stage.base, stage.index)) is not None:
        stage = earlier
    return not any(word in stage.base for word in WITHOUT_SHELL)


def _edit_run(
    here: list[str], instruction: Instruction, shell: tuple[str, ...], has_shell: bool, flags: Sequence[str],
    words: str, escape: str,
) -> list[str] | None:  # fmt: skip
    """Return the lines of one RUN, or None for one that has to stay as it is."""
    head, rest = _split("\n".join(here), escape)
    keyword = head[: len(head) - len(head.lstrip()) + len("RUN")]
    head = f"{keyword} {' '.join(flags)}{head[len(keyword) :]}"
    if (program := instruction.exec_form()) is not None:
        if not has_shell:
            return None
        wrapped = json.dumps(["/bin/sh", "-c", f'{words}exec "$@"', "sh", *program])
        return f"{head}{wrapped}".split("\n")
    if not _is_posix(shell):
        return None
    if HEREDOC_ALONE.fullmatch(instruction.value):
        if instruction.heredocs[0].body.startswith("#!"):
            return None  # another program than the shell runs it
        first, _, body = rest.partition("\n")
        tab = "\t" if first.startswith("<<-") else ""
        return f"{head}{first}\n{tab}{words.rstrip('; ')}\n{body}".split("\n")
    return f"{head}{words}{rest}".split("\n")


def _split(text: str, escape: str) -> tuple[str, str]:
    """Split RUN and its flags from its command."""
    gap = rf"(?:[ \t]|{re.escape(escape)}[ \t]*\n(?:[ \t]*(?:#[^\n]*)?\n)*)"
    found = re.match(rf"\s*RUN{gap}+(?:--[a-z][a-z-]*(?:=\S*)?{gap}+)*", text, re.IGNORECASE)
    assert found is not None, "the parser has read a RUN line"
    return found[0], text[found.end() :]


def _is_posix(shell: tuple[str, ...]) -> bool:
    """Whether the shell knows `. FILE`, also where another program starts it, as `conda run` does."""
    return shell[-1].startswith("-") and shell[-1].endswith("c") and any(
        posixpath.basename(word) in SHELLS for word in shell
    )  # fmt: skip
