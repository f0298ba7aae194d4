"""Draws one chart on an axes.

Each function takes the axes, the data and a Look, and returns the legend's handles by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..studio import INK, MUTED, displayable, tint
from .axes import MARKERS, STYLES, TICK, categories, colour, decimals, number, tidy

__all__ = ["Look", "bars", "boxes", "heat_map", "histogram", "lines", "scatter"]

MOST_BINS, MOST_VALUES = 240, 600  # bins of all samples together, cells that carry their values

Series = Mapping[str, Sequence[float]]
Handles = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """What the drawing of any chart depends on beside its data."""

    width: float  # of the figure, in inches
    values: bool = False
    grid: bool | None = None
    log_x: bool = False
    log_y: bool = False
    horizontal: bool = False
    stacked: bool = False
    trend: bool = False
    bins: int | None = None
    baseline: float | None = None


def bars(axes: Any, names: Sequence[str], series: Series, errors: Series, look: Look) -> Handles:
    """A bar for each name, or a group of them, from zero."""
    handles: Handles = {}
    count = 1 if look.stacked else len(series)
    breadth = 0.58 if len(series) == 1 else 0.8 / count
    tops, bottoms = [0.0] * len(names), [0.0] * len(names)
    places = decimals([value for values in series.values() for value in values])
    small = TICK - (0 if len(names) * count <= 8 else 1 if len(names) * count <= 16 else 2.5)
    for place, (name, values) in enumerate(series.items()):
        shift = 0 if look.stacked else (place - (count - 1) / 2) * breadth
        centres = [i + shift for i in range(len(names))]
        lengths = [0.0 if math.isnan(value) else value for value in values]
        base = [(tops if value >= 0 else bottoms)[i] if look.stacked else 0.0 for i, value in enumerate(lengths)]
        draw = axes.barh if look.horizontal else axes.bar
        thick = {"height" if look.horizontal else "width": breadth * (1 if len(series) == 1 else 0.92)}
        start = {"left" if look.horizontal else "bottom": base}
        spread = {"xerr" if look.horizontal else "yerr": errors[name]} if name in errors and not look.stacked else {}
        drawn = draw(
            centres,
            lengths,
            **thick,
            **start,
            **spread,
            color=colour(place),
            zorder=2,
            capsize=2.5,
            error_kw={"elinewidth": 1, "ecolor": "#333333", "capthick": 1},
        )
        handles[name] = drawn
        for i, value in enumerate(lengths):
            if look.stacked:
                (tops if value >= 0 else bottoms)[i] += value
        if look.values:
            texts = ["" if math.isnan(value) else number(value, places) for value in values]
            axes.bar_label(
                drawn,
                texts,
                fontsize=small,
                color=INK if not look.stacked else "white",
                padding=2.5,
                label_type="center" if look.stacked else "edge",
            )
    _bar_axes(axes, names, look)
    return handles


def lines(axes: Any, xs: Mapping[str, Sequence[float]], series: Series, errors: Series, look: Look) -> Handles:
    """A line for each series over its own x; errors are shown as a band, single points as markers."""
    handles: Handles = {}
    places = decimals([value for values in series.values() for value in values])
    for place, (name, values) in enumerate(series.items()):
        x = xs[name]
        marked = len(x) <= 30
        (handles[name],) = axes.plot(
            x,
            values,
            color=colour(place),
            linewidth=1.8,
            linestyle=STYLES[place % len(STYLES)],
            zorder=3,
            marker=MARKERS[place % len(MARKERS)] if marked else "",
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.7,
        )
        if name in errors:
            low, high = ([v + side * e for v, e in zip(values, errors[name], strict=True)] for side in (-1, 1))
            axes.fill_between(x, low, high, color=colour(place), alpha=0.16, linewidth=0, zorder=2)
        if look.values and len(x) * len(series) <= 60:
            above = place % 2 == 0
            for at, value in zip(x, values, strict=True):
                if not math.isnan(value):
                    axes.annotate(
                        number(value, places),
                        (at, value),
                        xytext=(0, 5 if above else -5),
                        fontsize=TICK - 2,
                        textcoords="offset points",
                        ha="center",
                        va="bottom" if above else "top",
                        color=INK,
                    )
    tidy(axes, grid=None if look.grid is False else "both" if look.grid else "y")
    axes.margins(x=0.03, y=0.08)
    return handles


def scatter(
    axes: Any, groups: Mapping[str, tuple[Sequence[float], Sequence[float]]], names: Sequence[str], look: Look
) -> Handles:
    """A cloud for each group; a few named points carry their names, a trend line its equation's fit."""
    handles: Handles = {}
    total = sum(len(x) for x, _ in groups.values())
    size = 46 if total <= 30 else 26 if total <= 200 else 9
    for place, (name, (x, y)) in enumerate(groups.items()):
        handles[name] = axes.scatter(
            x,
            y,
            s=size,
            color=colour(place),
            marker=MARKERS[place % len(MARKERS)],
            alpha=0.9 if total <= 60 else 0.6,
            linewidths=0.6,
            edgecolors="white",
            zorder=3,
        )
        if look.trend:
            _trend(axes, x, y, colour(place), look)
    tidy(axes, grid=None if look.grid is False else "both")
    axes.margins(0.08)
    if names:
        (x, y) = next(iter(groups.values()))
        for name, at, value in zip(names, x, y, strict=True):
            axes.annotate(
                displayable(name, 28),
                (at, value),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=TICK - 1,
                color=INK,
                zorder=4,
            )
        axes.margins(0.14)
    return handles


