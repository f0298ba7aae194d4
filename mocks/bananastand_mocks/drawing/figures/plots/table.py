"""Reads any JSON into a table of named columns.

Taken are columns, records, nested objects, lists, pairs, matrices, and the shapes of chart libraries (labels with
datasets, categories with series). What a table has no place for, such as a note beside the columns, is left out.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from ..figure import FigureError

__all__ = ["CELLS", "DataTable", "read_table"]

CELLS = 100_000
LARGEST = 1e100  # axes and margins need room above
WRAPPERS = ("data", "values", "points", "rows", "records", "table", "results", "items", "entries")
SERIES, AXES = ("datasets", "series", "lines", "groups"), ("labels", "categories", "x", "groups", "names", "columns")
NAMES, LISTS = ("label", "name", "group", "series", "key", "id", "category"), ("data", "values", "y", "samples")
GRIDS = ("matrix", "z", "heatmap", "grid", "values", "data")
COLUMN_NAMES = ("columns", "x_labels", "xlabels", "col_labels", "cols", "x", "predicted", "labels", "categories")
ROW_NAMES = ("rows", "y_labels", "ylabels", "row_labels", "y", "actual", "labels", "categories")

LETTERS = 400  # of a name

Columns = dict[str, list[Any]]


@dataclass
class DataTable:
    """Text columns and number columns of one length (NaN where a number is missing), or samples, or a grid.

    `samples` holds lists of any lengths, one for each group; `grid` a rectangle, with `text` empty and its own labels.
    """

    text: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    numbers: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    grid: list[list[float]] = field(default_factory=list[list[float]])
    grid_rows: list[str] = field(default_factory=list[str])
    grid_columns: list[str] = field(default_factory=list[str])
    notes: dict[str, str] = field(default_factory=dict[str, str])  # plain texts beside the data: title, axis labels

    @property
    def length(self) -> int:
        """The number of rows."""
        return max((len(column) for column in (*self.text.values(), *self.numbers.values())), default=0)


def read_table(data_json: str) -> DataTable:
    """The table in a JSON text. Raises FigureError: no JSON, no numbers, too many of them."""
    try:
        value = json.loads(data_json, object_pairs_hook=_shortened)
        _check_size(value)
        table = _read_value(value)
    except RecursionError as error:
        raise FigureError("data_json is nested too deeply", "data_json") from error
    except ValueError as error:
        raise FigureError(f"Invalid JSON in data_json: {error}", "data_json") from error
    if not (table.numbers or table.samples or table.grid):
        raise FigureError("data_json holds no numbers to plot", "data_json")
    return table


def _shortened(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are no longer than anybody reads."""
    return {key[:LETTERS]: value[: 4 * LETTERS] if isinstance(value, str) else value for key, value in pairs}


def _check_size(value: Any) -> None:
    """Count the cells before anything is built of them."""
    cells, waiting = 0, [(value, 0)]
    while waiting:
        current, depth = waiting.pop()
        cells += 1
        if cells > CELLS:
            raise FigureError(f"data_json holds more than {CELLS} values", "data_json")
        if depth > 12:
            raise FigureError("data_json is nested too deeply", "data_json")
        if isinstance(current, dict):
            waiting += [(inner, depth + 1) for inner in cast("dict[str, Any]", current).values()]
        elif isinstance(current, list):
            waiting += [(inner, depth + 1) for inner in cast("list[Any]", current)]


