"""Writes the README's tables from results/*.json: figures are generated, never typed.

`python -m benchmarks.tables` after any change of the results.
"""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
README = RESULTS.parents[1] / "README.md"
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def embedded() -> str:
    """Our loop beside the stock pipeline."""
    found = json.loads((RESULTS / "embedded.json").read_text())
    where = found["machine"]
    rows = [
        f"| {title} | {found[name]['p50'] * 1000:.0f} ms | {found[name]['p99'] * 1000:.0f} ms "
        f"| {found[name]['memory_mb']} MB |"
        for name, title in (("stock", "stock diffusers pipeline"), ("ours", "our loop"))
    ]
    return "\n".join(
        [
            f"| {found['steps']} steps, guidance {found['guidance']:g}, one picture at a time | p50 | p99 | memory |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            f"Ratio {found['ratio']:.2f}. {where.get('card') or where['processor']}, {where['threads']} threads, "
            f"torch {where['torch']}, diffusers {where['diffusers']}, commit {where['commit']}; "
            f"`{found['command']}`.",
        ]
    )


def written(readme: str) -> str:
    """The README's text with its tables as the results have them."""
    head, rest = readme.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{embedded()}\n{END}{rest.split(END, 1)[1]}"


def write() -> None:
    """Bring README.md up to date; without its markers it stays as it is."""
    text = README.read_text(encoding="utf-8")
    if BEGIN in text:
        README.write_text(written(text), encoding="utf-8")


if __name__ == "__main__":
    write()
