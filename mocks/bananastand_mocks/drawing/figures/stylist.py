"""Polishes a prompt for an illustration by rules.

What the prompt says stays as it was said, so that no entity and no number is lost; what is added is order, and guidance
on layout, colour and letters. A guideline of the caller's takes the place of ours on its subject.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .diagrams.graph import Graph
from .diagrams.reader import read
from .figure import FigureError
from .plots.intent import PlotIntent, read_intent
from .studio import PALETTE

__all__ = ["DIAGRAM_TYPES", "optimize"]

DIAGRAM_TYPES = ("methodology", "statistical_plot")
FACTS = 3  # sentences of the context that are quoted
LETTERS, LISTED = 24_000, 4_000  # of a prompt that are looked at, and of those in which a list is looked for
SUBJECTS = {
    "Layout": r"layout|arrang\w*|align\w*|left|right|top|bottom|column|rows?|spacing|whitespace|margin|panel"
    r"|direction|aspect|flow"
    r"|axis|axes|grid|legend|orient\w*",
    "Palette": r"colou?rs?|palette|hue|shade|background|contrast|grayscale|greyscale|monochrome|blue|red|green"
    r"|orange|pastel|tint",
    "Typography": r"fonts?|typograph\w*|serif|sans|letters?|text size|labels?|bold|italic|\d+ ?pt|points?",
}
SMALL_WORDS = {
    "the",
    "and",
    "with",
    "from",
    "into",
    "that",
    "this",
    "our",
    "for",
    "are",
    "draw",
    "show",
    "figure",
    "using",
    "uses",
}
CHARTS = {
    None: "Choose the mark that fits the data: bars for categories, lines for an ordered axis, points for pairs.",
    "bar": "Bars start at zero, stand in groups where there are several series, and leave a third of their width "
    "between groups.",
    "line": "Lines are 1.5 to 2 pt wide, differ in dash and marker as well as in colour, and carry a band where "
    "there is an error.",
    "histogram": "Bins are of one width, touch each other with a thin white edge, and the counts start at zero.",
    "scatter": "Points are small and slightly transparent, differ in shape as well as in colour, and leave a "
    "margin to the axes.",
    "box": "Boxes show median and quartiles, whiskers 1.5 times their distance, outliers as open circles; they "
    "stand in a stated order.",
    "heat map": "Cells are square with thin white edges, values are printed in them where there is room, a "
    "labelled colour bar stands "
    "to the right.",
}


@dataclass(frozen=True)
class _Section:
    name: str
    text: str


def optimize(
    prompt: str,
    *,
    diagram_type: str = "methodology",
    source_context: str | None = None,
    caption: str | None = None,
    guidelines: str | None = None,
) -> str:
    """The prompt in full, its elements and their order named, and guidance on layout, palette and typography.

    The same call gives the same text. Raises FigureError: no words in the prompt, unknown diagram type.
    """
    if diagram_type not in DIAGRAM_TYPES:
        raise FigureError(f"diagram_type must be one of: {', '.join(DIAGRAM_TYPES)}", "diagram_type")
    content = _clean(prompt)
    if not re.search(r"\w", content):
        raise FigureError("description holds no words to optimize", "description")
    plot = diagram_type == "statistical_plot"
    caption = _clean((caption or "")[:LISTED])
    title = f" for {caption.rstrip('.')!r}" if caption else ""
    opening = f"{'Statistical plot' if plot else 'Methodology diagram'}{title}, ready for print in an academic paper."
    sections = [_Section("Content", content if re.search(r"[.!?]$", content) else f"{content}.")]
    content = content[:LETTERS]
    sections += _plot_elements(content) if plot else _elements(content, caption)
    if facts := _relevant_sentences(content, source_context or ""):
        sections.append(_Section("Grounded in the paper", " ".join(facts)))
    sections += _guidance(read_intent(content) if plot else None, _by_subject(guidelines or ""), content)
    return "\n\n".join([opening, *(f"{section.name}: {section.text}" for section in sections)])


def _elements(prompt: str, caption: str) -> list[_Section]:
    """What a reader of the prompt would draw as boxes and arrows."""
    try:
        graph = read(
            re.sub(
                r"^\s*(?:please\s+)?(?:draw|show|illustrate|create|depict|sketch|make)\s+",
                "",
                prompt,
                flags=re.IGNORECASE,
            ),
            caption,
        )
    except FigureError:
        return []
    names = [
        box.label + (f" ({', '.join(box.details)})" if box.details else "") for box in graph.boxes if not box.implied
    ]
    members = _list_members(prompt)
    names += [member for member in members if not any(member.lower() in name.lower() for name in names)]
    sections = [_Section("Elements", f"{'; '.join(names)}.")] if names else []
    return sections + ([_Section("Connections", f"{flow}.")] if (flow := _connections(graph)) else [])


def _list_members(prompt: str) -> list[str]:
    """The members of a list such as `with token embeddings, 6 encoder blocks, and a classifier head`."""
    match = re.search(
        r"\b(?:with|including|containing|of|shows?|from)\s+((?:[^,.;:]+,\s*){1,12}(?:and\s+)?[^,.;:]+)", prompt[:LISTED]
    )
    parts = re.split(r",\s*(?:and\s+)?|\s+and\s+", match[1]) if match else []
    return [re.sub(r"^(?:a|an|the)\s+", "", part.strip()) for part in parts if part.strip()]


def _connections(graph: Graph) -> str:
    names = [box.label for box in graph.boxes]
    return "; ".join(
        f"{names[a.source]} \u2192 {names[a.target]}" + (f" ({a.label})" if a.label else "")
        for a in graph.arrows
        if not (graph.boxes[a.source].implied or graph.boxes[a.target].implied)
    )


def _plot_elements(prompt: str) -> list[_Section]:
    intent = read_intent(prompt)
    elements = [f"{intent.kind} chart" if intent.kind in ("bar", "line") else intent.kind or "chart that fits the data"]
    elements += ["a value label on each mark"] if intent.values else []
    elements += [f"x axis {intent.x_label!r}"] if intent.x_label else []
    elements += [f"y axis {intent.y_label!r}"] if intent.y_label else []
    elements += ["logarithmic x axis"] if intent.log_x else []
    elements += ["logarithmic y axis"] if intent.log_y else []
    elements += ["a fitted trend line"] if intent.trend else []
    elements += [f"a dashed reference line at {intent.baseline:g}"] if intent.baseline is not None else []
    return [_Section("Elements", f"{'; '.join(elements)}.")]


def _relevant_sentences(prompt: str, context: str) -> list[str]:
    """The sentences of the context that share most words with the prompt, in their order."""
    words = _content_words(prompt)
    sentences = [
        sentence.strip()
        for sentence in re.split(r"(?<=[.!?])\s+", _clean(context[:20_000]))
        if re.search(r"\w", sentence)
    ][:200]
    ranked = sorted(range(len(sentences)), key=lambda i: (-len(words & _content_words(sentences[i])), i))
    chosen = sorted(i for i in ranked[:FACTS] if words & _content_words(sentences[i]) and len(sentences[i]) <= 400)
    return [sentences[i] for i in chosen]


def _guidance(intent: PlotIntent | None, guidelines: dict[str, str], prompt: str) -> list[_Section]:
    """Ours where the caller's guidelines say nothing of a subject."""
    defaults = _plot_guidance(intent) if intent else _diagram_guidance(prompt)
    sections = [_Section(name, guidelines.get(name) or text) for name, text in defaults.items()]
    if guidelines.get("Style"):
        sections.append(_Section("Style", guidelines["Style"]))
    avoid = "three dimensions, shadows, gradients, decoration, and text that repeats the caption"
    return [*sections, _Section("Avoid", f"{avoid}.")]


