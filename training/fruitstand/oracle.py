"""Reads a picture of fruit: how many, how large, which colour, which fruit, where, on what background.

Counts and colours come from pixels, the fruit from a small network that learned from drawings saved on disk.
Imports nothing of this project: what the painter and its teacher believe cannot leak in here.

`python -m training.fruitstand.oracle DRAWINGS --check OTHERS` learns from DRAWINGS (N.png and labels.jsonl),
writes oracle.safetensors and prints how much of OTHERS it reads rightly.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS = Path(__file__).with_name("oracle.safetensors")
SIDE = 128  # pixels of a picture's side
FRUITS = ("banana", "apple", "orange", "pear", "strawberry", "grapes", "watermelon", "cherries")
NOTHING = "nothing"
SIZES = ("small", "medium", "large")  # medium: between the two that have words
COLOURS = {  # of a fruit's lit body
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
BACKGROUNDS = {
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
OTHERS = (
    "#5fae3a",
    "#2c6420",
    "#6a4526",
    "#2f8a3c",
    "#1d5a28",
    "#e8f3c9",
    "#fff3c4",
)  # leaf, stem, rind, seed

SMALLEST = 40  # pixels of a component that counts
CROP = 32  # pixels of the side the network sees
CENTRE, ASIDE = (
    0.105,
    0.125,
)  # shares of the side: within CENTRE is the centre; two shifts over ASIDE have no word
SURE = 0.8  # probability from which a fruit counts as found


@dataclass(frozen=True)
class Level:
    """How far apart two components must be.

    contrast: Lab distance from the background at which a pixel is foreground.
    edge: share of the contrast nearby at which a soft edge ends, so that a blurred fruit is no larger than a sharp
    one and no nearer to the next.
    closing: pixels; narrower gaps are closed. Two pears may be 3 apart; a cherry may hang on less than a pixel.
    """

    contrast: float
    edge: float
    closing: int


TIGHT, NORMAL = Level(14, 0.5, 1), Level(11, 0.4, 3)
LOOSE = (Level(7, 0.2, 3), Level(7, 0.2, 5), Level(7, 0.2, 7))


@dataclass(frozen=True, eq=False)
class Part:
    """One connected component, compared by identity.

    box: left, top, right, bottom in pixels. area: pixels of its own, without closed gaps.
    """

    box: tuple[int, int, int, int]
    pixel: tuple[int, int]  # row and column of any of its pixels
    area: int
    colour: str
    crop: np.ndarray  # float32, shape (3, CROP, CROP): mask, lightness and difference from the body's own colour

    @property
    def extent(self) -> float:
        """Pixels: the side of a square of the component's area."""
        return self.area**0.5

    @property
    def middle(self) -> tuple[float, float]:
        """x and y of the box's middle in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Reading:
    """What a picture shows; words are empty where nothing is there.

    size may be medium and position anywhere, which no prompt asks for. `alike`: each component, read alone,
    is of this colour and fruit. `confidence`: the highest probability of a fruit among the components.
    """

    count: int
    size: str
    colour: str
    fruit: str
    position: str
    background: str
    alike: bool
    confidence: float

    @property
    def found(self) -> bool:
        """True if at least one component surely is a fruit."""
        return self.confidence >= SURE


class Network(nn.Sequential):
    """Crops, shape (N, 3, CROP, CROP), to logits of the fruits and of nothing, shape (N, 9)."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for before, after in ((3, 16), (16, 32), (32, 48)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        flat = 48 * (CROP // 8) ** 2
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(flat, 64),
            nn.ReLU(),
            nn.Linear(64, len(FRUITS) + 1),
        )


