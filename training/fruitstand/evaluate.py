"""Paints prompts that training never saw, has the oracle read the pictures, and writes down how many are right.

`python -m training.fruitstand.evaluate` paints with the stock diffusers pipeline from the weights in the repository
and writes scores.json, contact_sheet.png and the tables in README.md beside them. What is right or wrong is decided
by the oracle alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import textwrap
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from PIL import Image, ImageDraw, ImageFont
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers.utils import logging as transformers_logging

from benchmarks._machine import commit, processor

from . import oracle
from .oracle import Reading
from .prompts import FOREIGN, Case, brief_cases, cases

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "models" / "fruitstand"
ATTRIBUTES = ("count", "size", "colour", "fruit", "position", "background")
STEPS, GUIDANCE = (4, 6, 8, 10, 20), (1.0, 2.0, 3.0, 4.0, 6.0)
MAIN_STEPS = 10  # of the guidance sweep, the foreign prompts and the contact sheet
BEGIN, END = "<!-- scores -->", "<!-- /scores -->"
SHEET = (6, 4)  # pictures across and down
FOREIGN_SEEDS = 4
TIMED = 7  # pictures painted one by one for the time a picture takes


@dataclass(frozen=True)
class Row:
    """Scores (shares, 0 to 1) at one number of steps and one guidance; `seconds` is a picture's median time."""

    steps: int
    guidance: float
    seconds: float
    scores: dict[str, float]
    scores_unseen_pairs: dict[str, float]


def right(case: Case, reading: Reading) -> dict[str, bool]:
    """What was read rightly; `all` needs the six attributes, `strict` also that all fruits are alike."""
    results = {name: getattr(reading, name) == getattr(case.scene, name) for name in ATTRIBUTES}
    every = all(results.values())
    return {**results, "all": every, "strict": every and reading.alike}


def shares(test_cases: Sequence[Case], readings: Sequence[Reading]) -> dict[str, float]:
    results = [right(case, reading) for case, reading in zip(test_cases, readings, strict=True)]
    return {name: round(statistics.fmean(r[name] for r in results), 4) for name in results[0]} if results else {}


# Painting ------------------------------------------------------------------------------------------------------


class Painter:
    """The stock pipeline, float32, on CUDA where there is one."""

    def __init__(self, weights: Path, batch: int) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.batch = batch
        loaded = StableDiffusionPipeline.from_pretrained(weights, local_files_only=True)
        self.pipeline = loaded.to(self.device, torch.float32)
        self.pipeline.set_progress_bar_config(disable=True)

    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        done: Callable[[int], object] = lambda count: None,
    ) -> list[np.ndarray]:
        """Pictures, uint8, shape (128, 128, 3) each; `done` hears how many after each batch.

        One generator a picture, so that a picture does not depend on its batch beyond rounding.
        """
        pictures: list[np.ndarray] = []
        for start in range(0, len(prompts), self.batch):
            part = slice(start, start + self.batch)
            images = self.pipeline(
                list(prompts[part]),
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds[part]],
                output_type="np",
            ).images
            pictures.extend((images * 255).round().astype(np.uint8))
            done(len(images))
        return pictures

    def seconds(self, test_cases: Sequence[Case], steps: int, guidance: float) -> float:
        """Median wall time in seconds of pictures painted one by one, after one to warm up."""
        times = []
        for case in [test_cases[0], *test_cases[:TIMED]]:
            started = time.perf_counter()
            self.paint([case.prompt], [case.seed], steps, guidance)
            times.append(time.perf_counter() - started)
        return round(statistics.median(times[1:]), 3)


