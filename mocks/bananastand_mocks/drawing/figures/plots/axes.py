"""What every chart's axes share: names, numbers, ticks, legend, reference lines."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from ..studio import INK, MUTED, PALETTE, displayable

__all__ = [
    "LABEL",
    "MARKERS",
    "STYLES",
    "TICK",
    "categories",
    "colour",
    "decimals",
    "draw_legend",
    "number",
    "numeric",
    "pretty",
    "reference",
    "tidy",
]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
STYLES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4)))
TICK, LABEL = 9, 10.5
SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
SMALL_WORDS = {"of", "per", "in", "the", "and", "by", "vs", "to"}
ABBREVIATIONS = {
    "acc": "accuracy",
    "auc": "AUC",
    "bleu": "BLEU",
    "cpu": "CPU",
    "f1": "F1",
    "fid": "FID",
    "fps": "FPS",
    "gpu": "GPU",
    "iou": "IoU",
    "lr": "learning rate",
    "mae": "MAE",
    "map": "mAP",
    "miou": "mIoU",
    "mse": "MSE",
    "params": "parameters",
    "psnr": "PSNR",
    "rmse": "RMSE",
    "rouge": "ROUGE",
    "ssim": "SSIM",
    "val": "validation",
}


def tidy(axes: Any, *, grid: str | None = "y") -> None:
    """Thin spines left and below, a light grid behind the data, short ticks outward."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.8)
    axes.tick_params(labelsize=TICK, width=0.8, length=3.5)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color="#E3E5E8", linewidth=0.7)


def pretty(name: str) -> str:
    """A column's name as an axis carries it: `val_loss` becomes Validation loss."""
    if not re.fullmatch(r"[a-z0-9_ ]+|[a-z]+(?:[A-Z][a-z0-9]+)+", name):
        return displayable(name, 80)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").split()
    words = [ABBREVIATIONS.get(word.lower(), word.lower()) for word in words]
    if words and words[0].islower() and words[0] not in SMALL_WORDS and len(words[0]) > 1:
        words[0] = words[0].capitalize()
    return displayable(" ".join(words), 80)


def number(value: float, places: int | None = None) -> str:
    """A number as a figure prints it: 12,500 or 0.25 or 3\u00d710\u207b\u2075."""
    if math.isnan(value):
        return "\u2013"
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-3:
        exponent = math.floor(math.log10(size))
        mantissa = f"{value / 10**exponent:.3g}" if abs(exponent) < 300 else f"{value:.2e}".split("e")[0]
        power = "10" + str(exponent).translate(SUPERSCRIPTS)
        return f"{mantissa}\u00d7{power}".replace("-", "\u2212")
    text = f"{value:,.{places}f}" if places is not None else f"{value:,.6g}" if size < 1e5 else f"{value:,.0f}"
    if size < 1e4:
        text = text.replace(",", "")
    return text.replace("-", "\u2212")


def decimals(values: Sequence[float]) -> int:
    """The decimals that show every value as it was given, three at most."""
    numbers = [value for value in values if not math.isnan(value)]
    for places in range(3):
        if all(math.isclose(value, round(value, places), rel_tol=1e-9, abs_tol=1e-12) for value in numbers):
            return places
    return 3 if max((abs(value) for value in numbers), default=0) < 10 else 1


def numeric(axis: Any, *, logarithmic: bool = False) -> None:
    """Ticks of an axis of numbers, all with the same decimals; on a logarithmic one, powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    class Even(FuncFormatter):
        def format_ticks(self, values: Sequence[float]) -> list[str]:
            places = decimals(list(values))
            return [number(value, places if abs(value) >= 1e-3 or value == 0 else None) for value in values]

    if logarithmic:
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(_power))
    else:
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(Even(_number))


def _number(value: float, _: Any) -> str:
    return number(value)


def _power(value: float, _: Any) -> str:
    return number(value).replace("1\u00d710", "10")


def categories(axes: Any, names: Sequence[str], *, horizontal: bool = False, width: float = 6.0) -> None:
    """One tick a name, wrapped or slanted so that neighbours do not touch; of very many, every so manieth."""
    step = max(1, math.ceil(len(names) / (40 if horizontal else 30)))
    labels = [(place, displayable(name, 42)) for place, name in enumerate(names) if place % step == 0]
    places = [place for place, _ in labels]
    longest = max((len(name) for _, name in labels), default=1)
    if horizontal:
        axes.set_yticks(places, [textwrap.fill(name, 24) for _, name in labels])
        return
    room = max(3, int(width * 72 / max(1, len(labels)) / (TICK * 0.62)))  # letters below one tick
    if longest <= room:
        axes.set_xticks(places, [name for _, name in labels])
    elif max(len(word) for _, name in labels for word in name.split() or [""]) <= room and longest <= 3 * room:
        axes.set_xticks(places, [textwrap.fill(name, room) for _, name in labels])
    else:
        axes.set_xticks(
            places,
            [textwrap.shorten(name, 28, placeholder="\u2026") or name[:28] for _, name in labels],
            rotation=35,
            ha="right",
            rotation_mode="anchor",
        )


def draw_legend(figure: Any, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Above the axes, in one row where it fits, so that it never covers data."""
    labels = [displayable(name, 32) for name in names]
    letters = max(len(name) for name in labels) + 5
    across = max(1, min(len(labels), int(figure.get_size_inches()[0] * 72 / (letters * TICK * 0.6))))
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=across,
        frameon=False,
        fontsize=TICK,
        handlelength=1.6,
        columnspacing=1.4,
        labelcolor=INK,
    )


def colour(place: int) -> str:
    """The palette's colours, over again when there are more series than colours."""
    return PALETTE[place % len(PALETTE)]


def reference(axes: Any, value: float, *, horizontal: bool) -> None:
    """A dashed line at a value the intent names, with the value beside it."""
    draw = axes.axvline if horizontal else axes.axhline
    draw(value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
