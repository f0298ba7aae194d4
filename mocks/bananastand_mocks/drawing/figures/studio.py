"""Where matplotlib works: settings, fonts and files.

matplotlib's settings belong to the process and its drawing is not safe in threads, so one figure is drawn at a time,
from matplotlib's own defaults whatever the user's file says, and the settings are put back afterwards. No pyplot.
"""

from __future__ import annotations

import functools
import io
import threading
import unicodedata
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from .figure import FigureError

__all__ = ["DPI", "FORMATS", "INK", "MUTED", "PALETTE", "displayable", "save", "studio", "tint", "missing_glyphs_note"]

DPI = 300
FORMATS = ("png", "svg", "pdf")
INK, MUTED = "#222222", "#5f6368"
# Okabe and Ito's colours, which the colour-blind can tell apart; black and yellow, weak on white, come last.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7F7F7F", "#F0E442", "#222222")

FAMILIES = (
    *("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "IPAGothic", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Noto Sans Devanagari"),
    *("Noto Sans Thai", "Noto Sans Arabic", "Noto Sans Hebrew", "Arial Unicode MS", "Unifont"),
)
MISSING = "\u25a1"  # stands for what no font has
NO_DATES: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
}
SETTINGS: dict[str, Any] = {
    "axes.edgecolor": "#444444",
    "axes.labelcolor": INK,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "figure",
    "text.color": INK,
    "text.hinting": "none",
    "text.parse_math": False,
    "xtick.color": "#444444",
    "xtick.labelcolor": INK,
    "ytick.color": "#444444",
    "ytick.labelcolor": INK,
}

_lock = threading.Lock()


@contextmanager
def studio() -> Generator[None]:
    """Gives one thread at a time matplotlib with settings that do not depend on a user's file."""
    import matplotlib

    with _lock, matplotlib.rc_context():
        matplotlib.rcdefaults()
        chosen: Any = matplotlib.rcParams
        for key, value in (*SETTINGS.items(), ("font.family", list(_families()))):
            chosen[key] = value
        yield


def save(figure: Any, formats: Sequence[str]) -> dict[str, bytes]:
    """The figure in each format, PNG always among them; the same figure gives the same bytes. Raises FigureError."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise FigureError(f"output_formats may hold {', '.join(FORMATS)}; got {unknown[0]}", "output_formats")
    files: dict[str, bytes] = {}
    for name in FORMATS:
        if name == "png" or name in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=name, metadata=NO_DATES[name])
            files[name] = buffer.getvalue()
    return files


def displayable(text: str, most: int = 400) -> str:
    """Returns one line that our fonts can draw: missing letters become empty squares, shapeless ones are dropped."""
    visible = "".join(
        char if ord(char) in _glyphs() else MISSING
        for char in " ".join(text[: 4 * most].split())
        if not _has_no_shape(char) or (unicodedata.category(char) == "Mn" and ord(char) in _glyphs())
    )
    return visible if len(visible) <= most else visible[: most - 1].rstrip() + "\u2026"


def missing_glyphs_note(texts: Iterable[str]) -> str:
    """A note on letters that no font here has; empty if all can be drawn."""
    letters = set[str]().union(*texts)
    lacking = sorted(
        char for char in letters if not char.isspace() and ord(char) not in _glyphs() and not _has_no_shape(char)
    )
    if not lacking:
        return ""
    listed = "".join(lacking[:6]) + ("\u2026" if len(lacking) > 6 else "")
    return f"No font on this server has {listed}, shown as empty squares; one such as Noto Sans CJK has"


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """A colour mixed with white; a share of 1 is the colour itself."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return (1 - share * (1 - red), 1 - share * (1 - green), 1 - share * (1 - blue))


def _has_no_shape(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me")


@functools.cache
def _families() -> tuple[str, ...]:
    """Those of our fonts that are here; the first comes with matplotlib."""
    from matplotlib import font_manager

    here = {entry.name for entry in font_manager.fontManager.ttflist}
    return tuple(name for name in FAMILIES if name in here)


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib import font_manager

    paths = [font_manager.findfont(name) for name in _families()]
    return frozenset(code for path in paths for code in font_manager.get_font(path).get_charmap())