def histogram(axes: Any, samples: Series, look: Look) -> Handles:
    """Counts in bins that all samples share."""
    import numpy as np

    values = np.concatenate([np.asarray(of, dtype=float) for of in samples.values()])
    values = values[~np.isnan(values)]
    low, high = float(values.min()), float(values.max())
    low, high = (low, high) if high > low else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))
    edges = np.linspace(low, high, min(look.bins or _bins(values, low, high), MOST_BINS // len(samples)) + 1)
    handles: Handles = {}
    for place, (name, of) in enumerate(samples.items()):
        sample = np.asarray([value for value in of if not math.isnan(value)], dtype=float)
        counts, _ = np.histogram(sample, edges)
        many = len(samples) > 1
        handles[name] = axes.bar(
            edges[:-1],
            counts,
            width=np.diff(edges),
            align="edge",
            zorder=2,
            color=tint(colour(place), 1),
            alpha=0.55 if many else 0.9,
            linewidth=0.7,
            edgecolor=colour(place) if many else "white",
        )
        if look.values and len(edges) <= 24:
            axes.bar_label(handles[name], ["" if not c else str(c) for c in counts], fontsize=TICK - 1.5, padding=2)
    tidy(axes, grid=None if look.grid is False else "y")
    axes.margins(x=0.02, y=0.08)
    return handles


def boxes(axes: Any, samples: Series, look: Look) -> Handles:
    """Median, quartiles, whiskers of 1.5 times their distance, and what lies beyond; few samples are shown too."""
    groups = [[value for value in of if not math.isnan(value)] for of in samples.values()]
    drawn = axes.boxplot(
        groups,
        positions=range(len(groups)),
        widths=0.5,
        patch_artist=True,
        orientation="horizontal" if look.horizontal else "vertical",
        medianprops={"color": INK, "linewidth": 1.6},
        whiskerprops={"color": "#444444", "linewidth": 1},
        capprops={"color": "#444444", "linewidth": 1},
        boxprops={"linewidth": 1},
        flierprops={"marker": "o", "markersize": 3, "markerfacecolor": "none", "markeredgecolor": MUTED},
    )
    for place, box in enumerate(drawn["boxes"]):
        box.set_facecolor(tint(colour(place), 0.45))
        box.set_edgecolor(colour(place))
    if look.values:
        places = decimals([value for of in groups for value in of])
        for place, of in enumerate(groups):
            median = (
                sorted(of)[len(of) // 2] if len(of) % 2 else sum(sorted(of)[len(of) // 2 - 1 : len(of) // 2 + 1]) / 2
            )
            at = (median, place) if look.horizontal else (place, median)
            axes.annotate(
                number(median, min(3, places + 1)),
                at,
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=TICK - 1.5,
                color=INK,
            )
    tidy(axes, grid=None if look.grid is False else "x" if look.horizontal else "y")
    categories(axes, list(samples), horizontal=look.horizontal, width=look.width)
    return dict(zip(samples, drawn["boxes"], strict=True))


def heat_map(
    axes: Any, grid: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], look: Look
) -> Any:
    """A coloured cell for each value, with the value on it where there is room; returns what a colour bar needs."""
    import numpy as np
    from matplotlib.colors import Normalize

    cells = np.ma.masked_invalid(np.asarray(grid, dtype=float))
    low, high = (float(cells.min()), float(cells.max())) if cells.count() else (0.0, 1.0)
    both = low < 0 < high
    low, high = (-max(-low, high), max(-low, high)) if both else (low, high if high > low else low + (abs(low) or 1))
    shade = Normalize(low, high)
    image = axes.pcolormesh(
        cells,
        cmap="RdBu_r" if both else "Blues",
        norm=shade,
        edgecolors="white",
        linewidth=1.2 if cells.size <= 900 else 0,
        rasterized=cells.size > 5000,
    )
    axes.invert_yaxis()
    categories(axes, columns, width=look.width * 0.72)
    categories(axes, rows, horizontal=True)
    axes.set_xticks([tick + 0.5 for tick in axes.get_xticks()], [label.get_text() for label in axes.get_xticklabels()])
    axes.set_yticks([tick + 0.5 for tick in axes.get_yticks()], [label.get_text() for label in axes.get_yticklabels()])
    axes.tick_params(length=0, labelsize=TICK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if cells.size <= (MOST_VALUES if look.values else 150):
        places = min(2, decimals([float(value) for value in cells.compressed()]))
        size = min(TICK, 5 * look.width * 0.7 * 8 / max(1, cells.shape[1]) / max(3, places + 2))
        for (row, column), value in np.ndenumerate(cells.filled(np.nan)):
            strength = abs(2 * shade(value) - 1) if both else shade(value)
            if size >= 4 and not math.isnan(value):
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    number(float(value), places),
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="white" if strength > 0.6 else INK,
                )
    return image


def _bar_axes(axes: Any, names: Sequence[str], look: Look) -> None:
    tidy(axes, grid=None if look.grid is False else "x" if look.horizontal else "y")
    categories(axes, names, horizontal=look.horizontal, width=look.width)
    if look.horizontal:
        axes.invert_yaxis()
        axes.margins(x=0.1 if look.values else 0.05, y=0.03)
    else:
        axes.tick_params(axis="x", length=0)
        axes.margins(x=0.04, y=0.1 if look.values else 0.05)


def _trend(axes: Any, x: Sequence[float], y: Sequence[float], shade: str, look: Look) -> None:
    """The line of least squares, in the logarithm where an axis is logarithmic."""
    import numpy as np

    pairs = np.asarray([(a, b) for a, b in zip(x, y, strict=True) if not (math.isnan(a) or math.isnan(b))])
    if len(pairs) < 2 or np.ptp(pairs[:, 0]) == 0:
        return
    logs = [is_log and bool((pairs[:, i] > 0).all()) for i, is_log in enumerate((look.log_x, look.log_y))]
    scaled = [np.log10(pairs[:, i]) if logs[i] else pairs[:, i] for i in range(2)]
    slope, start = np.polyfit(scaled[0], scaled[1], 1)
    ends = np.linspace(scaled[0].min(), scaled[0].max(), 50)
    drawn = [ends, slope * ends + start]
    drawn = [10**of if log else of for of, log in zip(drawn, logs, strict=True)]
    axes.plot(*drawn, color=shade, linewidth=1.4, linestyle=(0, (5, 2)), zorder=2)


def _bins(values: Any, low: float, high: float) -> int:
    """Freedman and Diaconis's width, between 6 and 40 bins."""
    import numpy as np

    first, third = np.percentile(values, [25, 75])
    width = 2 * (third - first) / len(values) ** (1 / 3)
    return int(min(40, max(6, math.ceil((high - low) / width)))) if width > 0 else 10