class Oracle:
    """The network with its calibration.

    limits: shape (8, 3, 2), the extents in pixels at which small ends and large begins, by fruit and count.
    lift: shape (8,), how far the middle of a fruit's box lies below its place, in extents.
    """

    def __init__(self, network: Network, limits: np.ndarray, lift: np.ndarray) -> None:
        self.network, self.limits, self.lift = network.eval(), limits, lift

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Oracle:
        saved = {key: value.float() for key, value in load_file(path).items()}
        limits, lift = saved.pop("limits").numpy(), saved.pop("lift").numpy()
        network = Network()
        network.load_state_dict(saved)
        return cls(network, limits, lift)

    def read(self, picture: np.ndarray) -> Reading:
        """Read one picture: uint8, shape (128, 128, 3), RGB."""
        view = View(picture)
        parts, ground = self._parts(view), view.background
        if not parts:
            return Reading(0, "", "", "", "", ground, True, 0.0)
        logits = self._logits(parts)
        fruits = logits.argmax(1).tolist()
        fruit, like = int(logits.mean(0).argmax()), int(logits.mean(0)[: len(FRUITS)].argmax())
        colours = [part.colour for part in parts]
        colour = max(sorted(set(colours)), key=colours.count)
        return Reading(
            count=len(parts),
            size=self._size(parts, like),
            colour=colour,
            fruit=(*FRUITS, NOTHING)[fruit],
            position=_position(parts, float(self.lift[like])),
            background=ground,
            alike=set(colours) == {colour} and set(fruits) == {fruit},
            confidence=float(logits.softmax(1)[:, : len(FRUITS)].max()),
        )

    def _parts(self, view: View) -> list[Part]:
        """The components; where levels disagree, those that look more like fruit.

        So pears that nearly touch are still two, and cherries whose stems have faded are still one bunch.
        """
        _, parts = view.parts(TIGHT)
        labels, wholes = view.parts(NORMAL)
        parts = [
            part for number, whole in wholes.items() for part in self._rather(whole, _within(parts, labels, number))
        ]
        for level in LOOSE if len(parts) > 1 else ():
            labels, wholes = view.parts(level)
            for number, whole in wholes.items():
                inner = _within(dict(enumerate(parts)), labels, number)
                if len(inner) > 1 and self._rather(whole, inner, sure=0.5) == [whole]:
                    parts = [part for part in parts if part not in inner] + [whole]
        return parts

    def _rather(self, whole: Part, inner: list[Part], sure: float = 0.0) -> list[Part]:
        """`inner` if there are several and all look more like fruit than the whole, or it does so less than `sure`."""
        if len(inner) < 2:
            return [whole]
        first, *others = self._logits([whole, *inner]).softmax(1)[:, : len(FRUITS)].amax(1).tolist()
        return inner if min(others) > first or first < sure else [whole]

    @torch.no_grad()
    def _logits(self, parts: list[Part]) -> torch.Tensor:
        return self.network(torch.from_numpy(np.stack([part.crop for part in parts])))

    def _size(self, parts: list[Part], fruit: int) -> str:
        extent = float(np.median([part.extent for part in parts]))
        small, large = self.limits[fruit, min(len(parts), 3) - 1]
        return SIZES[int(extent >= small) + int(extent >= large)]


def read(picture: np.ndarray) -> Reading:
    """Read one picture (uint8, shape (128, 128, 3), RGB) with the weights beside this file."""
    return _oracle().read(picture)


@cache
def _oracle() -> Oracle:
    return Oracle.load()


# Pixels -------------------------------------------------------------------------------------------------


