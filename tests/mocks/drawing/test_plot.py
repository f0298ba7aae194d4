"""PaperBanana's plots: which chart data and intent become, and files that are what they are called."""

from __future__ import annotations

import io
import json
import math
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pypdf
import pytest
from PIL import Image

from bananastand_mocks.drawing.figures import FigureError, plots
from bananastand_mocks.drawing.figures.plots.chart_data import choose_chart
from bananastand_mocks.drawing.figures.plots.intent import read_intent
from bananastand_mocks.drawing.figures.plots.table import read_table
from bananastand_mocks.drawing.figures.sizes import RATIOS
from docs.contact_sheets import plot_examples

MODELS = json.dumps({"models": ["ResNet-50", "ViT-B/16", "EfficientNet-B4"], "accuracy": [76.1, 81.8, 82.9]})
INTENT = "Bar chart comparing model accuracy with value labels"


def planned(data: object, intent: str = ""):
    return choose_chart(read_table(json.dumps(data)), read_intent(intent))


@pytest.mark.parametrize(
    ("data", "intent", "kind"),
    [
        ({"models": ["a", "b"], "accuracy": [1, 2]}, "", "bar"),
        ({"a": 1, "b": 2.5}, "", "bar"),
        ({"a": {"f1": 1, "em": 2}, "b": {"f1": 3, "em": 4}}, "", "bar"),
        (
            [
                {"month": "2024-01", "n": 1},
                {"month": "2024-02", "n": 2},
                {"month": "2024-03", "n": 3},
                {"month": "2024-04", "n": 2},
            ],
            "",
            "line",
        ),
        ({"epoch": [1, 2, 3], "loss": [3, 2, 1]}, "", "line"),
        ({"x": [3, 1, 2], "y": [1, 5, 2]}, "scatter plot", "scatter"),
        ([[1, 2], [3, 1], [2, 2]], "Scatter plot of x against y", "scatter"),
        ({"latency": [i % 7 for i in range(50)]}, "", "histogram"),
        ({"a": [1, 2, 3], "b": [1, 2, 3, 4]}, "", "box"),
        ({"a": [1, 2, 3], "b": [1, 2, 3, 4]}, "Histogram of both", "histogram"),
        ([[1, 2, 3], [4, 5, 6]], "", "heat map"),
        ({"labels": ["a", "b"], "datasets": [{"label": "s", "data": [1, 2]}]}, "", "bar"),
        ({"x": [1, 2, 3], "series": [{"name": "s", "values": [1, 2, 3]}]}, "Line chart", "line"),
        ({"models": ["a", "b"], "accuracy": [1, 2]}, "Line plot of accuracy", "line"),
    ],
)
def test_the_chart_fits_the_data_and_the_intent(data: object, intent: str, kind: str):
    assert planned(data, intent).kind == kind


def test_the_contact_sheet_shows_every_kind():
    kinds = {planned(data, intent).kind for data, intent in plot_examples()}
    assert kinds == {"bar", "line", "histogram", "scatter", "box", "heat map"}


def test_the_documents_example_is_a_bar_for_each_model():
    drawn = planned(json.loads(MODELS), INTENT)
    assert drawn.names == ["ResNet-50", "ViT-B/16", "EfficientNet-B4"]
    assert drawn.series == {"accuracy": [76.1, 81.8, 82.9]}


def test_a_column_of_deviations_becomes_the_error_of_its_column():
    drawn = planned({"m": ["a", "b"], "f1": [1, 2], "f1_std": [0.1, 0.2]})
    assert (drawn.series, drawn.errors) == ({"f1": [1.0, 2.0]}, {"f1": [0.1, 0.2]})


def test_two_text_columns_and_a_number_are_a_group_for_each_name():
    rows = [
        {"task": t, "model": m, "score": s} for t, m, s in (("A", "x", 1), ("A", "y", 2), ("B", "x", 3), ("B", "y", 4))
    ]
    drawn = planned(rows)
    assert (drawn.names, drawn.series) == (["A", "B"], {"x": [1.0, 3.0], "y": [2.0, 4.0]})


def test_a_correlation_is_computed_where_one_is_asked_for():
    drawn = planned({"a": [1, 2, 3], "b": [2, 4, 6], "c": [3, 2, 1]}, "Correlation heat map")
    assert [round(value, 6) for value in drawn.grid[0]] == [1.0, 1.0, -1.0]


def test_an_intent_is_read_for_labels_scales_order_and_lines():
    wish = read_intent(
        "Horizontal bar chart sorted ascending, no legend, x-axis: 'Score (%)', y axis labelled \"Model\", "
        "log-scale y, baseline at 50, titled 'Main result'"
    )
    assert (wish.kind, wish.horizontal, wish.order, wish.legend) == ("bar", True, "ascending", False)
    assert (wish.x_label, wish.y_label, wish.title) == ("Score (%)", "Model", "Main result")
    assert (wish.log_y, wish.log_x, wish.baseline, wish.values) == (True, False, 50.0, False)


