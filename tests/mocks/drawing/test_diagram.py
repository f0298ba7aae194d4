"""PaperBanana's diagrams: what is read out of a methodology, and a layout in which nothing overlaps."""

from __future__ import annotations

import contextlib
import io
import random
import time
from typing import Any

import pytest
from PIL import Image

from bananastand_mocks.drawing.figures import FigureError, diagrams
from bananastand_mocks.drawing.figures.diagrams.arrow_labels import place_labels
from bananastand_mocks.drawing.figures.diagrams.graph import Arrow, Box, Graph
from bananastand_mocks.drawing.figures.diagrams.layering import layered
from bananastand_mocks.drawing.figures.diagrams.layout import DETAIL, LABEL, Layout, arrange
from bananastand_mocks.drawing.figures.diagrams.lettering import caption_lines, measure
from bananastand_mocks.drawing.figures.diagrams.reader import read
from bananastand_mocks.drawing.figures.studio import displayable, studio
from docs.contact_sheets import DIAGRAMS

RAG, GAN, DIFFUSION, TRIAL = (text for text, _, _ in DIAGRAMS)


def flows(text: str, caption: str = "") -> set[tuple[str, str]]:
    graph = read(text, caption)
    return {(graph.boxes[arrow.source].label, graph.boxes[arrow.target].label) for arrow in graph.arrows}


def test_a_retrieval_pipeline_is_read_from_documents_to_answer():
    assert flows(RAG) == {
        ("Documents", "Passages"),
        ("Passages", "Bi-encoder"),
        ("User question", "Bi-encoder"),
        ("Bi-encoder", "Embeddings"),
        ("Embeddings", "FAISS index"),
        ("FAISS index", "Top-k passages"),
        ("Top-k passages", "Cross-encoder"),
        ("Cross-encoder", "Best 5 passages"),
        ("Best 5 passages", "Concatenate"),
        ("User question", "Concatenate"),
        ("Concatenate", "Llama-2 generator"),
        ("Llama-2 generator", "Answer"),
    }


def test_an_adversarial_loss_leads_back_to_both_networks():
    assert flows(GAN) == {
        ("Random noise vector z", "Generator network G"),
        ("Generator network G", "Synthetic image"),
        ("Synthetic image", "Discriminator D"),
        ("Training set", "Real image"),
        ("Real image", "Discriminator D"),
        ("Discriminator D", "Probability"),
        ("Probability", "Adversarial loss"),
        ("Adversarial loss", "Generator network G"),
        ("Adversarial loss", "Discriminator D"),
    }
    assert len(layered(read(GAN, ""), 4).back) == 2


def test_a_diffusion_model_is_read_with_its_conditioning():
    found = flows(DIFFUSION)
    assert {
        ("Gaussian noise", "Forward process"),
        ("Input image", "Forward process"),
        ("Forward process", "Noisy image"),
        ("Timestep embedding", "U-Net denoiser"),
        ("U-Net denoiser", "Clean latent"),
        ("Clean latent", "VAE decoder"),
        ("VAE decoder", "Final image"),
        ("Cross-attention", "U-Net denoiser"),
    } <= found


def test_a_trial_keeps_its_counts_and_parts_at_the_randomisation():
    graph = read(TRIAL, "")
    counts = {box.label: box.details for box in graph.boxes}
    assert counts["Excluded"] == ["n = 412"]
    assert counts["Intervention group"] == counts["Control group"] == ["n = 414"]
    assert ("Randomly assigned", "Control group") in flows(TRIAL)
    assert ("Excluded", "Randomly assigned") not in flows(TRIAL)


def test_arrows_and_lists_are_taken_as_they_stand():
    assert flows("Input image -> CNN backbone -> Class scores") == {
        ("Input image", "CNN backbone"),
        ("CNN backbone", "Class scores"),
    }
    listed = "1. Tokenization: BPE with 32k merges.\n2. Filter low-quality pages.\n3. Shuffle the documents."
    assert flows(listed) == {
        ("Tokenization", "Filter low-quality pages"),
        ("Filter low-quality pages", "Shuffle documents"),
    }


def test_an_architecture_that_is_only_named_is_opened_and_says_so():
    graph = read("Our model uses a 6-layer Transformer encoder with multi-head self-attention.", "Figure 1")
    assert [frame.title for frame in graph.frames] == ["6-layer Transformer encoder"]
    assert [box.label for box in graph.boxes if not box.implied] == ["Multi-head self-attention"]
    assert len(graph.boxes) == 7