class View:
    """A picture (uint8, shape (128, 128, 3)) with its background taken away; `background` is that colour's name."""

    def __init__(self, picture: np.ndarray) -> None:
        if picture.shape != (SIDE, SIDE, 3) or picture.dtype != np.uint8:
            raise ValueError(f"expected uint8 of shape ({SIDE}, {SIDE}, 3), got {picture.dtype} {picture.shape}")
        self.lab = to_lab(picture)
        ground = _background(self.lab)
        border = np.median(ground[_RING], axis=0)
        self.background = _names(BACKGROUNDS)[int(_distance(border, _GROUND_LAB).argmin())]
        self.contrast = np.linalg.norm(self.lab - ground, axis=-1)

    def parts(self, level: Level) -> tuple[np.ndarray, dict[int, Part]]:
        """The numbered components, int32, shape (128, 128), and what each is; specks are numbered only."""
        seen = self._foreground(level)
        labels, count = label(_close(seen, level.closing))
        if level in LOOSE:  # joined by faint pixels, but measured without them
            seen = self._foreground(NORMAL)
        sizes = np.bincount(labels[seen], minlength=count + 1)
        numbers = [i for i in range(1, count + 1) if sizes[i] >= SMALLEST]
        return labels, {i: _part(self.lab, seen, labels == i) for i in numbers}

    def _foreground(self, level: Level) -> np.ndarray:
        levels = Image.fromarray(self.contrast.clip(0, 255).astype(np.uint8))
        nearby = np.asarray(levels.filter(ImageFilter.MaxFilter(5)))
        return (self.contrast > level.contrast) & (self.contrast > level.edge * nearby)


def look(picture: np.ndarray) -> list[Part]:
    """The components of a picture (uint8, shape (128, 128, 3)) at the normal level."""
    return list(View(picture).parts(NORMAL)[1].values())


def _within(parts: dict[int, Part], labels: np.ndarray, number: int) -> list[Part]:
    return [part for part in parts.values() if labels[part.pixel] == number]


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of uint8 sRGB, float32, same shape."""
    xyz = _LINEAR[rgb] @ _XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * (841 / 108) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def label(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the 8-connected components of a boolean picture from 1: (int32 of the same shape, how many)."""
    runs: list[tuple[int, int, int]] = []  # row, first column, column after the last
    parent: list[int] = []
    above: list[int] = []
    changes = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1) != 0
    for y, row in enumerate(changes):
        edges = np.flatnonzero(row).tolist()
        here: list[int] = []
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            here.append(len(runs))
            parent.append(len(runs))
            runs.append((y, start, end))
            for other in above:
                if runs[other][1] <= end and start <= runs[other][2]:
                    parent[_root(parent, other)] = _root(parent, here[-1])
        above = here
    numbers: dict[int, int] = {}
    labels = np.zeros(mask.shape, np.int32)
    for i, (y, start, end) in enumerate(runs):
        labels[y, start:end] = numbers.setdefault(_root(parent, i), len(numbers) + 1)
    return labels, len(numbers)


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        i = parent[i]
    return i


def _background(lab: np.ndarray) -> np.ndarray:
    """The background everywhere, shape of `lab`: a quadratic surface through the border, then all ground."""
    thin, basis = lab[::2, ::2].reshape(-1, 3), _BASIS[::2, ::2].reshape(-1, 6)
    border = _RING[::2, ::2].ravel()
    fits = border & (np.linalg.norm(thin - np.median(thin[border], axis=0), axis=1) < 2 * NORMAL.contrast)
    for _ in range(4):
        surface, *_ = np.linalg.lstsq(basis[fits], thin[fits], rcond=None)
        fits = np.linalg.norm(thin - basis @ surface, axis=1) < 0.6 * NORMAL.contrast
        if fits.sum() < 100:  # no even ground at all
            break
    return (_BASIS @ surface).astype(np.float32)


def _close(mask: np.ndarray, width: int) -> np.ndarray:
    closed = Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(width))
    return np.asarray(closed.filter(ImageFilter.MinFilter(width))) > 0


def _part(lab: np.ndarray, seen: np.ndarray, own: np.ndarray) -> Part:
    """`own` is the component after closing, `seen` all foreground before it."""
    rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    body = own & seen
    middle = np.median(lab[body], axis=0)
    pixel = tuple(np.argwhere(body)[0].tolist())
    return Part(box, pixel, int(body.sum()), _colour(lab[_inside(body)]), _crop(lab, own, box, middle))