def test_each_format_is_that_format_and_shows_the_values():
    figure = plots.draw(MODELS, INTENT, aspect_ratio="4:3", formats=["png", "svg", "pdf"])
    assert set(figure.files) == {"png", "svg", "pdf"}
    assert Image.open(io.BytesIO(figure.files["png"])).size == (figure.width, figure.height) == (1920, 1440)
    root = ElementTree.fromstring(figure.files["svg"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.get("width", "").removesuffix("pt")) / float(root.get("height", "").removesuffix("pt")) == 4 / 3
    (page,) = pypdf.PdfReader(io.BytesIO(figure.files["pdf"])).pages
    text = page.extract_text()
    assert all(word in text for word in ("76.1", "81.8", "82.9", "ResNet-50", "Accuracy"))
    assert "82.9 for EfficientNet-B4" in figure.description


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_is_met_exactly(ratio: str):
    figure = plots.draw("[1, 2]", "line", aspect_ratio=ratio)
    width, height = Image.open(io.BytesIO(figure.files["png"])).size
    wide, high = ratio.split(":")
    assert width * int(high) == height * int(wide)


def test_the_same_call_gives_the_same_bytes_in_any_thread():
    alone = plots.draw(MODELS, INTENT, formats=["png", "svg", "pdf"]).files
    with ThreadPoolExecutor(4) as pool:
        drawn = [
            future.result().files
            for future in [pool.submit(plots.draw, MODELS, INTENT, formats=["png", "svg", "pdf"]) for _ in range(4)]
        ]
    assert drawn == [alone] * 4


def test_a_callers_settings_neither_change_nor_show():
    import matplotlib

    plain = plots.draw(MODELS, INTENT).files
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "text.usetex": True}):
        assert plots.draw(MODELS, INTENT).files == plain
        assert (matplotlib.rcParams["axes.facecolor"], matplotlib.rcParams["font.size"]) == ("red", 30)


@pytest.mark.parametrize("name", ["$5 and $6", "$\\frac{", "日本語", "\U0001f34c", "\u202eabc", "x" * 500, ""])
def test_any_name_is_drawn_as_text(name: str):
    figure = plots.draw(json.dumps({"names": [name, "b"], "values": [1, 2]}), "bar chart", aspect_ratio="1:1")
    assert figure.files["png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "Invalid JSON in data_json"),
        ("", "Invalid JSON in data_json"),
        ("{}", "no numbers"),
        ('"text"', "no numbers"),
        ('{"a": [null, null]}', "no numbers"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps([0] * 100_001), "more than 100000 values"),
        ("[1e308, 1]", "too large"),
        ("[" + "9" * 400 + ", 1]", "too large"),
        (json.dumps({"n": [f"name {i}" for i in range(300)], "v": list(range(300))}), "at most 240 bars"),
        (json.dumps([{f"s{i}": i for i in range(40)} | {"n": "a"}] * 1), "at most 24 series"),
    ],
)
def test_what_cannot_be_plotted_is_refused(data: str, message: str):
    with pytest.raises(FigureError, match=message) as refused:
        plots.draw(data, "bar chart")
    assert refused.value.field == "data_json"


@pytest.mark.parametrize(
    ("keywords", "field"), [({"aspect_ratio": "7:3"}, "aspect_ratio"), ({"formats": ["gif"]}, "output_formats")]
)
def test_an_unknown_ratio_or_format_is_refused(keywords: dict[str, Any], field: str):
    with pytest.raises(FigureError) as refused:
        plots.draw("[1, 2]", "line", **keywords)
    assert refused.value.field == field


def test_numbers_at_the_edges_of_floats_are_drawn():
    for data in ([1e99, -1e99, 0], [5e-324, 1e-320], [0, 0, 0], [7], [math.nan, 1]):
        for intent in ("bar chart with value labels", "log scale line", "histogram", "box plot"):
            assert plots.draw(json.dumps(data), intent).files["png"]


CROWDED = {
    "names of points": (
        {
            "model": ["A", "A 2", "B", "B-large", "C"],
            "speed": [1, 1.02, 1.03, 1.05, 3],
            "f1": [70, 70.2, 70.1, 70.4, 80],
        },
        "Scatter plot of F1 against speed",
        "4:3",
    ),
    "values on bars": (
        {"m": [f"M{i}" for i in range(18)], **{k: [70.123 + i / 10 for i in range(18)] for k in "abc"}},
        "Grouped bar chart with value labels",
        "4:3",
    ),
    "values on lines": (
        {
            "epoch": list(range(12)),
            "x": [10**6 + i * 30 for i in range(12)],
            "y": [10**6 + 40 - i * 30 for i in range(12)],
        },
        "Line plot with value labels",
        "9:16",
    ),
}


@pytest.mark.parametrize("name", CROWDED)
def test_iterations_mend_labels_that_touch(name: str):
    data, intent, ratio = CROWDED[name]
    first, third, tenth = (
        plots.draw(json.dumps(data), intent, aspect_ratio=ratio, iterations=number) for number in (1, 3, 10)
    )
    assert "labels still touch others" in first.description
    assert "still touch" not in tenth.description
    assert first.files["png"] != third.files["png"]
    assert third == plots.draw(json.dumps(data), intent, aspect_ratio=ratio)  # three is the default


def test_a_chart_with_nothing_to_mend_is_the_same_at_any_iteration():
    drawn = {plots.draw(MODELS, INTENT, iterations=number).files["png"] for number in (1, 2, 10)}
    assert len(drawn) == 1
    for wrong in (0, 11):
        with pytest.raises(FigureError, match="iterations must be between 1 and 10"):
            plots.draw(MODELS, INTENT, iterations=wrong)