def _diagram_guidance(prompt: str) -> dict[str, str]:
    across = not re.search(
        r"\b(?:vertical|top[- ]down|top to bottom|hierarch\w+|flow ?chart|CONSORT)\b", prompt, re.IGNORECASE
    )
    way = "from left to right" if across else "from top to bottom"
    loop = re.search(r"\b(?:loop|feedback|iterat\w+|backpropagat\w+|recurr\w+|update[sd]?)\b", prompt, re.IGNORECASE)
    stacks = re.search(r"\b(?:blocks?|layers?|stack(?:ed)?)\b", prompt, re.IGNORECASE)
    return {
        "Layout": f"One flow {way}, boxes on a grid with equal gaps, related parts in one frame"
        + (", repeated blocks drawn once with their count beside them" if stacks else "")
        + (", ways back dashed below the main flow" if loop else "")
        + ". Arrows run straight or turn at right angles, cross as little as possible and never pass through a box.",
        "Palette": f"White ground, pale fills with a darker edge of the same hue: models {PALETTE[0]}, steps "
        f"{PALETTE[2]}, results "
        f"{PALETTE[1]}, losses {PALETTE[3]}, data grey. At most five hues, distinct to the colour-blind and in grey.",
        "Typography": "One sans-serif family; names of parts in bold, details one size smaller in grey; nothing "
        "below 7 pt at the "
        "printed size; symbols in italics as in the text.",
    }


def _plot_guidance(intent: PlotIntent) -> dict[str, str]:
    legend = "No legend." if intent.legend is False else "A legend above the axes where there is more than one series."
    return {
        "Layout": f"{CHARTS[intent.kind]} Spines left and below only, a light grid behind the data, axes named with "
        f"their units. {legend}",
        "Palette": f"Colours the colour-blind can tell apart, in this order: {', '.join(PALETTE[:5])}; white ground.",
        "Typography": "One sans-serif family, axis names 10 to 11 pt, ticks and value labels 8 to 9 pt, as many "
        "decimals as the data "
        "have.",
    }


def _by_subject(guidelines: str) -> dict[str, str]:
    """The caller's guidelines by subject; those on none are Style."""
    found: dict[str, list[str]] = {}
    for sentence in re.split(r"(?<=[.!?;])\s+|\n+", guidelines.replace("\r", "\n")[:20_000]):
        text = _clean(sentence).lstrip("-*\u2022 ")
        if re.search(r"\w", text):
            name = next(
                (name for name, words in SUBJECTS.items() if re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)),
                "Style",
            )
            found.setdefault(name, []).append(text if re.search(r"[.!?;]$", text) else f"{text}.")
    return {name: " ".join(texts) for name, texts in found.items()}


def _content_words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z][\w-]{2,}", text.lower()) if word not in SMALL_WORDS}


def _clean(text: str | None) -> str:
    return " ".join(re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text or "").split())
