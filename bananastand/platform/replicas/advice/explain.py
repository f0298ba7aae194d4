"""Finds the advice for what a failed app or RUN line printed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...building.weights.fetch_failure import explain_fetch_failure
from ...tracebacks import LastError, last_error
from .details import Evidence
from .rules import RULES

__all__ = ["advice", "explain"]

MAX_LINES = 200  # that are searched, from the end


def explain(
    lines: Iterable[str], source_folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str | None:
    """Say why a program failed and what to do: which weights it could not fetch, else what `advice` says.

    Args:
        lines: What it printed, the reason of the failure last.
        source_folder: The repository.
        environment: The variables of the deploy, which may name a token or a mirror of the hub.
    """
    last = list(lines)[-MAX_LINES:]
    return explain_fetch_failure(last, environment=environment) or advice(last, source_folder)


def advice(lines: Iterable[str], source_folder: Path | None = None) -> str | None:
    """Say why an app or a RUN line failed and what to do; returns None where no rule matches.

    Args:
        lines: What it printed, the reason of the failure last.
        source_folder: The repository, for file names and for what its requirement files list.
    """
    last = list(lines)[-MAX_LINES:]
    error = last_error(last)
    evidence = Evidence("\n".join(last), error, source_folder)
    # The last error first: what was printed before it may be a harmless warning.
    for text in ([error.message] if error is not None else []) + [evidence.text]:
        for rule in RULES:
            *_, found = [None, *re.finditer(rule.pattern, text, re.MULTILINE)]  # the last match
            details = rule.details(found, evidence) if found is not None else None
            if found is not None and details is not None:
                names = {**found.groupdict(""), "place": _place(error, source_folder), **details}
                return f"{rule.why.format(**names)} {rule.fix.format(**names)}"
    return None


def _place(error: LastError | None, source: Path | None) -> str:
    """Return a place in the code, such as ` (app.py:12: model.cuda())`."""
    if error is None or error.frame is None:
        return ""
    code = f": {error.frame.code}" if error.frame.code else ""
    return f" ({error.frame.path(source)}:{error.frame.line}{code})"