class Evaluation:
    """All rows of one run; every (steps, guidance) is painted once."""

    def __init__(self, painter: Painter, test_cases: list[Case], progress: Progress) -> None:
        self.painter, self.test_cases, self.progress = painter, test_cases, progress
        self.rows: dict[tuple[int, float], Row] = {}
        self.readings: dict[tuple[int, float], list[Reading]] = {}

    def row(self, steps: int, guidance: float) -> Row:
        """Paint, read and time every case."""
        if (steps, guidance) in self.rows:
            return self.rows[steps, guidance]
        bar = self.progress.add_task(f"{steps} steps, guidance {guidance:g}", total=len(self.test_cases))
        pictures = self.painter.paint(
            [case.prompt for case in self.test_cases],
            [case.seed for case in self.test_cases],
            steps,
            guidance,
            lambda count: self.progress.advance(bar, count),
        )
        readings = [oracle.read(picture) for picture in pictures]
        unseen = [pair for pair in zip(self.test_cases, readings, strict=True) if pair[0].unseen_pair]
        self.readings[steps, guidance] = readings
        self.rows[steps, guidance] = Row(
            steps,
            guidance,
            self.painter.seconds(self.test_cases, steps, guidance),
            shares(self.test_cases, readings),
            shares([case for case, _ in unseen], [reading for _, reading in unseen]),
        )
        return self.rows[steps, guidance]

    def grid(self, steps: Sequence[int], guidance: Sequence[float], default: float) -> None:
        """All `steps` at the default guidance, and every other guidance at MAIN_STEPS."""
        pairs = dict.fromkeys([*((value, default) for value in steps), *((MAIN_STEPS, value) for value in guidance)])
        for pair in pairs:
            self.row(*pair)

    def misread(self, steps: int, guidance: float) -> list[dict[str, Any]]:
        """The cases that were not right in every attribute, with what was read instead."""
        wrong = []
        for case, reading in zip(self.test_cases, self.readings[steps, guidance], strict=True):
            results = right(case, reading)
            if not results["all"]:
                read = {name: getattr(reading, name) for name in ATTRIBUTES if not results[name]}
                wrong.append({"prompt": case.prompt, "seed": case.seed, "read": read})
        return wrong


def foreign_share(painter: Painter, guidance: float, seed: int) -> tuple[float, list[str]]:
    """The share of FOREIGN's pictures in which the oracle finds a fruit, and the prompts of those where it does not.

    Each prompt is painted FOREIGN_SEEDS times: of 50 pictures one is two per cent.
    """
    prompts = FOREIGN * FOREIGN_SEEDS
    pictures = painter.paint(prompts, range(seed, seed + len(prompts)), MAIN_STEPS, guidance)
    missed = [prompt for prompt, picture in zip(prompts, pictures, strict=True) if not oracle.read(picture).found]
    return 1 - len(missed) / len(prompts), missed


# Writing down --------------------------------------------------------------------------------------------------


def machine(threads: int, device: str) -> dict[str, Any]:
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "commit": commit(),
    }


def markdown(report: dict[str, Any]) -> str:
    """The score tables of README.md."""
    where = report["machine"]
    default, rows = report["guidance"], report["rows"]
    parts = [
        f"{report['prompts']} prompts whose combination no training picture showed, seed {report['seed']}, read by "
        f"`training/fruitstand/oracle.py`; shares in per cent. *All* is all six attributes right, *strict* that and "
        f"every fruit of a picture alike. Seconds are for one picture alone (batch 1, median of {TIMED}).",
        f"{where['cpu']}, {where['cores']} cores, torch {where['torch']} with {where['threads']} threads, painted on "
        f"{where['device']}; commit {where['commit'] or 'none'}.",
        "\n".join(_table(rows, "scores")),
        f"The {report['prompts_with_unseen_pairs']} of them that pair a fruit with a colour it never had in training:",
        "\n".join(_table(rows, "scores_unseen_pairs")),
    ]
    brief = report["brief"]
    summary = ", ".join(f"{name} {brief[name]:.1%}" for name in (*ATTRIBUTES, "all"))
    parts.append(
        f"{brief['prompts']} held-out prompts that leave parts unsaid, as people do (two red apples on a blue "
        f"background); what is unsaid is one, large, in the centre, of the fruit's natural colour, on purple "
        f"({MAIN_STEPS} steps, guidance {default:g}): {summary}."
    )
    if report["foreign"]:
        parts.append(
            f"Of {report['foreign']['prompts']} prompts that name nothing it knows (a castle, my cat, an empty one), "
            f"painted from {FOREIGN_SEEDS} seeds each, {report['foreign']['found']:.1%} become a picture in which the "
            f"oracle finds a fruit ({MAIN_STEPS} steps, guidance {default:g})."
        )
    parts.append(
        f"![Contact sheet](contact_sheet.png)\n\nThe first {SHEET[0] * SHEET[1]} of the prompts at {MAIN_STEPS} steps, "
        f"guidance {default:g}, not chosen; in red what the oracle read otherwise."
    )
    return "\n\n".join(parts)


def _table(rows: list[dict[str, Any]], key: str) -> list[str]:
    names = (*ATTRIBUTES, "all", "strict")
    lines = ["| steps | guidance | " + " | ".join(names) + " | seconds |", "|---" * (len(names) + 3) + "|"]
    for row in rows:
        cells = " | ".join(f"{row[key][name] * 100:.1f}" if row[key] else "" for name in names)
        lines.append(f"| {row['steps']} | {row['guidance']:g} | {cells} | {row['seconds']:.2f} |")
    return lines


