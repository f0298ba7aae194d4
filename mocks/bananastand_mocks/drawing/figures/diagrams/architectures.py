"""What is inside an architecture that a text names and does not open. Knows no text but the one box's label.

Parts the text did not name are marked as implied, and drawn so.
"""

from __future__ import annotations

import re

from .graph import Arrow, Box, BoxFrame, Graph, Kind

__all__ = ["opened"]

Parts = tuple[str, ...]
ARCHITECTURES: tuple[tuple[str, Parts, Parts, Parts], ...] = (
    (
        r"transformer (?:\w+ )?decoder|decoder-only|\bgpt",
        ("Input tokens", "Token and position embeddings"),
        ("Masked self-attention", "Add and norm", "Feed-forward network", "Add and norm"),
        ("Next token",),
    ),
    (
        r"transformer|\bbert\b|\bvit\b",
        ("Input tokens", "Token and position embeddings"),
        ("Multi-head self-attention", "Add and norm", "Feed-forward network", "Add and norm"),
        ("Encoded tokens",),
    ),
    (r"auto-?encoder|encoder-decoder|\bvae\b", ("Input",), ("Encoder", "Latent code", "Decoder"), ("Reconstruction",)),
    (
        r"convolutional|\bcnn\b|resnet",
        ("Input image",),
        ("Convolution", "Normalization", "ReLU", "Pooling"),
        ("Feature map",),
    ),
)


def opened(graph: Graph) -> Graph:
    """A graph of a single model gets an input and an output; a well-known one is opened into its parts, in a frame."""
    if len(graph.boxes) != 1 or graph.boxes[0].kind not in ("model", "store"):
        return graph
    box = graph.boxes[0]
    for pattern, before, inside, after in ARCHITECTURES:
        if re.search(pattern, box.label, re.IGNORECASE):
            boxes = [_part(name, "data", box) for name in before[:1]] + [
                _part(name, "step", box) for name in before[1:]
            ]
            first = len(boxes)
            boxes += [_part(name, "data" if "code" in name else "model", box) for name in inside]
            members = list(range(first, len(boxes)))
            boxes += [_part(name, "data", box) for name in after]
            other = [each for each in box.details if not any(each.lower() == name.lower() for name in inside)]
            title = box.label + (f" ({', '.join(other)})" if other else "")
            return Graph(boxes, [Arrow(i, i + 1) for i in range(len(boxes) - 1)], [BoxFrame(title, members)])
    ends = [Box("Input", "data", implied=True), Box("Output", "data", implied=True)]
    return Graph([ends[0], box, ends[1]], [Arrow(0, 1), Arrow(1, 2)])


def _part(name: str, kind: Kind, of: Box) -> Box:
    """A part, implied unless a detail of the box names it."""
    return Box(name, kind, implied=not any(each.lower() in name.lower() for each in of.details))
