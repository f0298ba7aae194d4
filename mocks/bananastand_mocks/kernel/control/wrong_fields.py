"""Words the errors of pydantic: each wrong field and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["name_wrong_fields"]


def name_wrong_fields(errors: Iterable[Any], skip: int = 0) -> str:
    """Return one line for the errors of pydantic.

    Args:
        errors: The errors, as pydantic lists them.
        skip: How many parts of each place are left out, such as `body`. A place without further parts is named whole.
    """
    return "; ".join(
        f"{'.'.join(map(str, error['loc'][skip:])) or '.'.join(map(str, error['loc']))}: {error['msg']}"
        if error["loc"]
        else error["msg"]
        for error in errors
    )
