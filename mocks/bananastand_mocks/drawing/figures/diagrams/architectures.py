"""Opens a well-known architecture that a text only names into its parts, which are drawn as implied."""

from __future__ import annotations

import re

from .graph import Arrow, Box, BoxFrame, Graph, Kind

__all__ = ["open_architecture"]

# Pattern of a label, and the parts before, inside and after the architecture's frame.
ARCHITECTURES = (
    (r"transformer (?:\w+ )?decoder|decoder-only|\bgpt", "Input tokens; Token and position embeddings",
     "Masked self-attention; Add and norm; Feed-forward network; Add and norm", "Next token"),
    (r"transformer|\bbert\b|\bvit\b", "Input tokens; Token and position embeddings",
     "Multi-head self-attention; Add and norm; Feed-forward network; Add and norm", "Encoded tokens"),
    (r"auto-?encoder|encoder-decoder|\bvae\b", "Input", "Encoder; Latent code; Decoder", "Reconstruction"),
    (r"convolutional|\bcnn\b|resnet", "Input image", "Convolution; Normalization; ReLU; Pooling", "Feature map"),
)  # fmt: skip


def open_architecture(graph: Graph) -> Graph:
    """Returns a graph of a single model with an input, an output, and the parts of a well-known architecture.

    Any other graph is returned as it is.
    """
    if len(graph.boxes) != 1 or graph.boxes[0].kind not in ("model", "store"):
        return graph
    box = graph.boxes[0]
    for pattern, before, inside, after in ARCHITECTURES:
        if re.search(pattern, box.label, re.IGNORECASE):
            first, *others = before.split("; ")
            names = inside.split("; ")
            boxes = [_part(first, "data", box), *(_part(name, "step", box) for name in others)]
            members = list(range(len(boxes), len(boxes) + len(names)))
            boxes += [_part(name, "data" if "code" in name else "model", box) for name in names]
            boxes.append(_part(after, "data", box))
            further = [detail for detail in box.details if detail.lower() not in inside.lower().split("; ")]
            title = f"{box.label} ({', '.join(further)})" if further else box.label
            return Graph(boxes, [Arrow(i, i + 1) for i in range(len(boxes) - 1)], [BoxFrame(title, members)])
    ends = [Box("Input", "data", implied=True), Box("Output", "data", implied=True)]
    return Graph([ends[0], box, ends[1]], [Arrow(0, 1), Arrow(1, 2)])


def _part(name: str, kind: Kind, architecture: Box) -> Box:
    """A part; implied unless a detail of the whole names it."""
    return Box(name, kind, implied=not any(detail.lower() in name.lower() for detail in architecture.details))
