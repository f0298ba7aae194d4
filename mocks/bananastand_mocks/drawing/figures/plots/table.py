"""Reads any JSON into a table of named columns. Knows nothing of charts.

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
        return max((len(column) for column in (*self.text.values(), *self.numbers.values())), default=0)


def read_table(data_json: str) -> DataTable:
    """The table in a JSON text. Raises FigureError: no JSON, no numbers, too many of them."""
    try:
        value = json.loads(data_json, object_pairs_hook=_shortened)
        _weigh(value)
        table = _table(value)
    except RecursionError as error:
        raise FigureError("data_json is nested too deeply", "data_json") from error
    except ValueError as error:
        raise FigureError(f"Invalid JSON in data_json: {error}", "data_json") from error
    if not (table.numbers or table.samples or table.grid):
        raise FigureError("data_json holds no numbers to plot", "data_json")
    return table


def _shortened(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are no longer than anybody reads."""
    return {key[:LETTERS]: each[: 4 * LETTERS] if isinstance(each, str) else each for key, each in pairs}


def _weigh(value: Any) -> None:
    """Count the cells before anything is built of them."""
    cells, waiting = 0, [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        cells += 1
        if cells > CELLS:
            raise FigureError(f"data_json holds more than {CELLS} values", "data_json")
        if depth > 12:
            raise FigureError("data_json is nested too deeply", "data_json")
        if isinstance(each, dict):
            waiting += [(inner, depth + 1) for inner in cast("dict[str, Any]", each).values()]
        elif isinstance(each, list):
            waiting += [(inner, depth + 1) for inner in cast("list[Any]", each)]


def _table(value: Any) -> DataTable:
    if isinstance(value, dict):
        return _of_object(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return _of_list(cast("list[Any]", value))
    return _of_columns({"value": [value]})


def _of_object(value: dict[str, Any]) -> DataTable:
    notes = {key.lower(): each for key, each in value.items() if isinstance(each, str)}
    holders = {key: each for key, each in value.items() if isinstance(each, dict | list) and each}
    table = _of_holders(holders) if holders else _of_pairs(value)
    table.notes = notes | table.notes
    return table


def _of_holders(value: dict[str, Any]) -> DataTable:
    for name in (key for key in GRIDS if _rectangle(value.get(key))):
        if not any(isinstance(each, dict) for each in value.values()) and (table := _labelled_grid(value, name)):
            return table
    for name in (key for key in SERIES if key in value):
        if (table := _of_series(value, name)) is not None:
            return table
    if len(value) == 1:
        ((name, only),) = value.items()
        if name.lower() in WRAPPERS or isinstance(only, dict) or not _flat(only):
            return _table(only)
    if all(isinstance(each, dict) for each in value.values()):
        return _of_records([{"name": key, **_spread(each)} for key, each in value.items()])
    columns: Columns = {}
    for key, each in value.items():
        if isinstance(each, dict):
            columns |= {inner: of for inner, of in cast("dict[str, Any]", each).items() if _flat(of)}
        else:
            columns[key] = each
    nested = [key for key, each in columns.items() if each and all(isinstance(of, list) for of in each)]
    if nested:
        names = next((each for key, each in columns.items() if key not in nested and _flat(each)), None)
        rows = columns[nested[0]]
        named = [str(name) for name in names] if names and len(names) == len(rows) else None
        return _of_samples(dict(zip(named or [str(i + 1) for i in range(len(rows))], rows, strict=True)))
    return _of_columns({key: each for key, each in columns.items() if _flat(each)})


def _of_pairs(value: dict[str, Any]) -> DataTable:
    """Names and one number each."""
    pairs = {key: each for key, each in value.items() if _number(each) is not None}
    return _of_columns({"": list(pairs), "value": list(pairs.values())}) if pairs else DataTable()


def _of_list(value: list[Any]) -> DataTable:
    if value and all(isinstance(each, dict) for each in value):
        return _of_records(cast("list[dict[str, Any]]", value))
    if value and all(isinstance(each, list) for each in value):
        return _of_rows(cast("list[list[Any]]", value))
    if any(isinstance(each, str) for each in value) and all(_number(each) is None for each in value):
        counts = Counter(str(each) for each in value)
        return _of_columns({"": list(counts), "count": list(counts.values())})
    return _of_columns({"value": [each for each in value if not isinstance(each, dict | list)]})


def _of_rows(rows: list[list[Any]]) -> DataTable:
    """Rows with or without a heading; all numbers and more than two wide, they are a grid."""
    width = max(len(row) for row in rows)
    heading = [str(each) for each in rows[0]] if all(isinstance(each, str) for each in rows[0]) and rows[1:] else None
    if _rectangle(rows):
        if width > 2:
            return DataTable(grid=_grid(rows))
        heading = ["x", "y"][-width:] if width else []
        return _of_columns({name: [row[i] for row in rows] for i, name in enumerate(heading)})
    body = rows[1:] if heading else rows
    if not heading and all(_number(each) is not None for row in rows for each in row):
        return _of_samples({str(i + 1): row for i, row in enumerate(rows)})
    names = heading or ["", *(f"value {i}" if width > 2 else "value" for i in range(1, width))]
    names += [f"column {i + 1}" for i in range(len(names), width)]
    return _of_columns({name: [row[i] if i < len(row) else None for row in body] for i, name in enumerate(names)})


def _of_records(records: list[dict[str, Any]]) -> DataTable:
    keys = list(dict.fromkeys(key for record in records for key in record))
    lists = [key for key in keys if all(isinstance(record.get(key), list) for record in records)]
    name = next((key for key in keys if isinstance(records[0].get(key), str)), None)
    if len(lists) == 1:
        return _of_samples({str(r.get(name) if name else i + 1): r[lists[0]] for i, r in enumerate(records)})
    if lists:  # several curves with a length of their own
        return _of_columns(_stacked(records, name, lists))
    flat = [key for key in keys if not any(isinstance(record.get(key), dict | list) for record in records)]
    if not flat and (inner := [_spread(record) for record in records]) != records:
        return _of_records(inner)
    return _of_columns({key: [record.get(key) for record in records] for key in flat})


def _stacked(records: list[dict[str, Any]], name: str | None, lists: list[str]) -> Columns:
    columns: Columns = {"series": [], **{key: [] for key in lists}}
    for place, record in enumerate(records):
        length = min(len(record[key]) for key in lists)
        columns["series"] += [str(record.get(name) if name else place + 1)] * length
        for key in lists:
            columns[key] += record[key][:length]
    return columns


def _of_series(value: dict[str, Any], name: str) -> DataTable | None:
    """Chart libraries' shape: a list of names beside a list of series."""
    series = value[name]
    axis = next((key for key in AXES if key != name and _flat(value.get(key))), None)
    if isinstance(series, dict) and axis:
        columns = {str(key): each for key, each in cast("dict[str, Any]", series).items() if _flat(each)}
        return _of_columns({axis: value[axis], **columns}) if columns else None
    if not isinstance(series, list) or not all(isinstance(each, dict) for each in cast("list[Any]", series)):
        return None
    records = cast("list[dict[str, Any]]", series)
    columns = {}
    for place, record in enumerate(records):
        title = next((str(record[key]) for key in NAMES if isinstance(record.get(key), str)), f"series {place + 1}")
        found = next((record[key] for key in LISTS if _flat(record.get(key))), None)
        if axis is None or found is None or len(found) != len(value[axis]):
            return _of_records(records)
        columns[title] = found
    return _of_columns({axis or "": value[axis or ""], **columns})


def _labelled_grid(value: dict[str, Any], name: str) -> DataTable | None:
    rows = value[name]
    height, width = len(rows), len(rows[0])
    across = next((value[key] for key in COLUMN_NAMES if _names(value.get(key), width)), None)
    down = next((value[key] for key in ROW_NAMES if _names(value.get(key), height) and value[key] is not across), None)
    if down is None and across is not None and height == width:
        down = across
    if name in ("values", "data") and (across is None or down is None):
        return None
    return DataTable(
        grid=_grid(rows),
        grid_rows=[str(each) for each in down or ()],
        grid_columns=[str(each) for each in across or ()],
    )


def _of_samples(groups: dict[str, Any]) -> DataTable:
    samples = {key: [n for each in of if (n := _number(each)) is not None] for key, of in groups.items()}
    return DataTable(samples={key: of for key, of in samples.items() if of})


def _of_columns(columns: Columns) -> DataTable:
    """Sort columns into text and numbers; lists of different lengths, all numbers, are samples."""
    lengths = {len(each) for each in columns.values()}
    if len(lengths) > 1:
        if all(_numeric(each) for each in columns.values()):
            return _of_samples(columns)
        common = Counter(len(each) for each in columns.values()).most_common(1)[0][0]
        columns = {key: each for key, each in columns.items() if len(each) == common}
    table = DataTable()
    for key, each in columns.items():
        if _numeric(each):
            table.numbers[key] = [math.nan if (n := _number(cell)) is None else n for cell in each]
        elif any(cell is not None for cell in each):
            table.text[key] = ["" if cell is None else str(cell) for cell in each]
    return table


def _spread(value: Any) -> dict[str, Any]:
    """One level of nested objects, their numbers beside the others."""
    flat: dict[str, Any] = {}
    for key, each in cast("dict[str, Any]", value).items():
        flat |= cast("dict[str, Any]", each) if isinstance(each, dict) else {key: each}
    return flat


def _grid(rows: list[list[Any]]) -> list[list[float]]:
    return [[math.nan if (n := _number(each)) is None else n for each in row] for row in rows]


def _rectangle(value: Any) -> bool:
    """Rows of one length that hold numbers, or nothing where one is missing."""
    if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
        return False
    rows = cast("list[list[Any]]", value)
    return len({len(row) for row in rows}) == 1 and all(
        each is None or _number(each) is not None for row in rows for each in row
    )


def _names(value: Any, length: int) -> bool:
    return _flat(value) and len(value) == length


def _flat(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(each, dict | list) for each in cast("list[Any]", value))


def _numeric(column: list[Any]) -> bool:
    held = [each for each in column if each is not None]
    return bool(held) and all(_number(each) is not None for each in held)


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