def _inside(mask: np.ndarray) -> np.ndarray:
    """The mask without its outermost two pixels, one, or none: as many as leave a fifth of it."""
    image = Image.fromarray(mask).convert("L")
    for width in (5, 3):
        inner = np.asarray(image.filter(ImageFilter.MinFilter(width))) > 0
        if inner.sum() >= 0.2 * mask.sum():
            return inner
    return mask


def _colour(pixels: np.ndarray) -> str:
    """The colour most pixels (Lab, shape (N, 3)) are of, leaves, stems, rinds and seeds aside."""
    nearest = _distance(pixels, _PALETTE_LAB).argmin(-1)
    votes = np.bincount(_PALETTE_OWNER[nearest], minlength=len(COLOURS) + 1)[: len(COLOURS)]
    return _names(COLOURS)[int(votes.argmax())]


def _crop(lab: np.ndarray, own: np.ndarray, box: tuple[int, int, int, int], body: np.ndarray) -> np.ndarray:
    left, top, right, bottom = box
    half = max(right - left, bottom - top) * 0.54
    x, y = (left + right) / 2, (top + bottom) / 2
    channels = (
        own.astype(np.float32),
        (lab[..., 0] - body[0]) / 50 * own,
        np.linalg.norm(lab - body, axis=-1) / 50 * own,
    )
    window = (x - half, y - half, x + half, y + half)
    return np.stack([_window(channel, window) for channel in channels])


def _window(channel: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """The part of a picture inside `window` (which may lean out of it), as CROP by CROP."""
    pad = 80  # more than half the side: a row of several fruits may lie along an edge
    image = Image.fromarray(np.pad(channel.astype(np.float32), pad))
    shifted = tuple(v + pad for v in window)
    return np.asarray(image.resize((CROP, CROP), Image.Resampling.BILINEAR, box=shifted))


def _position(parts: list[Part], lift: float) -> str:
    """Where the components' middles lie on the mean; `lift` as in Oracle."""
    x = float(np.mean([part.middle[0] for part in parts])) / SIDE - 0.5
    y = float(np.mean([part.middle[1] - lift * part.extent for part in parts])) / SIDE - 0.5
    if max(abs(x), abs(y)) < CENTRE:
        return "centre"
    if min(abs(x), abs(y)) > ASIDE:
        return "anywhere"
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "top" if y < 0 else "bottom"


def _distance(colours: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Lab distances, shape (..., number of references)."""
    return np.linalg.norm(colours[..., None, :] - references, axis=-1)


def _names(table: dict[str, str]) -> list[str]:
    return list(table)


def _rgb(code: str) -> np.ndarray:
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32)


def _shades(code: str) -> list[np.ndarray]:
    """A body colour in the light, plain and in its own shadow."""
    return [_rgb(code) * 0.8 + 51, _rgb(code), _rgb(code) * 0.86]


def _tables() -> tuple[np.ndarray, ...]:
    levels = np.arange(256, dtype=np.float32) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    ring = np.ones((SIDE, SIDE), bool)
    ring[4:-4, 4:-4] = False
    return linear, xyz / xyz.sum(1, keepdims=True), basis, ring


_LINEAR, _XYZ, _BASIS, _RING = _tables()
_GROUND_LAB = to_lab(np.array([_rgb(code) for code in BACKGROUNDS.values()], np.uint8))
_PALETTE_LAB = to_lab(
    np.array([*(s for code in COLOURS.values() for s in _shades(code)), *map(_rgb, OTHERS)]).round().astype(np.uint8)
)
_PALETTE_OWNER = np.array([*np.repeat(np.arange(len(COLOURS)), 3), *[len(COLOURS)] * len(OTHERS)])


# Learning -----------------------------------------------------------------------------------------------


Label = dict[str, Any]  # file, and the six attributes by their names in a Reading
Drawings = list[tuple[np.ndarray, Label]]  # pictures (uint8 HWC) with their labels
Looks = list[tuple[list[Part], Label]]


def drawings(folder: Path) -> Drawings:
    """Open what training.fruitstand.draw saved."""
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    return [(np.asarray(Image.open(folder / row["file"]).convert("RGB")), row) for row in rows]


def softened(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture as a painter might leave it: a little blurred, noisy, or squeezed by JPEG."""
    image = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.0))))
    if rng.random() < 0.3:
        squeezed = io.BytesIO()
        image.save(squeezed, "jpeg", quality=int(rng.integers(75, 96)))
        image = Image.open(squeezed)
    noise = rng.normal(0, rng.uniform(0, 3), picture.shape)
    return (np.asarray(image) + noise).round().clip(0, 255).astype(np.uint8)


