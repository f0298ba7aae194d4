"""The contact sheets of docs/mocks.md, of figures and pictures that the mocks' endpoints made over HTTP.

    python docs/contact_sheets.py [URL]

URL is where `bananastand mocks` listens; without it a server is started here.
"""

from __future__ import annotations

import io
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image

import bananastand_mocks

__all__ = ["DIAGRAMS", "PICTURES", "plot_examples"]

HERE = Path(__file__).parent
GAP, GROUND = 20, "#E4E6E9"
FIGURE_KEY, PICTURE_KEY = {"authorization": "Bearer pb_" + "0" * 32}, {"X-API-Key": "sk_live_bananastand"}
PICTURES = (
    {"prompt": "A sunset over mountains with purple clouds"},
    {"prompt": "A lighthouse by the sea in a storm, at night"},
    {"prompt": "A city in the rain at night, neon", "system_instruction": "pixel art"},
    {"prompt": "A bunch of bananas on a table"},
    {"prompt": "Two planets in space"},
    {"prompt": "A cabin in a misty forest, morning", "system_instruction": "watercolor"},
    {"prompt": "Cacti in a desert at noon, a hot-air balloon"},
    {"prompt": "Green hills with a tree, a rainbow and birds", "system_instruction": "oil painting"},
)
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


def plot_examples() -> list[tuple[Any, str]]:
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


def main() -> None:
    """Write docs/paperbanana.png and docs/gobananas.jpg."""
    if len(sys.argv) > 1:
        draw(sys.argv[1].rstrip("/"))
        return
    with bananastand_mocks.start("paperbanana", "gobananas") as server:
        draw(server.url)


def draw(url: str) -> None:
    with httpx2.Client(base_url=f"{url}/paperbanana", headers=FIGURE_KEY, timeout=60) as http:
        figures = sheet(figures_of(http), [480] * 12 + [980] * 2, 4)
    figures.quantize(160).save(HERE / "paperbanana.png", optimize=True)
    with httpx2.Client(base_url=f"{url}/gobananas", headers=PICTURE_KEY, timeout=60) as http:
        pictures = sheet([picture(http, body) for body in PICTURES], [480] * 8, 4)
    pictures.save(HERE / "gobananas.jpg", quality=82)


def figures_of(http: httpx2.Client) -> list[Image.Image]:
    """Eight plots, four diagrams, two composites, as PNGs."""
    requests: list[tuple[str, dict[str, Any]]] = [
        ("plot", {"data_json": json.dumps(data), "intent": intent, "aspect_ratio": "4:3"})
        for data, intent in plot_examples()
    ]
    requests += [
        ("generate", {"source_context": text, "caption": caption, "aspect_ratio": ratio})
        for text, caption, ratio in DIAGRAMS
    ]
    tasks = [finished(http, path, body) for path, body in requests]
    for panels, place in ((tasks[:3], "bottom"), ([tasks[8], tasks[4], tasks[6]], "top")):
        body = {"source_task_ids": panels, "layout": "1x3", "label_position": place, "label_font_size": 48}
        tasks.append(finished(http, "composite", body))
    return [opened(http.get(f"/api/tasks/{task}/image")) for task in tasks]


def finished(http: httpx2.Client, path: str, body: dict[str, Any]) -> str:
    """The id of a task, once it is completed."""
    answer = http.post(f"/api/{path}", json=body)
    answer.raise_for_status()
    name = answer.json()["task_id"]
    while (task := http.get(f"/api/tasks/{name}").json())["status"] != "completed":
        if task["status"] == "failed":
            raise SystemExit(f"{path}: {task['error']}")
        time.sleep(0.2)
    return name


def picture(http: httpx2.Client, body: dict[str, Any]) -> Image.Image:
    answer = http.post("/api/images", json={**body, "aspect_ratio": "4:3"})
    answer.raise_for_status()
    return opened(http.get(answer.json()["images"][0]["url"]))


def opened(answer: httpx2.Response) -> Image.Image:
    answer.raise_for_status()
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def sheet(pictures: Sequence[Image.Image], widths: Sequence[int], columns: int) -> Image.Image:
    """All of them in rows, each at its width; a row is full when its widths are those of `columns` narrow ones."""
    tiles = [
        picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        for picture, width in zip(pictures, widths, strict=True)
    ]
    full = columns * (widths[0] + GAP) + GAP
    rows: list[list[Image.Image]] = [[]]
    for tile in tiles:
        if sum(placed.width + GAP for placed in rows[-1]) + tile.width + 2 * GAP > full:
            rows.append([])
        rows[-1].append(tile)
    canvas = Image.new("RGB", (full, sum(max(tile.height for tile in row) + GAP for row in rows) + GAP), GROUND)
    top = GAP
    for row in rows:
        left = GAP
        for tile in row:
            canvas.paste(tile, (left, top))
            left += tile.width + GAP
        top += max(tile.height for tile in row) + GAP
    return canvas


if __name__ == "__main__":
    main()
