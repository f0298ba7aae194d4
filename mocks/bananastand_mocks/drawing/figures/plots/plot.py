"""Statistical plots: a table and an intent become a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..figure import Figure, FigureError
from ..sizes import pixels
from ..studio import DPI, MUTED, displayable, missing_glyphs_note, save, studio
from . import charts
from .axes import LABEL, TICK, categories, draw_legend, number, numeric, pretty, reference
from .chart_data import Chart, choose_chart
from .intent import PlotIntent, read_intent
from .label_overlap import separate_labels
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
    """Draws the chart that data and intent ask for; the same call gives the same bytes.

    Args:
        data_json: The data, in any of the shapes `read_table` takes.
        intent: What to show, in English.
        aspect_ratio: One of RATIOS; None or `auto` for 4:3.
        iterations: 1 to 10; each after the first separates labels that touch.
        formats: Files beside the PNG: svg, pdf.

    Raises:
        FigureError: Nothing to plot or too much, or an option that is unknown or out of range.
    """
    if not 1 <= iterations <= 10:
        raise FigureError("iterations must be between 1 and 10", "iterations")
    table = read_table(data_json)
    plot_intent = read_intent(intent)
    chart_data = _sort(choose_chart(table, plot_intent), plot_intent)
    _check_size(chart_data)
    width, height = pixels(AUTO if aspect_ratio in (None, "auto") else aspect_ratio, LONGEST)
    with studio():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Sheet

        sheet: Any = Sheet(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained")
        FigureCanvasAgg(sheet)
        sheet.get_layout_engine().set(w_pad=0.13, h_pad=0.11)
        axes = _draw(sheet, chart_data, plot_intent, table.notes)
        touching = separate_labels(sheet, axes, chart_data.kind, iterations - 1)
        files = save(sheet, formats)
        lacking = missing_glyphs_note(
            (
                *chart_data.names,
                *chart_data.columns,
                *chart_data.series,
                plot_intent.title or "",
                plot_intent.x_label or "",
            )
        )
    description = _describe(chart_data, touching)
    return Figure(files, f"{description} {lacking}." if lacking else description, width, height)


def _draw(sheet: Any, chart_data: Chart, intent: PlotIntent, notes: dict[str, str]) -> Any:
    """The chart on the sheet; its axes."""
    axes = sheet.add_subplot()
    many = (
        chart_data.kind == "bar"
        and not intent.horizontal
        and _are_names_crowded(chart_data.names, sheet.get_size_inches()[0])
    )
    look = charts.Look(
        sheet.get_size_inches()[0],
        intent.values,
        intent.grid,
        intent.log_x,
        intent.log_y,
        chart_data.kind in ("bar", "box") and (intent.horizontal or many),
        intent.stacked,
        intent.trend,
        intent.bins,
        intent.baseline,
    )
    handles = _chart(sheet, axes, chart_data, look)
    _name_axes(axes, chart_data, intent, notes, look)
    if chart_data.kind != "box" and handles and (intent.legend or (intent.legend is None and len(handles) > 1)):
        draw_legend(sheet, list(handles.values()), [pretty(name) for name in handles])
    return axes


def _chart(sheet: Any, axes: Any, chart_data: Chart, look: charts.Look) -> dict[str, Any]:
    if chart_data.kind == "heat map":
        image = charts.heat_map(
            axes,
            chart_data.grid,
            [pretty(name) for name in chart_data.names],
            [pretty(name) for name in chart_data.columns],
            look,
        )
        bar = sheet.colorbar(image, ax=axes, pad=0.02, fraction=0.046, aspect=24)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=TICK - 1, length=2.5)
        numeric(bar.ax.yaxis)
        bar.set_label(pretty(chart_data.note), fontsize=TICK)
        return {}
    if chart_data.kind == "bar":
        handles = charts.bars(axes, chart_data.names, chart_data.series, chart_data.errors, look)
    elif chart_data.kind == "line":
        handles = charts.lines(axes, chart_data.xs, chart_data.series, chart_data.errors, look)
        if chart_data.names:
            categories(axes, chart_data.names, width=look.width)
    elif chart_data.kind == "scatter":
        groups = {name: (chart_data.xs[name], chart_data.series[name]) for name in chart_data.series}
        handles = charts.scatter(axes, groups, chart_data.names, look)
    elif chart_data.kind == "histogram":
        handles = charts.histogram(axes, chart_data.series, look)
    else:
        handles = charts.boxes(axes, chart_data.series, look)
    _scales(axes, chart_data, look)
    if look.baseline is not None:
        reference(axes, look.baseline, horizontal=look.horizontal)
    return handles


def _scales(axes: Any, chart_data: Chart, look: charts.Look) -> None:
    """Logarithmic axes where all values allow it, and numbers on the axes that carry no names."""
    values = [value for of in chart_data.series.values() for value in of if not math.isnan(value)]
    over = [value for of in chart_data.xs.values() for value in of if not math.isnan(value)]
    named = bool(chart_data.names) and chart_data.kind in ("bar", "line") or chart_data.kind == "box"
    values_axis = "x" if look.horizontal else "y"
    log_values = (look.log_x if look.horizontal else False) or look.log_y
    log_values = log_values and min(values, default=0) > 0 and chart_data.kind != "histogram"
    log_counts = chart_data.kind == "histogram" and look.log_y
    log_over = look.log_x and not named and min(over or values, default=0) > 0 and chart_data.kind != "histogram"
    if log_values or log_counts:
        getattr(axes, f"set_{values_axis}scale")("log")
    if log_over:
        axes.set_xscale("log")
    numeric(axes.xaxis if look.horizontal else axes.yaxis, logarithmic=log_values or log_counts)
    if not named:
        numeric(axes.xaxis, logarithmic=log_over)


def _name_axes(axes: Any, chart_data: Chart, intent: PlotIntent, notes: dict[str, str], look: charts.Look) -> None:
    names = [_note(notes, X_LABELS) or pretty(chart_data.x_name), _note(notes, Y_LABELS) or pretty(chart_data.y_name)]
    x, y = reversed(names) if look.horizontal else names
    x, y = intent.x_label or x, intent.y_label or y
    title = intent.title or _note(notes, TITLES)
    axes.set_xlabel(displayable(x, 90), fontsize=LABEL, labelpad=5)
    axes.set_ylabel(displayable(y, 70), fontsize=LABEL, labelpad=5)
    if title:
        axes.set_title(displayable(title, 90), fontsize=LABEL + 1, fontweight="bold", pad=9, wrap=True)
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


def _are_names_crowded(names: Sequence[str], width: float) -> bool:
    """Names too long to stand below their bars are better written beside them."""
    longest = max((len(name) for name in names), default=0)
    return len(names) >= 4 and longest > 16 and longest * len(names) > width * 30 and len(names) <= 24


def _sort(chart_data: Chart, intent: PlotIntent) -> Chart:
    if intent.order is None or chart_data.kind != "bar":
        return chart_data
    first = next(iter(chart_data.series.values()))
    places = sorted(
        range(len(first)),
        key=lambda i: -math.inf if math.isnan(first[i]) else first[i],
        reverse=intent.order == "descending",
    )
    chart_data.names = [chart_data.names[i] for i in places]
    chart_data.series = {key: [of[i] for i in places] for key, of in chart_data.series.items()}
    chart_data.errors = {key: [of[i] for i in places] for key, of in chart_data.errors.items()}
    return chart_data


def _check_size(chart_data: Chart) -> None:
    """Refuse what nobody could read."""
    if not chart_data.grid and not any(not math.isnan(value) for of in chart_data.series.values() for value in of):
        raise FigureError("data_json holds no numbers to plot", "data_json")
    if len(chart_data.series) > MOST_SERIES:
        raise FigureError(
            f"a plot shows at most {MOST_SERIES} series, data_json has {len(chart_data.series)}", "data_json"
        )
    if chart_data.kind == "bar" and len(chart_data.names) * len(chart_data.series) > MOST_BARS:
        raise FigureError(f"a bar chart shows at most {MOST_BARS} bars; ask for a line or a histogram", "data_json")
    if len(chart_data.grid) * len(chart_data.grid[0] if chart_data.grid else ()) > MOST_CELLS:
        raise FigureError(f"a heat map shows at most {MOST_CELLS} cells", "data_json")


def _describe(chart_data: Chart, touching: int) -> str:
    """What the figure shows, in a few sentences."""
    kind = f"grouped {chart_data.kind}" if chart_data.kind == "bar" and len(chart_data.series) > 1 else chart_data.kind
    title = {"bar": "chart", "line": "plot", "scatter": "plot", "box": "plot"}.get(chart_data.kind, "")
    sentences = [f"The figure shows a {kind} {title}".rstrip()]
    if chart_data.kind == "heat map":
        sentences[0] += f" of {len(chart_data.grid)} rows and {len(chart_data.grid[0])} columns"
        values = [value for row in chart_data.grid for value in row if not math.isnan(value)]
    else:
        sentences[0] += " of " + ", ".join(pretty(name) or "value" for name in chart_data.series)
        values = [value for of in chart_data.series.values() for value in of if not math.isnan(value)]
    over = pretty(chart_data.x_name)
    if chart_data.names and chart_data.kind != "heat map":
        listed = ", ".join(displayable(name, 60) for name in chart_data.names[:12])
        sentences.append(
            f"It compares {len(chart_data.names)} items: {listed}{', ...' if len(chart_data.names) > 12 else ''}"
        )
    elif over and chart_data.kind in ("line", "scatter"):
        sentences.append(f"The horizontal axis is {over}")
    if values:
        sentences.append(f"Values range from {number(min(values))} to {number(max(values))}")
    if chart_data.kind == "bar":
        name, of = next(iter(chart_data.series.items()))
        best = max(range(len(of)), key=lambda i: -math.inf if math.isnan(of[i]) else of[i])
        sentences.append(
            f"The highest {pretty(name) or 'value'} is {number(of[best])} for {displayable(chart_data.names[best], 60)}"
        )
    if chart_data.note and chart_data.kind != "heat map":
        sentences.append(chart_data.note[0].upper() + chart_data.note[1:])
    if touching:
        sentences.append(f"{touching} labels still touch others")
    return ". ".join(sentences) + "."