def worn(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with its finest detail gone, as a tight autoencoder leaves it, and softened."""
    image = Image.fromarray(picture)
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.MedianFilter(3))
    if rng.random() < 0.6:
        few = int(SIDE * rng.uniform(0.45, 0.8))
        image = image.resize((few, few), Image.Resampling.BOX).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return softened(np.asarray(image), rng)


def garbage(rng: np.random.Generator, known: Drawings) -> np.ndarray:
    """A picture without a whole fruit: stains, plain shapes, smears, cut fruits, or two fruits in one."""
    kind = rng.choice(["stain", "shape", "smear", "cut", "blend"], p=[0.25, 0.2, 0.15, 0.2, 0.2])
    picture, row = known[rng.integers(len(known))]
    if kind == "stain":
        return _stain(rng)
    if kind == "shape":
        return _shape(rng)
    if kind == "smear":
        return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(float(rng.uniform(4, 9)))))
    if kind == "cut":
        return _cut(picture, row["fruit"], rng)
    while (other := known[rng.integers(len(known))])[1]["fruit"] == row["fruit"]:
        pass
    return _blend(picture, other[0], rng)


def _even(rng: np.random.Generator) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), rng.integers(30, 250, 3), np.float32)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Smooth coloured noise, float, 0 to 255."""
    cells = int(rng.integers(2, 20))
    seed = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(seed.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)


def _plane(rng: np.random.Generator, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel, turned at random, in radii from a random middle."""
    x0, y0 = rng.uniform(radius, SIDE - radius, 2)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    x, y = (x - x0) / radius, (y - y0) / radius
    return x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)


def _paste(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    inside = _texture(rng) if rng.random() < 0.5 else _even(rng) + 0.2 * (_texture(rng) - 128)
    return np.where(mask[..., None], inside, _even(rng)).clip(0, 255).astype(np.uint8)


def _stain(rng: np.random.Generator) -> np.ndarray:
    radius = rng.uniform(14, 40)
    x, y = _plane(rng, radius)
    level = _texture(rng)[..., 0] / 255
    return _paste(level > 0.25 + 0.5 * np.hypot(x, y), rng)


def _shape(rng: np.random.Generator) -> np.ndarray:
    x, y = _plane(rng, rng.uniform(14, 36))
    wide = rng.uniform(0.3, 1)
    shapes = (
        np.maximum(np.abs(x), np.abs(y) / wide) < 0.8,
        np.abs(x) + np.abs(y) / wide < 1,
        np.hypot(x, y / wide) < 0.9,
        (np.abs(x) < 0.9 * (y + 0.8) / 1.6) & (y < 0.8),
        np.hypot(x, y) < 0.55 + 0.4 * np.cos(np.arctan2(y, x) * rng.integers(3, 7)),
    )
    return _paste(shapes[rng.integers(len(shapes))], rng)


def _cut(picture: np.ndarray, fruit: str, rng: np.random.Generator) -> np.ndarray:
    """From every fruit 40 to 65 % of its box is gone, on one side; from cherries the top, so that balls remain."""
    cut, share = picture.copy(), rng.uniform(0.4, 0.65)
    ground, side = np.median(picture[_RING], axis=0), rng.integers(2)
    for part in look(picture):
        left, top, right, bottom = part.box
        rows, columns = slice(max(top - 2, 0), bottom + 2), slice(max(left - 2, 0), right + 2)
        if fruit == "cherries":
            rows = slice(rows.start, round(top + 0.6 * (bottom - top)))
        elif side:
            columns = slice(columns.start, round(left + share * (right - left)))
        else:
            columns = slice(round(right - share * (right - left)), columns.stop)
        cut[rows, columns] = ground
    return cut


def _blend(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The first fruit of `other` half through the first of `one`, both made the same size."""
    (first, *_), (second, *_) = look(one), look(other)
    box = first.box
    thing = Image.fromarray(other).crop(second.box).resize((box[2] - box[0], box[3] - box[1]))
    mixed = np.empty((SIDE, SIDE, 3), np.uint8)
    mixed[:] = np.median(one[_RING], axis=0)
    at = (slice(box[1], box[3]), slice(box[0], box[2]))
    share = rng.uniform(0.4, 0.6)
    mixed[at] = (one[at] * share + np.asarray(thing) * (1 - share)).astype(np.uint8)
    return mixed


def looked(known: Drawings, rng: np.random.Generator) -> Looks:
    """The components of every drawing as it is, and once more softened or worn."""
    looks: Looks = []
    for picture, row in track(known, description="drawings"):
        for seen in (picture, (softened, worn)[rng.integers(2)](picture, rng)):
            looks.append((look(seen), row))
    return looks


def lessons(known: Drawings, looks: Looks, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops, float16, shape (N, 3, CROP, CROP), of fruit and of garbage, and which fruit each is."""
    crops: list[np.ndarray] = []
    answers: list[int] = []
    for parts, row in looks:
        if len(parts) == row["count"]:
            crops += [part.crop for part in parts]
            answers += [FRUITS.index(row["fruit"])] * len(parts)
    for _ in track(range(len(known) // 3), description="garbage"):
        parts = look(softened(garbage(rng, known), rng))
        crops += [part.crop for part in parts[:4]]
        answers += [len(FRUITS)] * len(parts[:4])
    return torch.from_numpy(np.stack(crops)).half(), torch.tensor(answers)


def learn(crops: torch.Tensor, answers: torch.Tensor, *, rounds: int = 14, batch: int = 128) -> Network:
    """Train the network on shifted, resized and shaded copies of the crops."""
    network = Network().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=rounds * (len(crops) // batch))
    for _ in track(range(rounds), description="learning"):
        for picked in torch.randperm(len(crops)).split(batch)[: len(crops) // batch]:
            logits = network(_varied(crops[picked].float()))
            loss = nn.functional.cross_entropy(logits, answers[picked], label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _varied(crops: torch.Tensor) -> torch.Tensor:
    """Turned by up to 12 degrees, resized by a tenth, shifted by two pixels, blurred, and lit otherwise."""
    count = len(crops)
    turn, scale = (torch.rand(2, count) * 2 - 1) * torch.tensor([[0.2], [0.1]])
    rows = torch.stack([turn.cos() + scale, -turn.sin(), turn.sin(), turn.cos() + scale], 1).view(count, 2, 2)
    shift = (torch.rand(count, 2, 1) * 2 - 1) * 0.12
    grid = nn.functional.affine_grid(torch.cat([rows, shift], 2), list(crops.shape), align_corners=False)
    turned = nn.functional.grid_sample(crops, grid, align_corners=False)
    blunt = nn.functional.avg_pool2d(turned, 3, stride=1, padding=1)
    turned = torch.where(torch.rand(count, 1, 1, 1) < 0.3, blunt, turned)
    mask, inner = turned[:, :1], turned[:, 1:]
    gain, bias = torch.rand(count, 2, 1, 1) * 0.9 + 0.4, torch.randn(count, 2, 1, 1) * 0.04
    return torch.cat([mask, inner * gain + bias * mask], 1)


def calibrate(looks: Looks) -> tuple[np.ndarray, np.ndarray]:
    """`limits` and `lift` of an Oracle, from drawings: halfway between the mean extents of two sizes."""
    extents: dict[tuple[int, int, str], list[float]] = {}
    lifts: list[list[float]] = [[] for _ in FRUITS]
    for parts, row in looks:
        fruit = FRUITS.index(row["fruit"])
        if len(parts) != row["count"]:
            continue
        extents.setdefault((fruit, row["count"] - 1, row["size"]), []).extend(part.extent for part in parts)
        if row["position"] in ("left", "right", "centre"):
            below = np.mean([part.middle[1] for part in parts]) - SIDE / 2
            lifts[fruit].append(float(below / np.mean([part.extent for part in parts])))
    limits = np.empty((len(FRUITS), 3, 2), np.float32)
    for fruit, count, edge in np.ndindex(limits.shape):
        limits[fruit, count, edge] = np.mean([np.mean(extents[fruit, count, SIZES[edge + i]]) for i in (0, 1)])
    return limits, np.array([np.mean(values) for values in lifts], np.float32)


def save(oracle: Oracle, path: Path = WEIGHTS) -> None:
    """Write the network and its calibration in half precision."""
    tensors = {
        **oracle.network.state_dict(),
        "limits": torch.from_numpy(oracle.limits),
        "lift": torch.from_numpy(oracle.lift),
    }
    save_file({key: value.half().contiguous() for key, value in tensors.items()}, path)


def accuracy(oracle: Oracle, pictures: Iterator[tuple[np.ndarray, Label]]) -> dict[str, float]:
    """Share of rightly read pictures (0 to 1) by attribute, all together, alike, and with a fruit found.

    Positions without a word are not compared.
    """
    right: dict[str, list[bool]] = {}
    for picture, row in pictures:
        reading = oracle.read(picture)
        names = [
            "count",
            "size",
            "colour",
            "fruit",
            "background",
            *(["position"] if row["position"] != "anywhere" else []),
        ]
        results = {name: getattr(reading, name) == row[name] for name in names}
        results |= {"all": all(results.values()), "alike": reading.alike, "found": reading.found}
        for name, value in results.items():
            right.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Teach the oracle from saved drawings and check what it reads.")
    parser.add_argument("drawings", type=Path, help="folder written by training.fruitstand.draw")
    parser.add_argument("--check", type=Path, help="other drawings (default: the last fifth of DRAWINGS)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng, started = np.random.default_rng(options.seed), time.monotonic()
    known = drawings(options.drawings)
    drawings_to_check = drawings(options.check) if options.check else known[-len(known) // 5 :]
    known = known if options.check else known[: -len(known) // 5]
    looks = looked(known, rng)
    network = learn(*lessons(known, looks, rng))
    save(Oracle(network, *calibrate(looks)), options.out)
    _report(Oracle.load(options.out), drawings_to_check, rng)
    minutes = (time.monotonic() - started) / 60
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB, {minutes:.1f} minutes")


def _report(oracle: Oracle, drawings_to_check: Drawings, rng: np.random.Generator) -> None:
    def seen(change: Callable[..., np.ndarray]) -> Iterator[tuple[np.ndarray, Label]]:
        return ((change(picture, rng), row) for picture, row in drawings_to_check)

    for name, pictures in (("as drawn", iter(drawings_to_check)), ("softened", seen(softened)), ("worn", seen(worn))):
        scores = accuracy(oracle, pictures)
        print(f"{name} ({len(drawings_to_check)}): " + ", ".join(f"{key} {value:.2%}" for key, value in scores.items()))
    fooled = np.mean([oracle.read(softened(garbage(rng, drawings_to_check), rng)).found for _ in range(500)])
    print(f"garbage called a fruit: {fooled:.1%} of 500")


if __name__ == "__main__":
    main()
