"""Draws a scene: SVG text, rendered anti-aliased by resvg.

Every fruit lives in a circle of radius 1 around the origin; the layout puts such circles on the picture so that
none touch. `python -m training.fruitstand.draw FOLDER --count N` saves labelled pictures for the oracle to learn from.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import random
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from .scenes import Scene, random_scene

SIDE = 128  # pixels of a picture's side
GAP = 7.0  # pixels between two fruits at least
MARGIN = 2.0  # pixels between a fruit and the edge at least
RADII = {  # pixels, by size and count
    "small": {1: 17.5, 2: 16.0, 3: 14.5},
    "large": {1: 34.0, 2: 26.0, 3: 22.5},
}

FRUIT_COLOURS = {
    "red": "#e0352f",
    "orange": "#f58216",
    "yellow": "#fcd62b",
    "green": "#45b045",
    "blue": "#2f72e4",
    "purple": "#8743c2",
    "pink": "#f984b4",
    "brown": "#8a5530",
    "black": "#2a2a31",
    "white": "#f8f6f1",
}
GROUND_COLOURS = {
    "red": "#d2564f",
    "orange": "#f3a052",
    "yellow": "#f8e37c",
    "green": "#8dcf85",
    "blue": "#86b9f0",
    "purple": "#b08fdb",
    "pink": "#f8c3d8",
    "brown": "#a67c58",
    "black": "#35363e",
    "white": "#f4f4f3",
}
LEAF, LEAF_EDGE, STEM = "#5fae3a", "#2c6420", "#6a4526"
STEM_ON_BLACK = "#a9773f"  # or a cherry's stem is lost on a black ground


def mix(colour: str, other: str, share: float) -> str:
    """`colour` with `share` (0 to 1) of `other` in it."""
    a, b = (tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in (colour, other))
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in zip(a, b, strict=True))


class _Paint:
    """The shades of one fruit colour."""

    def __init__(self, name: str) -> None:
        base = FRUIT_COLOURS[name]
        self.base = base
        self.light = mix(base, "#ffffff", 0.30)
        self.dark = mix(base, "#000000", 0.12 if name == "white" else 0.25)
        self.edge = mix(base, "#000000", 0.35 if name == "white" else 0.5)
        self.seed = "#fff3c4" if name not in ("white", "yellow") else mix(base, "#000000", 0.35)
        self.shine = 0.75 if name != "black" else 0.45

    def gradient(self, name: str, cx: float = 0.36, cy: float = 0.30) -> str:
        return (
            f'<radialGradient id="{name}" cx="{cx}" cy="{cy}" r="0.85"><stop offset="0" stop-color="{self.light}"/>'
            f'<stop offset="0.45" stop-color="{self.base}"/><stop offset="1" stop-color="{self.dark}"/></radialGradient>'
        )


def _shine(x: float, y: float, rx: float, ry: float, turn: float, strength: float) -> str:
    return (
        f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" transform="rotate({turn} {x} {y})" fill="#fff" '
        f'opacity="{strength}"/>'
    )


def _leaf(x: float, y: float, length: float, turn: float) -> str:
    h = length * 0.34
    return (
        f'<g transform="translate({x} {y}) rotate({turn})"><path d="M0 0 Q{length / 2} {-h * 1.7} {length} 0 '
        f'Q{length / 2} {h * 1.7} 0 0Z" fill="{LEAF}" stroke="{LEAF_EDGE}" stroke-width="0.05"/>'
        f'<path d="M{length * 0.1} 0 L{length * 0.8} 0" stroke="{LEAF_EDGE}" stroke-width="0.035"/></g>'
    )


def _stem(path: str, width: float = 0.11) -> str:
    return f'<path d="{path}" fill="none" stroke="{STEM}" stroke-width="{width}" stroke-linecap="round"/>'


def _body(path: str, paint: _Paint, fill: str = "url(#b)") -> str:
    return f'<path d="{path}" fill="{fill}" stroke="{paint.edge}" stroke-width="0.06" stroke-linejoin="round"/>'


def banana(p: _Paint) -> str:
    return (
        _body("M-.90 -.42 C-.82 .62 .28 .98 .92 .22 C.95 .12 .90 .04 .80 .06 C.30 .30 -.36 .08 -.60 -.62 "
              "C-.66 -.76 -.92 -.72 -.90 -.42Z", p)
        + f'<path d="M-.78 -.42 C-.62 .42 .28 .72 .82 .16" fill="none" stroke="{p.dark}" stroke-width=".07"/>'
        + f'<path d="M-.90 -.44 L-.86 -.72 L-.68 -.76 L-.60 -.60Z" fill="{STEM}"/>'
        + f'<path d="M.93 .22 C.97 .10 .90 .02 .80 .05 C.82 .14 .86 .20 .93 .22Z" fill="{STEM}"/>'
        + _shine(-0.36, 0.10, 0.30, 0.07, 48, p.shine * 0.8)
    )  # fmt: skip


def apple(p: _Paint) -> str:
    return (
        _stem("M0 -.50 Q.02 -.80 .14 -.93")
        + _body("M0 -.52 C-.30 -.80 -.92 -.66 -.88 .02 C-.84 .60 -.40 .96 -.16 .90 Q0 .84 .16 .90 "
                "C.40 .96 .84 .60 .88 .02 C.92 -.66 .30 -.80 0 -.52Z", p)
        + f'<path d="M-.20 -.50 Q0 -.36 .20 -.50" fill="none" stroke="{p.edge}" stroke-width=".06"/>'
        + _leaf(0.10, -0.70, 0.58, -14)
        + _shine(-0.48, -0.16, 0.13, 0.24, 22, p.shine)
    )  # fmt: skip


def orange(p: _Paint) -> str:
    pores = "".join(
        f'<circle cx="{x}" cy="{y}" r=".038" fill="{p.dark}"/>'
        for x, y in ((-.5, .12), (-.28, .42), (.02, .20), (.30, .50), (.52, .12), (.26, -.08), (.02, .66), (-.36, -.12), (.58, .40), (-.58, .42))
    )  # fmt: skip
    star = " ".join(
        f"{r * math.sin(i * math.pi / 5):.3f},{-0.56 - r * 0.62 * math.cos(i * math.pi / 5):.3f}"
        for i, r in enumerate([0.34, 0.13] * 5)
    )
    return (
        f'<circle r=".92" fill="url(#b)" stroke="{p.edge}" stroke-width=".06"/>{pores}'
        f'<polygon points="{star}" fill="{LEAF}" stroke="{LEAF_EDGE}" stroke-width=".05"/>'
        f'<circle cy="-.56" r=".07" fill="{STEM}"/>' + _shine(-0.50, -0.30, 0.12, 0.20, 38, p.shine)
    )


def pear(p: _Paint) -> str:
    return (
        _stem("M0 -.74 Q.02 -.90 .10 -.98")
        + _body("M0 -.78 C-.30 -.80 -.36 -.50 -.38 -.26 C-.42 .02 -.74 .16 -.72 .50 C-.70 .86 -.34 .97 0 .97 "
                "C.34 .97 .70 .86 .72 .50 C.74 .16 .42 .02 .38 -.26 C.36 -.50 .30 -.80 0 -.78Z", p)
        + _leaf(0.05, -0.86, 0.52, -4)
        + _shine(-0.38, 0.40, 0.11, 0.24, 14, p.shine)
    )  # fmt: skip


def strawberry(p: _Paint) -> str:
    seeds = "".join(
        f'<ellipse cx="{x}" cy="{y}" rx=".045" ry=".075" fill="{p.seed}"/>'
        for x, y in ((-.44, -.16), (-.06, -.12), (.36, -.16), (-.26, .14), (.14, .14), (.50, .06), (-.10, .42), (.26, .42), (.06, .68), (-.54, .08))
    )  # fmt: skip
    crown = "M0 -.92 L.10 -.66 L.44 -.86 L.40 -.58 L.74 -.50 L.36 -.36 L.16 -.30 L0 -.40 L-.16 -.30 L-.36 -.36 L-.74 -.50 L-.40 -.58 L-.44 -.86 L-.10 -.66Z"
    return (
        _body("M0 -.56 C.42 -.74 .84 -.52 .78 -.06 C.70 .46 .28 .92 0 .97 C-.28 .92 -.70 .46 -.78 -.06 "
              "C-.84 -.52 -.42 -.74 0 -.56Z", p)
        + seeds
        + f'<path d="{crown}" fill="{LEAF}" stroke="{LEAF_EDGE}" stroke-width=".05" stroke-linejoin="round"/>'
    )  # fmt: skip


def grapes(p: _Paint) -> str:
    rows = ((-0.30, (-0.56, -0.19, 0.19, 0.56)), (0.03, (-0.38, 0.0, 0.38)), (0.36, (-0.20, 0.20)), (0.68, (0.0,)))
    balls = "".join(
        f'<circle cx="{x}" cy="{y}" r=".245" fill="url(#b)" stroke="{p.edge}" stroke-width=".05"/>'
        + _shine(x - 0.08, y - 0.09, 0.06, 0.06, 0, p.shine)
        for y, xs in rows
        for x in xs
    )
    return _stem("M0 -.46 L.02 -.93", 0.12) + _leaf(0.02, -0.66, 0.70, 4) + _leaf(0.0, -0.64, 0.58, 188) + balls


def watermelon(p: _Paint) -> str:
    seeds = "".join(
        f'<ellipse cx="{x}" cy="{y}" rx=".05" ry=".085" transform="rotate({t} {x} {y})" fill="{s}"/>'
        for x, y, t in ((-.46, -.16, 20), (-.15, -.14, 5), (.17, -.14, -5), (.48, -.16, -20), (-.27, .14, 12), (.02, .18, 0), (.30, .14, -12))
        for s in ("#f4ead0" if p.base == FRUIT_COLOURS["black"] else "#2b211c",)
    )  # fmt: skip
    return (
        '<path d="M-.97 -.42 A.97 .97 0 0 0 .97 -.42Z" fill="#2f8a3c" stroke="#1d5a28" stroke-width=".06" '
        'stroke-linejoin="round"/><path d="M-.87 -.42 A.87 .87 0 0 0 .87 -.42Z" fill="#e8f3c9"/>'
        f'<path d="M-.79 -.42 A.79 .79 0 0 0 .79 -.42Z" fill="url(#b)"/>{seeds}'
    )


def cherries(p: _Paint) -> str:
    ball = '<circle cx="{0}" cy="{1}" r=".40" fill="url(#b)" stroke="' + p.edge + '" stroke-width=".06"/>'
    return (
        _stem("M-.46 .30 Q-.40 -.40 .10 -.84", 0.13)
        + _stem("M.46 .40 Q.50 -.30 .10 -.84", 0.13)
        + _leaf(0.08, -0.82, 0.70, 14)
        + ball.format(-0.48, 0.42)
        + ball.format(0.48, 0.50)
        + _shine(-0.60, 0.28, 0.09, 0.13, 30, p.shine)
        + _shine(0.36, 0.36, 0.09, 0.13, 30, p.shine)
    )


_DRAW = {f.__name__: f for f in (banana, apple, orange, pear, strawberry, grapes, watermelon, cherries)}
_TILT = {"banana": 22, "watermelon": 16, "cherries": 6, "grapes": 6}


def svg(scene: Scene, rng: random.Random) -> str:
    """The scene as SVG text, `SIDE` by `SIDE`; `rng` chooses layout, tilt and small differences."""
    paint, ground = _Paint(scene.colour), GROUND_COLOURS[scene.background]
    radius = RADII[scene.size][scene.count] * rng.uniform(0.95, 1.04)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE}" height="{SIDE}" viewBox="0 0 {SIDE} {SIDE}"><defs>',
        f'<radialGradient id="g" cx=".5" cy=".42" r=".8"><stop offset="0" stop-color="{mix(ground, "#ffffff", 0.14)}"/>'
        f'<stop offset="1" stop-color="{mix(ground, "#000000", 0.07)}"/></radialGradient>',
        paint.gradient("b"),
        f'</defs><rect width="{SIDE}" height="{SIDE}" fill="url(#g)"/>',
    ]
    for x, y in layout(scene, radius, rng):
        turn = rng.uniform(-1, 1) * _TILT.get(scene.fruit, 9)
        flip = -1 if scene.fruit == "banana" and rng.random() < 0.5 else 1
        parts.append(
            f'<g transform="translate({x:.2f} {y:.2f}) rotate({turn:.1f}) scale({radius * flip:.2f} {radius:.2f})">'
            f"{_DRAW[scene.fruit](paint)}</g>"
        )
    drawn = "".join([*parts, "</svg>"])
    return drawn.replace(STEM, STEM_ON_BLACK) if scene.background == "black" else drawn


def layout(scene: Scene, radius: float, rng: random.Random) -> list[tuple[float, float]]:
    """Centres in pixels of `scene.count` circles of `radius` that keep GAP and MARGIN, grouped at the position."""
    across = 2 * radius + GAP
    group = _group(scene, across, rng)
    cx, cy = _anchor(scene.position, rng)
    low, high = radius + MARGIN, SIDE - radius - MARGIN
    cx = min(max(cx, low - min(x for x, _ in group)), high - max(x for x, _ in group))
    cy = min(max(cy, low - min(y for _, y in group)), high - max(y for _, y in group))
    return [(cx + x, cy + y) for x, y in group]


def _anchor(position: str, rng: random.Random) -> tuple[float, float]:
    far, near, mid = rng.uniform(0.68, 0.73), rng.uniform(0.27, 0.32), rng.uniform(0.45, 0.55)
    share = {
        "left": (near, mid),
        "right": (far, mid),
        "top": (mid, near),
        "bottom": (mid, far),
        "centre": (rng.uniform(0.46, 0.54), rng.uniform(0.46, 0.54)),
    }[position]
    return share[0] * SIDE, share[1] * SIDE


def _group(scene: Scene, across: float, rng: random.Random) -> list[tuple[float, float]]:
    """Offsets from the group's own centre: a row along the side it leans on, a triangle where three would not fit.

    One scene, one arrangement: a model that must choose between several paints a little of each in few steps.
    """
    if scene.count == 1:
        return [(0.0, 0.0)]
    upright = scene.position in ("left", "right")
    spread = across * rng.uniform(1.0, 1.06)
    if scene.count == 2 or (scene.size == "small" and scene.position != "centre"):
        line = [(i - (scene.count - 1) / 2) * spread for i in range(scene.count)]
        return [(0.0, v) for v in line] if upright else [(v, 0.0) for v in line]
    tall = spread * math.sqrt(3) / 2
    side = 1 if scene.position in ("left", "top") else -1  # the odd one points to the middle; in the centre, upwards
    triangle = [(-spread / 2, -side * tall / 3), (spread / 2, -side * tall / 3), (0.0, side * 2 * tall / 3)]
    return [(y, x) for x, y in triangle] if upright else triangle


def render(scene: Scene, rng: random.Random) -> np.ndarray:
    """The picture: uint8, shape (SIDE, SIDE, 3)."""
    png = resvg_py.svg_to_bytes(svg_string=svg(scene, rng), skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Save labelled drawings: N.png files and labels.jsonl.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    with (options.folder / "labels.jsonl").open("w") as labels:
        for i in range(options.count):
            scene = random_scene(rng)
            Image.fromarray(render(scene, rng)).save(options.folder / f"{i}.png", compress_level=1)
            labels.write(json.dumps({"file": f"{i}.png", **vars(scene)}) + "\n")
            if (i + 1) % 500 == 0:
                print(f"{i + 1} of {options.count}", flush=True)


if __name__ == "__main__":
    main()
