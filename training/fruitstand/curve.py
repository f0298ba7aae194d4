"""Draws the loss of the denoiser over its training from loss.jsonl: `python -m training.fruitstand.curve`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

from .train import HERE, WEIGHTS


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """rows: {"step", "seconds", "loss"} each; saved as a picture at `path`."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6), dpi=110, layout="constrained")
    axes.plot([row["step"] for row in rows], [row["loss"] for row in rows], color="#2f72e4", linewidth=1.3)
    axes.set(xlabel="step", ylabel="loss (mean squared error of the velocity)", yscale="log")
    axes.set_title(f"Fruitstand's denoiser: {rows[-1]['step']:,} steps in {rows[-1]['seconds'] / 60:.0f} minutes")
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--losses", type=Path, default=HERE / "runs" / "loss.jsonl")
    parser.add_argument("--out", type=Path, default=WEIGHTS / "loss.png")
    options = parser.parse_args()
    draw([json.loads(line) for line in options.losses.read_text().splitlines()], options.out)
    print(options.out)


if __name__ == "__main__":
    main()
