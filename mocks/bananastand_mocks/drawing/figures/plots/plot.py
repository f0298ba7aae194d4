"""Statistical plots: a table and an intent become a figure. Knows no task and no request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..figure import Figure, FigureError
from ..sizes import pixels
from ..studio import DPI, MUTED, legible, saved, studio, unshown
from . import charts
from .axes import LABEL, TICK, categories, draw_legend, number, numeric, pretty, reference
from .chart_data import Chart, chart
from .intent import Wish, read_intent
from .label_overlap import refine
from .table import read_table

__all__ = ["draw"]

LONGEST = 1920
AUTO = "4:3"
MOST_BARS, MOST_SERIES, MOST_CELLS = 240, 24, 40_000
TITLES, X_LABELS, Y_LABELS = (
    ("title", "chart_title", "plot_title"),
    ("x_label", "xlabel", "x_axis", "x_axis_label", "x_title"),
    ("y_label", "ylabel", "y_axis", "y_axis_label", "y_title", "metric", "unit", "units"),
)


def draw(
    data_json: str,
    intent: str,
    *,
    aspect_ratio: str | None = None,
    iterations: int = 3,
    formats: Sequence[str] = ("png",),
) -> Figure:
    """The chart that data and intent ask for, PNG always among its files; the same call gives the same bytes.

    `auto` and no ratio at all are 4:3. Each iteration after the first mends labels that touch. Raises FigureError: no JSON,
    nothing to plot or too much, unknown ratio or format, iterations outside 1 to 10.
    """
    if not 1 <= iterations <= 10:
        raise FigureError("iterations must be between 1 and 10", "iterations")
    table = read_table(data_json)
    wish = read_intent(intent)
    planned = _ordered(chart(table, wish), wish)
    _bound(planned)
    width, height = pixels(AUTO if aspect_ratio in (None, "auto") else aspect_ratio, LONGEST)
    with studio():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Sheet

        sheet: Any = Sheet(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
        FigureCanvasAgg(sheet)
        sheet.get_layout_engine().set(w_pad=0.13, h_pad=0.11)
        axes = _draw(sheet, planned, wish, table.notes)
        touching = refine(sheet, axes, planned.kind, iterations - 1)
        files = saved(sheet, formats)
        lacking = unshown((*planned.names, *planned.columns, *planned.series, wish.title or "", wish.x_label or ""))
    said = _describe(planned, touching)
    return Figure(files, f"{said} {lacking}." if lacking else said, width, height)


def _draw(sheet: Any, planned: Chart, wish: Wish, notes: dict[str, str]) -> Any:
    """The chart on the sheet; its axes."""
    axes = sheet.add_subplot()
    many = planned.kind == "bar" and not wish.horizontal and _crowded(planned.names, sheet.get_size_inches()[0])
    look = charts.Look(
        sheet.get_size_inches()[0],
        wish.values,
        wish.grid,
        wish.log_x,
        wish.log_y,
        planned.kind in ("bar", "box") and (wish.horizontal or many),
        wish.stacked,
        wish.trend,
        wish.bins,
        wish.baseline,
    )
    handles = _chart(sheet, axes, planned, look)
    _name(axes, planned, wish, notes, look)
    if planned.kind != "box" and handles and (wish.legend or (wish.legend is None and len(handles) > 1)):
        draw_legend(sheet, list(handles.values()), [pretty(name) for name in handles])
    return axes


def _chart(sheet: Any, axes: Any, planned: Chart, look: charts.Look) -> dict[str, Any]:
    if planned.kind == "heat map":
        image = charts.heat_map(
            axes,
            planned.grid,
            [pretty(name) for name in planned.names],
            [pretty(name) for name in planned.columns],
            look,
        )
        bar = sheet.colorbar(image, ax=axes, pad=0.02, fraction=0.046, aspect=24)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=TICK - 1, length=2.5)
        numeric(bar.ax.yaxis)
        bar.set_label(pretty(planned.said), fontsize=TICK)
        return {}
    if planned.kind == "bar":
        handles = charts.bars(axes, planned.names, planned.series, planned.errors, look)
    elif planned.kind == "line":
        handles = charts.lines(axes, planned.xs, planned.series, planned.errors, look)
        if planned.names:
            categories(axes, planned.names, width=look.width)
    elif planned.kind == "scatter":
        groups = {name: (planned.xs[name], planned.series[name]) for name in planned.series}
        handles = charts.scatter(axes, groups, planned.names, look)
    elif planned.kind == "histogram":
        handles = charts.histogram(axes, planned.series, look)
    else:
        handles = charts.boxes(axes, planned.series, look)
    _scales(axes, planned, look)
    if look.baseline is not None:
        reference(axes, look.baseline, horizontal=look.horizontal)
    return handles


def _scales(axes: Any, planned: Chart, look: charts.Look) -> None:
    """Logarithmic axes where all values allow it, and numbers on the axes that carry no names."""
    values = [value for of in planned.series.values() for value in of if not math.isnan(value)]
    over = [value for of in planned.xs.values() for value in of if not math.isnan(value)]
    named = bool(planned.names) and planned.kind in ("bar", "line") or planned.kind == "box"
    values_axis = "x" if look.horizontal else "y"
    log_values = (look.log_x if look.horizontal else False) or look.log_y
    log_values = log_values and min(values, default=0) > 0 and planned.kind != "histogram"
    log_counts = planned.kind == "histogram" and look.log_y
    log_over = look.log_x and not named and min(over or values, default=0) > 0 and planned.kind != "histogram"
    if log_values or log_counts:
        getattr(axes, f"set_{values_axis}scale")("log")
    if log_over:
        axes.set_xscale("log")
    numeric(axes.xaxis if look.horizontal else axes.yaxis, logarithmic=log_values or log_counts)
    if not named:
        numeric(axes.xaxis, logarithmic=log_over)


def _name(axes: Any, planned: Chart, wish: Wish, notes: dict[str, str], look: charts.Look) -> None:
    names = [_note(notes, X_LABELS) or pretty(planned.x_name), _note(notes, Y_LABELS) or pretty(planned.y_name)]
    x, y = reversed(names) if look.horizontal else names
    x, y = wish.x_label or x, wish.y_label or y
    title = wish.title or _note(notes, TITLES)
    axes.set_xlabel(legible(x, 90), fontsize=LABEL, labelpad=5)
    axes.set_ylabel(legible(y, 70), fontsize=LABEL, labelpad=5)
    if title:
        axes.set_title(legible(title, 90), fontsize=LABEL + 1, fontweight="bold", pad=9, wrap=True)
    if look.baseline is not None:
        axes.annotate(
            number(look.baseline),
            (1, look.baseline),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            fontsize=TICK - 1,
            color=MUTED,
            annotation_clip=False,
        ) if not look.horizontal else None


def _note(notes: dict[str, str], keys: Sequence[str]) -> str | None:
    return next((notes[key] for key in keys if notes.get(key)), None)


def _crowded(names: Sequence[str], width: float) -> bool:
    """Names too long to stand below their bars are better written beside them."""
    longest = max((len(name) for name in names), default=0)
    return len(names) >= 4 and longest > 16 and longest * len(names) > width * 30 and len(names) <= 24


def _ordered(planned: Chart, wish: Wish) -> Chart:
    if wish.order is None or planned.kind != "bar":
        return planned
    first = next(iter(planned.series.values()))
    places = sorted(
        range(len(first)),
        key=lambda i: -math.inf if math.isnan(first[i]) else first[i],
        reverse=wish.order == "descending",
    )
    planned.names = [planned.names[i] for i in places]
    planned.series = {key: [of[i] for i in places] for key, of in planned.series.items()}
    planned.errors = {key: [of[i] for i in places] for key, of in planned.errors.items()}
    return planned


def _bound(planned: Chart) -> None:
    """Refuse what nobody could read."""
    if not planned.grid and not any(not math.isnan(value) for of in planned.series.values() for value in of):
        raise FigureError("data_json holds no numbers to plot", "data_json")
    if len(planned.series) > MOST_SERIES:
        raise FigureError(
            f"a plot shows at most {MOST_SERIES} series, data_json has {len(planned.series)}", "data_json"
        )
    if planned.kind == "bar" and len(planned.names) * len(planned.series) > MOST_BARS:
        raise FigureError(f"a bar chart shows at most {MOST_BARS} bars; ask for a line or a histogram", "data_json")
    if len(planned.grid) * len(planned.grid[0] if planned.grid else ()) > MOST_CELLS:
        raise FigureError(f"a heat map shows at most {MOST_CELLS} cells", "data_json")


def _describe(planned: Chart, touching: int) -> str:
    """What the figure shows, in a few sentences."""
    what = f"grouped {planned.kind}" if planned.kind == "bar" and len(planned.series) > 1 else planned.kind
    title = {"bar": "chart", "line": "plot", "scatter": "plot", "box": "plot"}.get(planned.kind, "")
    said = [f"The figure shows a {what} {title}".rstrip()]
    if planned.kind == "heat map":
        said[0] += f" of {len(planned.grid)} rows and {len(planned.grid[0])} columns"
        values = [value for row in planned.grid for value in row if not math.isnan(value)]
    else:
        said[0] += " of " + ", ".join(pretty(name) or "value" for name in planned.series)
        values = [value for of in planned.series.values() for value in of if not math.isnan(value)]
    over = pretty(planned.x_name)
    if planned.names and planned.kind != "heat map":
        listed = ", ".join(legible(name, 60) for name in planned.names[:12])
        said.append(f"It compares {len(planned.names)} items: {listed}{', ...' if len(planned.names) > 12 else ''}")
    elif over and planned.kind in ("line", "scatter"):
        said.append(f"The horizontal axis is {over}")
    if values:
        said.append(f"Values range from {number(min(values))} to {number(max(values))}")
    if planned.kind == "bar":
        name, of = next(iter(planned.series.items()))
        best = max(range(len(of)), key=lambda i: -math.inf if math.isnan(of[i]) else of[i])
        said.append(
            f"The highest {pretty(name) or 'value'} is {number(of[best])} for {legible(planned.names[best], 60)}"
        )
    if planned.said and planned.kind != "heat map":
        said.append(planned.said[0].upper() + planned.said[1:])
    if touching:
        said.append(f"{touching} labels still touch others")
    return ". ".join(said) + "."
