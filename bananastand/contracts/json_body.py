"""Reads JSON more strictly than the standard library. Knows no provider: what to answer is the dialect's matter."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any, NoReturn

__all__ = ["MAX_DEPTH", "MAX_MEMBERS", "MalformedJson", "TooDeep", "dump", "parse"]

MAX_DEPTH = 100  # validators and serialisers recurse; nothing in the documents nests deeper than six
MAX_MEMBERS = 200_000  # of objects; what is checked and noted is copied, and a million of them took 600 MB


class MalformedJson(ValueError):
    """Not JSON; the text is the parser's."""


class TooDeep(ValueError):
    """JSON, but nested too deep."""


def parse(raw: bytes, depth: int = MAX_DEPTH, members: int | None = MAX_MEMBERS) -> Any:
    """The value in `raw`. Refuses NaN, numbers too large for a double, and lone surrogates, which cannot be answered.

    Also refused is what nests deeper than `depth`, or whose objects have more than so many members.

    Raises MalformedJson or TooDeep.
    """
    try:
        text = raw.decode("utf-8")
        if members is not None and raw.count(b":") > members and _over(raw, members):
            raise ValueError(f"more than {members} members of objects")
        value = _DECODER.decode(text)
        if raw.count(b"[") + raw.count(b"{") > depth and _too_deep(value, depth):
            raise RecursionError
        if "\\u" in text:
            dump(value)
    except RecursionError:
        raise TooDeep(f"nested deeper than {depth} levels") from None
    except ValueError as error:
        raise MalformedJson(str(error)) from None
    return value


def dump(value: Any) -> bytes:
    """Compact JSON, as Express and FastAPI write it."""
    return _ENCODER.encode(value).encode("utf-8")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{number[:40]} is out of range")
    return value


def _over(raw: bytes, members: int) -> bool:
    """Whether more quotes than that are followed by a colon, as those after a name are."""
    return next(islice(_NAME_ENDS.finditer(raw), members, None), None) is not None


def _too_deep(value: Any, depth: int) -> bool:
    """Walks level by level, without recursion."""
    level: list[Any] = [value]
    for _ in range(depth):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


_NAME_ENDS = re.compile(rb'(?<!\\)(?:\\\\)*"\s*:')
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
