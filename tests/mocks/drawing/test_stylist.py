"""PaperBanana's stylist: no entity and no number is lost, and guidance is added."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bananastand_mocks.drawing.figures import FigureError, stylist

PROMPT = (
    "Draw a transformer encoder with token embeddings, positional encoding, 6 encoder blocks, and a classifier head."
)


def test_optimized_prompt_has_the_sections_of_the_documents_example():
    text = stylist.optimize(
        PROMPT,
        source_context="Our model uses a 6-layer Transformer encoder with multi-head self-attention. It was sunny.",
        caption="Figure 1: Transformer encoder architecture",
    )
    assert text.startswith("Methodology diagram for 'Figure 1: Transformer encoder architecture'")
    assert PROMPT in text
    assert "Token embeddings; Positional encoding; 6 encoder blocks; Classifier head" in text
    assert "multi-head self-attention" in text
    assert "sunny" not in text
    assert [line.split(":")[0] for line in text.split("\n\n")[1:]] == [
        "Content",
        "Elements",
        "Connections",
        "Grounded in the paper",
        "Layout",
        "Palette",
        "Typography",
        "Avoid",
    ]


def test_a_plots_prompt_gets_a_plots_guidance():
    text = stylist.optimize("Line plot of loss, x-axis: 'Epoch'", diagram_type="statistical_plot")
    assert "Lines are 1.5 to 2 pt wide" in text
    assert "x axis 'Epoch'" in text
    assert "boxes on a grid" not in text


def test_connections_are_named_where_the_prompt_tells_a_flow():
    assert "Image \u2192 Encoder" in stylist.optimize("The encoder maps the image to a latent code.")


def test_the_callers_guidelines_take_the_place_of_ours():
    text = stylist.optimize(PROMPT, guidelines="Use only greyscale.\nSerif fonts\nKeep it calm")
    assert "Palette: Use only greyscale." in text
    assert "Typography: Serif fonts." in text
    assert "Style: Keep it calm." in text
    assert "#0072B2" not in text


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_every_word_and_number_of_the_prompt_is_kept(prompt: str):
    for kind in stylist.DIAGRAM_TYPES:
        if any(char.isalnum() or char == "_" for char in prompt):
            text = stylist.optimize(prompt, diagram_type=kind)
            assert [word for word in prompt.split() if word not in text] == []


def test_nothing_to_say_and_an_unknown_type_are_refused():
    with pytest.raises(FigureError) as refused:
        stylist.optimize(" ... ")
    assert refused.value.field == "description"
    with pytest.raises(FigureError) as refused:
        stylist.optimize(PROMPT, diagram_type="poster")
    assert refused.value.field == "diagram_type"