def test_diagram_of_a_paper_uses_its_method_section():
    paper = (
        "--- Page 1 ---\n\nIntroduction\nBanks are old.\n\n2 Method\n\n"
        "The tokenizer converts the text into tokens [3]. "
        "The encoder maps the tokens to vec-\ntors.\n\n3 Results\n\nThe oven heats the pizza."
    )
    labels = {label for pair in flows(paper) for label in pair}
    assert labels == {"Text", "Tokenizer", "Tokens", "Encoder", "Vectors"}


def test_a_text_without_words_is_refused_and_a_caption_may_help_out():
    with pytest.raises(FigureError) as refused:
        diagrams.draw(" \n\u200b--- ", "!!")
    assert refused.value.field == "source_context"
    assert diagrams.draw("...", "Figure 2: Overall pipeline").files["png"]


@pytest.mark.parametrize("ratio", ["1:1", "5:4", "2:3", "3:2", "3:4", "4:5", "4:3", "9:16", "16:9", "21:9"])
def test_the_picture_has_the_ratio_and_the_resolution(ratio: str):
    figure = diagrams.draw(GAN, "Figure 1: GAN", aspect_ratio=ratio, image_resolution="1K")
    width, height = Image.open(io.BytesIO(figure.files["png"])).size
    wide, high = (int(side) for side in ratio.split(":"))
    assert width * high == height * wide
    assert (width, height) == (figure.width, figure.height)
    assert 960 < max(width, height) <= 1024


def test_resolutions_are_longer_sides_and_2k_is_the_default():
    assert diagrams.draw(GAN, "F", aspect_ratio="16:9").width == 2048
    assert diagrams.draw(GAN, "F", aspect_ratio="16:9", image_resolution="4K").width == 4096


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        ({"aspect_ratio": "2:1"}, "aspect_ratio"),
        ({"image_resolution": "8K"}, "image_resolution"),
        ({"iterations": 0}, "iterations"),
        ({"iterations": 11}, "iterations"),
        ({"formats": ["bmp"]}, "output_formats"),
    ],
)
def test_unknown_values_are_refused(keywords: dict[str, Any], field: str):
    with pytest.raises(FigureError) as refused:
        diagrams.draw(GAN, "Figure 1", **keywords)
    assert refused.value.field == field


def test_the_same_call_gives_the_same_bytes_and_every_format():
    first = diagrams.draw(TRIAL, "Figure 1: Trial", image_resolution="1K", formats=["png", "svg", "pdf"])
    assert first == diagrams.draw(TRIAL, "Figure 1: Trial", image_resolution="1K", formats=["png", "svg", "pdf"])
    assert first.files["svg"].startswith(b"<?xml")
    assert first.files["pdf"].startswith(b"%PDF-")


def test_the_description_names_boxes_and_flow():
    description = diagrams.draw(RAG, "Figure 1: RAG", image_resolution="1K").description
    assert description.startswith("The diagram shows 12 boxes and 12 arrows for 'Figure 1: RAG'.")
    assert "FAISS index -> Top-k passages (retrieve)" in description


def test_more_iterations_remove_crossings():
    crossed = Graph([Box(name, "data") for name in "abcdef"], [Arrow(0, 5), Arrow(1, 4), Arrow(2, 3)])
    assert [layered(crossed, sweeps).crossings() for sweeps in (0, 4)] == [3, 0]
    drawn = {diagrams.draw(DIFFUSION, "F", image_resolution="1K", iterations=n).files["png"] for n in (1, 3)}
    assert len(drawn) == 2


def random_graph(seed: int) -> Graph:
    chance = random.Random(seed)
    count = chance.randint(1, 16)
    words = ["encoder", "latent", "of", "Transformer-based", "z", "internationalization", "loss", "retrieved passages"]
    graph = Graph(
        [
            Box(
                " ".join(chance.choices(words, k=chance.randint(1, 4))),
                chance.choice(("data", "model", "loss")),
                ["n = 12"] * chance.randint(0, 2),
            )
            for _ in range(count)
        ]
    )
    for _ in range(chance.randint(0, 2 * count)):
        graph.join(chance.randrange(count), chance.randrange(count), chance.choice(("", "", "update", "quantize")))
    return graph


def hits(plan: Layout) -> list[tuple[int, int]]:
    """Arrows that pass through a box's inside."""
    found: list[tuple[int, int]] = []
    for i, path in enumerate(plan.paths):
        for (x1, y1), (x2, y2) in zip(path, path[1:], strict=False):
            for k, box in enumerate(plan.boxes):
                inside_x = min(x1, x2) < box.x + box.width / 2 - 1 and max(x1, x2) > box.x - box.width / 2 + 1
                inside_y = min(y1, y2) < box.y + box.height / 2 - 1 and max(y1, y2) > box.y - box.height / 2 + 1
                if inside_x and inside_y:
                    found.append((i, k))
    return found