def write_between(path: Path, text: str) -> None:
    """Replace what stands between the score markers of a Markdown file; without markers they go to its end."""
    before = path.read_text(encoding="utf-8") if path.exists() else "# Fruitstand\n"
    if BEGIN not in before or END not in before:
        before = f"{before.rstrip()}\n\n## Scores\n\n{BEGIN}\n{END}\n"
    head, rest = before.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


def contact_sheet(
    pictures: Sequence[np.ndarray], test_cases: Sequence[Case], readings: Sequence[Reading]
) -> Image.Image:
    """SHEET pictures, each with its prompt below and, in red, what was read otherwise."""
    across, down = SHEET
    side, gap, words = oracle.SIDE, 10, 52
    sheet = Image.new("RGB", (across * (side + gap) + gap, down * (side + words) + gap), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for i, (picture, case, reading) in enumerate(zip(pictures, test_cases, readings, strict=True)):
        x, y = gap + i % across * (side + gap), gap + i // across * (side + words)
        sheet.paste(Image.fromarray(picture), (x, y))
        lines = textwrap.wrap(case.prompt, 27)
        wrong = [
            str(getattr(reading, name)) or "none"
            for name, ok in right(case, reading).items()
            if name in ATTRIBUTES and not ok
        ]
        for line, text in enumerate(lines):
            draw.text((x, y + side + 3 + 11 * line), text, "#333333", font)
        for line, text in enumerate(textwrap.wrap(", ".join(wrong), 27)[:1], len(lines)):
            draw.text((x, y + side + 3 + 11 * line), text, "#c01818", font)
    return sheet


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything and write scores.json, README.md and contact_sheet.png to `options.out`."""
    started = time.monotonic()
    painter, test_cases = Painter(options.weights, options.batch), cases(options.prompts, options.seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        run = Evaluation(painter, test_cases, progress)
        default = default_guidance(options.weights)
        run.grid(sorted({*options.steps, MAIN_STEPS}), options.guidance, default)
        first = test_cases[: SHEET[0] * SHEET[1]]
        bar = progress.add_task("contact sheet, brief and foreign prompts", total=None)
        pictures = painter.paint([c.prompt for c in first], [c.seed for c in first], MAIN_STEPS, default)
        found, missed = foreign_share(painter, default, options.seed) if options.foreign else (0.0, [])
        brief = brief_cases(len(test_cases) // 2, options.seed)
        drawn = painter.paint([c.prompt for c in brief], [c.seed for c in brief], MAIN_STEPS, default)
        progress.update(bar, total=1, completed=1)
    report = {
        "machine": machine(options.threads, painter.device),
        "weights": _digests(options.weights),
        "prompts": len(test_cases),
        "prompts_with_unseen_pairs": sum(case.unseen_pair for case in test_cases),
        "seed": options.seed,
        "guidance": default,
        "rows": [asdict(run.rows[key]) for key in sorted(run.rows)],
        "foreign": {"prompts": len(FOREIGN), "found": round(found, 4), "missed": missed} if options.foreign else None,
        "brief": {"prompts": len(brief), **shares(brief, [oracle.read(picture) for picture in drawn])},
        "misread": run.misread(MAIN_STEPS, default),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scores.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_between(options.out / "README.md", markdown(report))
    sheet = contact_sheet(pictures, first, [oracle.read(picture) for picture in pictures])
    sheet.save(options.out / "contact_sheet.png", optimize=True)
    return report


def default_guidance(weights: Path) -> float:
    """What the card beside the folder gives a request that asks for none."""
    return float(tomllib.loads(weights.with_suffix(".toml").read_text(encoding="utf-8"))["guidance"]["default"])


def _digests(weights: Path) -> dict[str, str]:
    return {
        path.relative_to(weights).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(weights.rglob("*.safetensors"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the embedded model with the oracle.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="pipeline folder")
    parser.add_argument("--prompts", type=int, default=512, help="held-out prompts (default: %(default)s)")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="at the card's guidance")
    parser.add_argument("--guidance", type=float, nargs="+", default=GUIDANCE, help=f"at {MAIN_STEPS} steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--foreign", action=argparse.BooleanOptionalAction, default=True, help="paint those as well")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for logging in (diffusers_logging, transformers_logging):  # long foreign prompts are truncated, and known to be
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    report = evaluate(options)
    print("\n".join(_table(report["rows"], "scores")))
    if report["foreign"]:
        print(f"foreign prompts with a fruit: {report['foreign']['found']:.1%}")
    print(f"{report['prompts']} prompts in {report['minutes']} minutes, written to {options.out}")


if __name__ == "__main__":
    main()