def _read_value(value: Any) -> DataTable:
    if isinstance(value, dict):
        return _read_object(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return _read_list(cast("list[Any]", value))
    return _columns_table({"value": [value]})


def _read_object(value: dict[str, Any]) -> DataTable:
    notes = {key.lower(): value_of_key for key, value_of_key in value.items() if isinstance(value_of_key, str)}
    holders = {
        key: value_of_key
        for key, value_of_key in value.items()
        if isinstance(value_of_key, dict | list) and value_of_key
    }
    table = _read_holders(holders) if holders else _read_pairs(value)
    table.notes = notes | table.notes
    return table


def _read_holders(value: dict[str, Any]) -> DataTable:
    for name in (key for key in GRIDS if _is_rectangle(value.get(key))):
        if not any(isinstance(column, dict) for column in value.values()) and (table := _grid_table(value, name)):
            return table
    for name in (key for key in SERIES if key in value):
        if (table := _read_series(value, name)) is not None:
            return table
    if len(value) == 1:
        ((name, only),) = value.items()
        if name.lower() in WRAPPERS or isinstance(only, dict) or not _is_flat(only):
            return _read_value(only)
    if all(isinstance(column, dict) for column in value.values()):
        return _read_records([{"name": key, **_flatten(column)} for key, column in value.items()])
    columns: Columns = {}
    for key, column in value.items():
        if isinstance(column, dict):
            columns |= {inner: of for inner, of in cast("dict[str, Any]", column).items() if _is_flat(of)}
        else:
            columns[key] = column
    nested = [key for key, column in columns.items() if column and all(isinstance(of, list) for of in column)]
    if nested:
        names = next((column for key, column in columns.items() if key not in nested and _is_flat(column)), None)
        rows = columns[nested[0]]
        named = [str(name) for name in names] if names and len(names) == len(rows) else None
        return _samples_table(dict(zip(named or [str(i + 1) for i in range(len(rows))], rows, strict=True)))
    return _columns_table({key: column for key, column in columns.items() if _is_flat(column)})


def _read_pairs(value: dict[str, Any]) -> DataTable:
    """Names and one number each."""
    pairs = {key: number for key, number in value.items() if _number(number) is not None}
    return _columns_table({"": list(pairs), "value": list(pairs.values())}) if pairs else DataTable()


def _read_list(value: list[Any]) -> DataTable:
    if value and all(isinstance(item, dict) for item in value):
        return _read_records(cast("list[dict[str, Any]]", value))
    if value and all(isinstance(item, list) for item in value):
        return _read_rows(cast("list[list[Any]]", value))
    if any(isinstance(item, str) for item in value) and all(_number(item) is None for item in value):
        counts = Counter(str(item) for item in value)
        return _columns_table({"": list(counts), "count": list(counts.values())})
    return _columns_table({"value": [item for item in value if not isinstance(item, dict | list)]})


def _read_rows(rows: list[list[Any]]) -> DataTable:
    """Rows with or without a heading; all numbers and more than two wide, they are a grid."""
    width = max(len(row) for row in rows)
    heading = [str(cell) for cell in rows[0]] if all(isinstance(cell, str) for cell in rows[0]) and rows[1:] else None
    if _is_rectangle(rows):
        if width > 2:
            return DataTable(grid=_grid(rows))
        heading = ["x", "y"][-width:] if width else []
        return _columns_table({name: [row[i] for row in rows] for i, name in enumerate(heading)})
    body = rows[1:] if heading else rows
    if not heading and all(_number(cell) is not None for row in rows for cell in row):
        return _samples_table({str(i + 1): row for i, row in enumerate(rows)})
    names = heading or ["", *(f"value {i}" if width > 2 else "value" for i in range(1, width))]
    names += [f"column {i + 1}" for i in range(len(names), width)]
    return _columns_table({name: [row[i] if i < len(row) else None for row in body] for i, name in enumerate(names)})


def _read_records(records: list[dict[str, Any]]) -> DataTable:
    keys = list(dict.fromkeys(key for record in records for key in record))
    lists = [key for key in keys if all(isinstance(record.get(key), list) for record in records)]
    name = next((key for key in keys if isinstance(records[0].get(key), str)), None)
    if len(lists) == 1:
        return _samples_table({str(r.get(name) if name else i + 1): r[lists[0]] for i, r in enumerate(records)})
    if lists:  # several curves with a length of their own
        return _columns_table(_stacked(records, name, lists))
    flat = [key for key in keys if not any(isinstance(record.get(key), dict | list) for record in records)]
    if not flat and (inner := [_flatten(record) for record in records]) != records:
        return _read_records(inner)
    return _columns_table({key: [record.get(key) for record in records] for key in flat})


def _stacked(records: list[dict[str, Any]], name: str | None, lists: list[str]) -> Columns:
    columns: Columns = {"series": [], **{key: [] for key in lists}}
    for place, record in enumerate(records):
        length = min(len(record[key]) for key in lists)
        columns["series"] += [str(record.get(name) if name else place + 1)] * length
        for key in lists:
            columns[key] += record[key][:length]
    return columns


def _read_series(value: dict[str, Any], name: str) -> DataTable | None:
    """Chart libraries' shape: a list of names beside a list of series."""
    series = value[name]
    axis = next((key for key in AXES if key != name and _is_flat(value.get(key))), None)
    if isinstance(series, dict) and axis:
        columns = {str(key): item for key, item in cast("dict[str, Any]", series).items() if _is_flat(item)}
        return _columns_table({axis: value[axis], **columns}) if columns else None
    if not isinstance(series, list) or not all(isinstance(item, dict) for item in cast("list[Any]", series)):
        return None
    records = cast("list[dict[str, Any]]", series)
    columns = {}
    for place, record in enumerate(records):
        title = next((str(record[key]) for key in NAMES if isinstance(record.get(key), str)), f"series {place + 1}")
        found = next((record[key] for key in LISTS if _is_flat(record.get(key))), None)
        if axis is None or found is None or len(found) != len(value[axis]):
            return _read_records(records)
        columns[title] = found
    return _columns_table({axis or "": value[axis or ""], **columns})


def _grid_table(value: dict[str, Any], name: str) -> DataTable | None:
    rows = value[name]
    height, width = len(rows), len(rows[0])
    across = next((value[key] for key in COLUMN_NAMES if _are_names(value.get(key), width)), None)
    down = next(
        (value[key] for key in ROW_NAMES if _are_names(value.get(key), height) and value[key] is not across), None
    )
    if down is None and across is not None and height == width:
        down = across
    if name in ("values", "data") and (across is None or down is None):
        return None
    return DataTable(
        grid=_grid(rows),
        grid_rows=[str(label) for label in down or ()],
        grid_columns=[str(label) for label in across or ()],
    )


def _samples_table(groups: dict[str, Any]) -> DataTable:
    samples = {key: [n for cell in of if (n := _number(cell)) is not None] for key, of in groups.items()}
    return DataTable(samples={key: of for key, of in samples.items() if of})


def _columns_table(columns: Columns) -> DataTable:
    """Sort columns into text and numbers; lists of different lengths, all numbers, are samples."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        if all(_is_numeric(column) for column in columns.values()):
            return _samples_table(columns)
        common = Counter(len(column) for column in columns.values()).most_common(1)[0][0]
        columns = {key: column for key, column in columns.items() if len(column) == common}
    table = DataTable()
    for key, column in columns.items():
        if _is_numeric(column):
            table.numbers[key] = [math.nan if (n := _number(cell)) is None else n for cell in column]
        elif any(cell is not None for cell in column):
            table.text[key] = ["" if cell is None else str(cell) for cell in column]
    return table


def _flatten(value: Any) -> dict[str, Any]:
    """One level of nested objects, their numbers beside the others."""
    flat: dict[str, Any] = {}
    for key, inner in cast("dict[str, Any]", value).items():
        flat |= cast("dict[str, Any]", inner) if isinstance(inner, dict) else {key: inner}
    return flat


def _grid(rows: list[list[Any]]) -> list[list[float]]:
    return [[math.nan if (n := _number(cell)) is None else n for cell in row] for row in rows]


def _is_rectangle(value: Any) -> bool:
    """Rows of one length that hold numbers, or nothing where one is missing."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
        return False
    rows = cast("list[list[Any]]", value)
    return len({len(row) for row in rows}) == 1 and all(
        cell is None or _number(cell) is not None for row in rows for cell in row
    )


def _are_names(value: Any, length: int) -> bool:
    return _is_flat(value) and len(value) == length


def _is_flat(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, dict | list) for item in cast("list[Any]", value))


def _is_numeric(column: list[Any]) -> bool:
    cells = [cell for cell in column if cell is not None]
    return bool(cells) and all(_number(cell) is not None for cell in cells)


def _number(value: Any) -> float | None:
    """A finite number, also one that is written as text; nothing else. Raises FigureError: too large to draw."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip().removesuffix("%")) if isinstance(value, str) else float(value)
    except ValueError:
        return None
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        return math.nan
    if abs(number) > LARGEST:
        if isinstance(value, str):
            return None
        raise FigureError(f"data_json holds a number beyond {LARGEST:g}, too large to plot", "data_json")
    return number
