"""The contact sheet of what is drawn here: `python -m bananastand_mocks.paperbanana.figures.sheet OUT.png`.

Eight plots, four diagrams and two composites, made by the functions that answer the API.
"""

from __future__ import annotations

import io
import json
import math
import random
import sys
from pathlib import Path
from typing import Any

from . import composite, diagram, plot
from .figure import Figure

__all__ = ["DIAGRAMS", "figures", "plots", "sheet"]

WIDTH, GAP, COLUMNS = 760, 24, 4
DIAGRAMS = (
    (
        "We propose a retrieval-augmented generation pipeline. Documents are split into passages of 256 tokens and "
        "embedded with a "
        "bi-encoder. The embeddings are stored in a FAISS index. At query time, the user question is encoded by "
        "the same bi-encoder, "
        "and the top-k passages are retrieved from the index. A cross-encoder reranks the passages, and the best 5 "
        "passages are "
        "concatenated with the question and passed to a Llama-2 generator, which produces the answer.",
        "Figure 1: Retrieval-augmented generation",
        "4:3",
    ),
    (
        "A generator network G maps a random noise vector z to a synthetic image. The discriminator D receives "
        "either a real image "
        "from the training set or the synthetic image and outputs the probability that the image is real. The "
        "adversarial loss is "
        "computed from the discriminator output and backpropagated to update both the generator and the discriminator.",
        "Figure 2: Adversarial training",
        "4:3",
    ),
    (
        "During training, Gaussian noise is added to the input image over T timesteps by the forward process. A "
        "U-Net denoiser takes "
        "the noisy image and the timestep embedding as input and predicts the added noise. The mean squared error "
        "between the "
        "predicted and the true noise is minimized. At inference, we start from pure noise and iteratively apply "
        "the denoiser for 50 "
        "DDIM steps to obtain a clean latent, which a VAE decoder converts into the final image. Text prompts are "
        "encoded by a frozen "
        "CLIP text encoder and injected into the denoiser through cross-attention.",
        "Figure 3: Text-conditional latent diffusion",
        "4:3",
    ),
    (
        "A total of 1,240 patients were screened for eligibility between January 2019 and March 2021. Of these, "
        "412 were excluded "
        "because they did not meet the inclusion criteria. The remaining 828 patients were randomly assigned to "
        "the intervention group "
        "(n = 414) or the control group (n = 414). Participants were followed up at 3, 6 and 12 months. The "
        "primary outcome was "
        "analysed by intention to treat.",
        "Figure 4: Flow of participants through the trial",
        "4:3",
    ),
)


def plots() -> list[tuple[Any, str]]:
    """Data and intent of eight plots, one for each kind and then some."""
    chance = random.Random(3)
    sizes = [10 ** chance.uniform(6.5, 9) for _ in range(42)]
    families = [("CNN", 0.0), ("Transformer", 3.0), ("Hybrid", 5.0)]
    models = [
        {
            "family": families[i % 3][0],
            "params": size,
            "accuracy": 60 + 6 * math.log10(size / 1e6) + families[i % 3][1] + chance.gauss(0, 0.8),
        }
        for i, size in enumerate(sizes)
    ]
    losses = [2.3 * math.exp(-i / 6) for i in range(20)]
    return [
        (
            {"models": ["ResNet-50", "ViT-B/16", "EfficientNet-B4"], "accuracy": [76.1, 81.8, 82.9]},
            "Bar chart comparing model accuracy with value labels",
        ),
        (
            [
                {"method": m, "ROUGE-1": a, "ROUGE-2": b, "ROUGE-L": c}
                for m, a, b, c in (
                    ("Lead-3", 40.3, 17.7, 36.6),
                    ("BART", 44.2, 21.3, 40.9),
                    ("PEGASUS", 44.2, 21.5, 41.1),
                    ("Ours", 46.1, 22.8, 43.0),
                )
            ],
            "Grouped bar chart with value labels and a legend, y-axis: 'ROUGE score'",
        ),
        (
            {
                "epoch": list(range(1, 21)),
                "train_loss": [value + 0.1 for value in losses],
                "val_loss": [value + 0.25 + 0.01 * i for i, value in enumerate(losses)],
                "val_loss_std": [0.08] * 20,
            },
            "Training curves over epochs with a legend, y-axis: 'Loss'",
        ),
        (
            {"latency_ms": [chance.lognormvariate(3, 0.4) for _ in range(500)]},
            "Histogram with 30 bins, x-axis: 'Latency (ms)'",
        ),
        (models, "Scatter plot of accuracy against parameters, log-scale x axis, with trend lines"),
        (
            {
                name: [chance.gauss(mean, 3) for _ in range(40)]
                for name, mean in (("Baseline", 70), ("+ Augmentation", 74), ("+ Distillation", 77), ("Full", 79))
            },
            "Box plot of accuracy across seeds, y-axis: 'Accuracy (%)'",
        ),
        (
            {
                "labels": ["Cat", "Dog", "Bird", "Fish"],
                "matrix": [[52, 3, 1, 0], [4, 47, 0, 1], [2, 1, 55, 3], [0, 1, 2, 58]],
            },
            "Confusion matrix heat map, x-axis: 'Predicted class', y-axis: 'True class'",
        ),
        (
            {
                "component": [
                    "Without retrieval augmentation",
                    "Without reranking",
                    "Without hard negatives",
                    "Full system",
                ],
                "EM": [38.2, 42.7, 44.1, 47.9],
                "EM_std": [0.6, 0.5, 0.7, 0.4],
            },
            "Ablation as horizontal bars with value labels, sorted, x-axis: 'Exact match (%)'",
        ),
    ]


def figures() -> list[Figure]:
    """Eight plots, four diagrams, two composites."""
    drawn = [plot.draw(json.dumps(data), intent, aspect_ratio="4:3") for data, intent in plots()]
    drawn += [diagram.draw(text, caption, aspect_ratio=ratio) for text, caption, ratio in DIAGRAMS]
    first = composite.draw([each.files["png"] for each in drawn[:4]])
    second = composite.draw([drawn[8].files["png"], drawn[4].files["png"], drawn[6].files["png"]], label_position="top")
    return [*drawn, first, second]


def sheet() -> bytes:
    """All of them on one PNG."""
    from PIL import Image

    pictures = [Image.open(io.BytesIO(each.files["png"])).convert("RGB") for each in figures()]
    wide = [WIDTH] * (len(pictures) - 2) + [2 * WIDTH + GAP] * 2
    tiles = [
        each.resize((width, round(each.height * width / each.width)), Image.Resampling.LANCZOS)
        for each, width in zip(pictures, wide, strict=True)
    ]
    rows = [*(tiles[i : i + COLUMNS] for i in range(0, len(tiles) - 2, COLUMNS)), tiles[-2:]]
    height = sum(max(tile.height for tile in row) + GAP for row in rows) + GAP
    whole = Image.new("RGB", (COLUMNS * (WIDTH + GAP) + GAP, height), "#E4E6E9")
    top = GAP
    for row in rows:
        for place, tile in enumerate(row):
            whole.paste(tile, (GAP + place * (tile.width + GAP), top))
        top += max(tile.height for tile in row) + GAP
    kept = io.BytesIO()
    whole.quantize(192).save(kept, "PNG", optimize=True)
    return kept.getvalue()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(sheet())
