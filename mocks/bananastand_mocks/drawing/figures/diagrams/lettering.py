"""Measures and breaks text, so that it fits its box before anything is drawn.

Everything here is called inside the studio: it measures with matplotlib's fonts.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

__all__ = ["CaptionWord", "break_lines", "caption_lines", "measure"]


@dataclass(frozen=True)
class CaptionWord:
    """A word of a caption, where it stands in its line, in points."""

    text: str
    x: float
    bold: bool


@functools.lru_cache(4096)
def measure(text: str, size: float, weight: str = "normal", style: Literal["normal", "italic"] = "normal") -> float:
    """The width of a line in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight, style=style)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def break_lines(text: str, size: float, room: float, weight: str = "normal") -> list[str]:
    """Lines no wider than the room, broken between words, in words only where one alone is too wide; about equal."""
    words = [piece for word in text.split() for piece in _split_word(word, size, room, weight)]
    lines = _fill_lines(words, size, room, weight)
    low, high = max((measure(word, size, weight) for word in words), default=0.0), room
    while len(lines) > 1 and high - low > 2:  # as narrow as the same number of lines allows
        middle = (low + high) / 2
        fitted = _fill_lines(words, size, middle, weight)
        low, high = (low, middle) if len(fitted) == len(lines) else (middle, high)
    return _fill_lines(words, size, high, weight)


def caption_lines(caption: str, size: float, room: float, most: int) -> list[list[CaptionWord]]:
    """A caption's lines, centred in the room, `Figure 1:` in bold; what exceeds the lines ends in an ellipsis."""
    label = re.match(r"\s*(?:fig(?:ure)?|table|scheme)\.?\s*[\w.]{0,6}\s*[:.]", caption, re.IGNORECASE)
    bold = len(label[0].split()) if label else 0
    words = [
        (piece, place < bold)
        for place, word in enumerate(caption.split())
        for piece in _split_word(word, size, room, "bold")
    ]
    space = measure("n n", size) - measure("nn", size)
    lines: list[list[tuple[str, bool, float]]] = [[]]
    for word, heavy in words:
        width = measure(word, size, "bold" if heavy else "normal")
        if lines[-1] and sum(word_of_line[2] + space for word_of_line in lines[-1]) + width > room:
            if len(lines) == most:
                last, last_heavy, last_width = lines[-1][-1]
                lines[-1][-1] = (last.rstrip(",.;") + "\u2026", last_heavy, last_width)
                break
            lines.append([])
        lines[-1].append((word, heavy, width))
    if _reads_leftward(caption):  # the words of a line then have another order, which the text's own layout knows
        texts = [" ".join(word for word, _, _ in line) for line in lines if line]
        return [[CaptionWord(line, (room - measure(line, size)) / 2, False)] for line in texts]
    return [_centre(line, room, space) for line in lines if line]


def _reads_leftward(text: str) -> bool:
    """Whether a text is read from right to left, which its first letter of any direction decides."""
    found = (unicodedata.bidirectional(char) for char in text)
    return next((kind for kind in found if kind in ("L", "R", "AL")), "L") != "L"


def _centre(line: list[tuple[str, bool, float]], room: float, space: float) -> list[CaptionWord]:
    x = (room - sum(word[2] for word in line) - space * (len(line) - 1)) / 2
    placed: list[CaptionWord] = []
    for word, heavy, width in line:
        placed.append(CaptionWord(word, x, heavy))
        x += width + space
    return placed


def _fill_lines(words: list[str], size: float, room: float, weight: str) -> list[str]:
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure(longer, size, weight) <= room + 0.01:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _split_word(word: str, size: float, room: float, weight: str) -> list[str]:
    """A word, cut after hyphens or anywhere if it is wider than the room."""
    if measure(word, size, weight) <= room:
        return [word]
    pieces = [""]
    for part in re.findall(r"[^-/_]+[-/_]?|[-/_]", word):
        if measure(pieces[-1] + part, size, weight) <= room:
            pieces[-1] += part
            continue
        pieces.append("")
        for char in part:
            if pieces[-1] and measure(pieces[-1] + char, size, weight) > room:
                pieces.append("")
            pieces[-1] += char
    return [piece for piece in pieces if piece]