@pytest.mark.parametrize("seed", range(24))
def test_nothing_overlaps_whatever_the_graph(seed: int):
    graph = random_graph(seed)
    size = random.Random(seed).choice([(548.0, 280.0), (548.0, 500.0), (280.0, 540.0), (548.0, 200.0)])
    with studio():
        plan = arrange(graph, size, random.Random(seed).choice([1, 2, 3, 5]))
        assert hits(plan) == []
        for i, a in enumerate(plan.boxes):
            assert a.width / 2 <= a.x <= size[0] - a.width / 2
            assert a.height / 2 <= a.y <= size[1] - a.height / 2
            for b in plan.boxes[:i]:
                apart = abs(a.x - b.x) >= (a.width + b.width) / 2 or abs(a.y - b.y) >= (a.height + b.height) / 2
                assert apart, (i, a, b)
        for box, at in zip(graph.boxes, plan.boxes, strict=True):
            weight = "bold" if box.kind == "model" else "normal"
            widths = [measure(line, LABEL, weight) for line in at.lines] + [
                measure(line, DETAIL) for line in at.details
            ]
            assert max(widths) * plan.scale < at.width
        for path in plan.paths:
            assert all(-1 <= x <= size[0] + 1 and -1 <= y <= size[1] + 1 for x, y in path)
        for label in place_labels(graph, plan, careful=True):
            half = measure(label.text, label.size, style="italic") / 2
            assert not any(
                abs(label.x - b.x) < b.width / 2 + half - 1 and abs(label.y - b.y) < b.height / 2 for b in plan.boxes
            )


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "The " * 50_000,
        "x -> " * 5_000,
        "(" * 20_000,
        "$" * 20_000,
        "1. " * 9_000,
        "\n" * 90_000 + "word",
        "The encoder, the decoder, " * 4_000,
        "A is fed into B. " * 3_000,
        "$\\frac{ is encoded by \\x$",
        "日本語の論文。" * 900,
        "\u202e\x00\x1b[31m is fed into \ud800",
        "# " * 9_000,
        "and " * 30_000,
        "-" * 50_000,
        "a:" * 20_000,
    ],
)
def test_a_hostile_text_is_drawn_or_refused_in_no_time(text: str):
    begun = time.process_time()
    with contextlib.suppress(FigureError):
        assert diagrams.draw(text, text[:400], image_resolution="1K").files["png"]
    assert time.process_time() - begun < 3


GERMAN = "Der Encoder überführt die Wörter in Vektoren. Ein Gedächtnis bewahrt sie auf. So entsteht die Übersetzung."
HEBREW = "המקודד קורא את הטקסט. המפענח כותב את התרגום."
CHINESE = "编码器读取文本，并输出向量。解码器生成译文。"


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (GERMAN, ["Der Encoder überführt die Wörter in Vektoren", "Ein Gedächtnis bewahrt sie auf"]),
        (HEBREW, ["המקודד קורא את הטקסט", "המפענח כותב את התרגום"]),
        (CHINESE, ["编码器读取文本", "解码器生成译文"]),
    ],
)
def test_a_text_in_another_language_is_drawn_sentence_by_sentence(text: str, labels: list[str]):
    graph = read(text, "Abbildung 1")
    assert [box.label for box in graph.boxes][: len(labels)] == labels
    assert [(arrow.source, arrow.target) for arrow in graph.arrows] == [(i, i + 1) for i in range(len(graph.boxes) - 1)]


def test_description_reports_letters_without_a_font():
    for text in (GERMAN, HEBREW):
        assert "No font" not in diagrams.draw(text, "Abbildung 1: Übersicht").description
    said = diagrams.draw("\U00012000\U00012001 reads \U00012002.", "Figure 1").description  # cuneiform
    assert "shown as empty squares" in said
    with studio():
        cjk = displayable("编") == "编"
    assert ("No font on this server has" in diagrams.draw(CHINESE, "图 1").description) != cjk


def test_a_caption_from_right_to_left_is_one_run_a_line_and_others_are_words():
    with studio():
        assert [[word.text for word in line] for line in caption_lines("איור 1: תרגום", 10, 400, 4)] == [
            ["איור 1: תרגום"]
        ]
        ((first, *rest),) = caption_lines("Figure 1: Translation", 10, 400, 4)
    assert (first.text, first.bold, len(rest)) == ("Figure", True, 2)
