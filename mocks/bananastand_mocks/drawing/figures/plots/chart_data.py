"""Decides which chart a table becomes, and turns it into that chart's data.

The intent's kind wins where the data allow it; else the data's shape decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .intent import Kind, PlotIntent
from .table import DataTable

__all__ = ["Chart", "choose_chart"]

ERROR = re.compile(r"[ _-]?(?:std|sd|err|errors?|se|sem|stderr|std_?dev|ci|ci95|stdev|uncertainty)$", re.IGNORECASE)
OVER = re.compile(
    r"x|t|epochs?|steps?|iterations?|iters?|time|years?|months?|days?|weeks?|hours?|rounds?|batch(?:es)?"
    r"|(?:\w+[ _])?(?:epochs?|steps?|size|sizes|year|time|rate|fraction|ratio|length|tokens|samples|threshold)",
    re.IGNORECASE,
)
DATE = re.compile(
    r"\d{4}(?:[-/.]\d{1,2}){0,2}|Q[1-4].*|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*.*", re.IGNORECASE
)
Series = dict[str, list[float]]


@dataclass
class Chart:
    """One kind and what it is drawn from; the other fields stay empty."""

    kind: Kind
    names: list[str] = field(default_factory=list[str])  # categories, named points, or rows of a heat map
    columns: list[str] = field(default_factory=list[str])  # of a heat map
    series: Series = field(default_factory=dict[str, list[float]])  # bars, lines, samples
    errors: Series = field(default_factory=dict[str, list[float]])
    xs: Series = field(default_factory=dict[str, list[float]])  # of lines and clouds, by series
    grid: list[list[float]] = field(default_factory=list[list[float]])
    x_name: str = ""
    y_name: str = ""
    note: str = ""  # what was computed on the way


def choose_chart(table: DataTable, intent: PlotIntent) -> Chart:
    """The chart of a table that holds numbers."""
    if table.grid:
        return _grid_chart(table, intent)
    if table.samples:
        return _samples_chart(table.samples, intent, "", "value")
    numbers, errors = _split_errors(table.numbers)
    text = dict(table.text)
    if len(text) >= 2 and (pivoted := _grouped_chart(text, numbers, intent)):
        return pivoted
    if text:
        name = next((key for key, column in text.items() if len(set(column)) == len(column)), next(iter(text)))
        if len(set(text[name])) < len(text[name]):
            return _series_chart(name, text[name], numbers, intent)
        return _named_chart(name, text[name], numbers, errors, intent)
    return _numbers_chart(numbers, errors, intent)


def _grid_chart(table: DataTable, intent: PlotIntent) -> Chart:
    rows = table.grid_rows or [str(i + 1) for i in range(len(table.grid))]
    columns = table.grid_columns or [str(i + 1) for i in range(len(table.grid[0]))]
    if intent.kind in (None, "heat map", "scatter"):
        return Chart("heat map", names=rows, columns=columns, grid=table.grid)
    if intent.kind == "bar":
        return Chart("bar", names=columns, series=dict(zip(rows, table.grid, strict=True)))
    if intent.kind == "line":
        over = [float(i + 1) for i in range(len(columns))]
        return Chart("line", series=dict(zip(rows, table.grid, strict=True)), xs=dict.fromkeys(rows, over))
    return _samples_chart(dict(zip(rows, table.grid, strict=True)), intent, "", "value")


def _samples_chart(samples: Series, intent: PlotIntent, x_name: str, y_name: str) -> Chart:
    """Distributions: means with their spread as bars, in order as lines, else histogram or boxes."""
    if intent.kind == "bar":
        means = [sum(of) / len(of) for of in samples.values()]
        spreads = [_deviation(of) for of in samples.values()]
        return Chart(
            "bar",
            list(samples),
            series={y_name: means},
            errors={y_name: spreads},
            x_name=x_name,
            y_name=f"mean {y_name}",
            note="bars are means, whiskers standard deviations",
        )
    if intent.kind in ("line", "scatter"):
        xs = {name: [float(i + 1) for i in range(len(of))] for name, of in samples.items()}
        return Chart(intent.kind, series=samples, xs=xs, x_name="index", y_name=y_name)
    kind = intent.kind if intent.kind in ("histogram", "box") else "box" if len(samples) > 1 else "histogram"
    alone = next(iter(samples)) if len(samples) == 1 else y_name
    if kind == "histogram":
        return Chart(kind, series=samples, x_name=alone, y_name="count")
    return Chart(kind, series=samples, x_name=x_name, y_name=y_name)


def _grouped_chart(text: dict[str, list[str]], numbers: Series, intent: PlotIntent) -> Chart | None:
    """Two text columns and a number each: a series for each name of the second."""
    (first, rows), (second, names) = list(text.items())[:2]
    if not numbers:
        return None
    measure, values = next(iter(numbers.items()))
    row_names, series_names = list(dict.fromkeys(rows)), list(dict.fromkeys(names))
    cells = dict(zip(zip(rows, names, strict=True), values, strict=True))
    if len(cells) < len(rows) or len(set(rows)) == len(rows):
        return None
    series = {name: [cells.get((row, name), math.nan) for row in row_names] for name in series_names}
    if intent.kind == "heat map":
        grid = [[series[name][i] for name in series_names] for i in range(len(row_names))]
        return Chart("heat map", row_names, series_names, grid=grid, x_name=second, y_name=first, note=measure)
    if intent.kind == "box":
        return None
    kind = "line" if intent.kind == "line" else "bar"
    over = [float(i) for i in range(len(row_names))]
    return Chart(kind, row_names, series=series, xs=dict.fromkeys(series, over), x_name=first, y_name=measure)


def _series_chart(name: str, column: list[str], numbers: Series, intent: PlotIntent) -> Chart:
    """One text column that names groups: curves or clouds where there are two numbers, else samples."""
    groups = list(dict.fromkeys(column))
    keys = list(numbers)
    if len(keys) >= 2 and intent.kind not in ("box", "histogram", "bar"):
        x, y = _axis_column(numbers) or keys[0], next(key for key in keys if key != (_axis_column(numbers) or keys[0]))
        xs = {group: [v for v, g in zip(numbers[x], column, strict=True) if g == group] for group in groups}
        series = {group: [v for v, g in zip(numbers[y], column, strict=True) if g == group] for group in groups}
        rising = all(_is_rising(of) for of in xs.values())
        kind: Kind = "line" if intent.kind == "line" or (intent.kind is None and rising) else "scatter"
        return Chart(kind, series=series, xs=xs, x_name=x, y_name=y)
    measure, values = next(iter(numbers.items())) if numbers else ("", [])
    pairs = list(zip(values, column, strict=True))
    samples = {group: [v for v, g in pairs if g == group and not math.isnan(v)] for group in groups}
    return _samples_chart({key: of for key, of in samples.items() if of}, intent, name, measure)


def _named_chart(name: str, column: list[str], numbers: Series, errors: Series, intent: PlotIntent) -> Chart:
    """One number or more for each name."""
    if intent.kind == "scatter" and len(numbers) >= 2:
        (x, xs), (y, ys) = list(numbers.items())[:2]
        few = column if len(column) <= 25 else []
        return Chart("scatter", few, series={y: ys}, xs={y: xs}, x_name=x, y_name=y)
    if intent.kind == "heat map":
        return Chart("heat map", column, list(numbers), grid=[list(row) for row in zip(*numbers.values(), strict=True)])
    if intent.kind in ("histogram", "box"):
        return _samples_chart(numbers, intent, "", next(iter(numbers)) if len(numbers) == 1 else "value")
    y_name = next(iter(numbers)) if len(numbers) == 1 else ""
    dated = all(DATE.fullmatch(label) for label in column)
    if intent.kind == "line" or (intent.kind is None and dated and len(column) > 3):
        over = [float(i) for i in range(len(column))]
        return Chart(
            "line", column, series=numbers, errors=errors, xs=dict.fromkeys(numbers, over), x_name=name, y_name=y_name
        )
    return Chart("bar", column, series=numbers, errors=errors, x_name=name, y_name=y_name)


def _numbers_chart(numbers: Series, errors: Series, intent: PlotIntent) -> Chart:
    """Numbers alone: over an axis among them, else over their places, or as samples."""
    if intent.kind == "heat map":
        if intent.correlation and len(numbers) > 1:
            names = list(numbers)
            grid = [[_correlation(numbers[a], numbers[b]) for b in names] for a in names]
            return Chart("heat map", names, names, grid=grid, note="Pearson's correlation")
        return Chart(
            "heat map",
            list(numbers),
            [str(i + 1) for i in range(len(next(iter(numbers.values()))))],
            grid=list(numbers.values()),
        )
    long = max(len(of) for of in numbers.values()) > 30
    if intent.kind in ("histogram", "box") or (intent.kind is None and len(numbers) == 1 and long):
        samples = {
            key: numbers_of_column
            for key, of in numbers.items()
            if (numbers_of_column := [v for v in of if not math.isnan(v)])
        }
        return _samples_chart(samples, intent, "", next(iter(numbers)) if len(numbers) == 1 else "value")
    axis = _axis_column(numbers)
    if intent.kind == "scatter" and axis is None and len(numbers) >= 2:
        axis = next(iter(numbers))
    series = {key: of for key, of in numbers.items() if key != axis}
    y_name = next(iter(series)) if len(series) == 1 else ""
    over = numbers[axis] if axis else [float(i + 1) for i in range(len(next(iter(series.values()))))]
    if intent.kind == "bar":
        names = [f"{value:g}" for value in over]
        return Chart("bar", names, series=series, errors=errors, x_name=axis or "", y_name=y_name)
    if intent.kind == "scatter" or (intent.kind is None and axis is None and len(numbers) == 2):
        if axis is None and len(numbers) == 2:
            (axis, over), (y_name, ys) = numbers.items()
            series = {y_name: ys}
        return Chart("scatter", series=series, xs=dict.fromkeys(series, over), x_name=axis or "index", y_name=y_name)
    if axis:
        order = sorted(range(len(over)), key=lambda i: (math.isnan(over[i]), over[i]))
        over = [over[i] for i in order]
        series = {key: [of[i] for i in order] for key, of in series.items()}
        errors = {key: [of[i] for i in order] for key, of in errors.items()}
    return Chart(
        "line", series=series, errors=errors, xs=dict.fromkeys(series, over), x_name=axis or "index", y_name=y_name
    )


def _split_errors(numbers: Series) -> tuple[Series, Series]:
    """The columns, and those that are the spread of another, under that one's name."""
    spreads = {key: ERROR.sub("", key) for key in numbers if ERROR.search(key)}
    measured = {key: of for key, of in numbers.items() if key not in spreads}
    errors: Series = {}
    for key, base in spreads.items():
        plain = [column for column in measured if re.sub(r"[ _-]?mean$", "", column) == base or column == base]
        owner = plain[0] if plain else next(iter(measured)) if len(measured) == 1 and not base else None
        if owner is None:
            measured[key] = numbers[key]
        else:
            errors[owner] = [0.0 if math.isnan(value) else abs(value) for value in numbers[key]]
    return measured, errors


def _axis_column(numbers: Series) -> str | None:
    """The column the others are measured over: one with such a name, else a first one that rises."""
    if len(numbers) < 2:
        return None
    first, values = next(iter(numbers.items()))
    named = next((key for key in numbers if OVER.fullmatch(key)), None)
    return named or (first if _is_rising(values) else None)


def _is_rising(values: Sequence[float]) -> bool:
    return all(a < b for a, b in zip(values, values[1:], strict=False)) and len(values) > 1


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1))


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not (math.isnan(a) or math.isnan(b))]
    means = [sum(of) / max(1, len(pairs)) for of in zip(*pairs, strict=True)] or [0.0, 0.0]
    above = sum((a - means[0]) * (b - means[1]) for a, b in pairs)
    below = math.sqrt(sum((a - means[0]) ** 2 for a, _ in pairs) * sum((b - means[1]) ** 2 for _, b in pairs))
    return above / below if below else math.nan
