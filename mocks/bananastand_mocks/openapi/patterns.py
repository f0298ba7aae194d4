"""Draws a text that fits a regular expression."""

from __future__ import annotations

import re
from random import Random
from typing import Any

__all__ = ["draw_pattern"]

MOST = 3  # repetitions where an expression sets no limit
LONGEST = 10_000  # characters
CLASSES = {"digit": "0123456789", "word": "abcdefghij0123456789_", "space": " "}
PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]


def draw_pattern(pattern: str, random: Random) -> str | None:
    """Return a text that fits; None for an expression that Python does not know, or that looks around or is huge."""
    try:
        parsed: Any = re._parser.parse(pattern)  # type: ignore[attr-defined]
        if parsed.getwidth()[0] > LONGEST:
            return None
        text = _sequence(parsed, random)
        return text if re.search(pattern, text) else None
    except (re.error, NotImplementedError, IndexError, OverflowError):
        return None


def _sequence(parts: Any, random: Random) -> str:
    return "".join(_draw(operator, argument, random) for operator, argument in parts)


def _draw(operator: Any, argument: Any, random: Random) -> str:
    match str(operator):
        case "LITERAL":
            return chr(argument)
        case "NOT_LITERAL":
            return random.choice([letter for letter in "abcxyz019" if ord(letter) != argument])
        case "ANY":
            return random.choice("abcxyz")
        case "IN":
            return random.choice(_members(argument))
        case "BRANCH":
            return _sequence(random.choice(argument[1]), random)
        case "SUBPATTERN":
            return _sequence(argument[3], random)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, parts = argument
            count = random.randint(least, max(least, min(int(most), least + MOST)))
            return "".join(_sequence(parts, random) for _ in range(count))
        case "AT":
            return ""
        case _:
            raise NotImplementedError(str(operator))


def _members(parts: Any) -> list[str]:
    """The characters of a set."""
    is_negated = str(parts[0][0]) == "NEGATE"
    found: set[str] = set()
    for operator, argument in parts:
        match str(operator):
            case "LITERAL":
                found.add(chr(argument))
            case "RANGE":
                found.update(map(chr, range(argument[0], min(argument[1], argument[0] + 200) + 1)))
            case "CATEGORY":
                name = str(argument).lower().removeprefix("category_")
                members = CLASSES[name.removeprefix("not_")]
                found.update(set(PRINTABLE) - set(members) if name.startswith("not_") else members)
            case _:
                pass
    return sorted(set(PRINTABLE) - found if is_negated else found)
