"""Reads a recipe's words: which scene, what light, which things and colours, which finish.

What no word says is drawn by lot, from the words themselves, so that two prompts differ and one repeats.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from .palettes import COLOURS, Colour
from .recipe import Recipe

__all__ = ["PicturePlan", "plan_edit", "plan_picture"]


def _table(text: str) -> Mapping[str, str]:
    """`name: word word` lines as word -> name."""
    rows = (line.partition(":") for line in text.strip().splitlines())
    return {word: name.strip() for name, _, words in rows for word in words.split()}


SCENES = _table("""
    mountains: mountain mountains alps alpine peak peaks summit volcano cliff cliffs glacier
    hills: hill hills meadow meadows field fields valley farm countryside garden village vineyard
    sea: sea ocean beach lake river island islands harbor harbour wave waves coast shore bay water
    desert: desert dune dunes sahara canyon sand oasis
    city: city cities skyline street town skyscraper skyscrapers building buildings downtown tokyo
    space: space galaxy planet planets nebula universe cosmos asteroid orbit mars
    forest: forest forests wood woods jungle grove
""")
LIGHTS = _table("""
    sunset: sunset dusk evening twilight
    dawn: sunrise dawn morning
    night: night midnight moonlit moonlight starry nocturnal
    day: noon day sunny summer daylight bright
    storm: storm stormy rain rainy thunder gloomy moody
    autumn: autumn fall october
    winter: winter snow snowy ice icy frozen frost
    spring: spring blossom blossoms pastel
    neon: neon cyberpunk vaporwave synthwave
    mist: mist misty fog foggy haze
""")
THINGS = _table("""
    sun: sun sunset sunrise sunny
    moon: moon moonlit moonlight
    stars: star stars starry
    clouds: cloud clouds cloudy
    birds: bird birds seagull seagulls
    boat: boat boats ship ships sailboat sail yacht
    balloons: balloon balloons
    trees: tree trees pine pines
    house: house houses cabin cottage hut barn home
    tower: lighthouse castle tower
    rain: rain rainy storm
    snow: snow snowy snowfall
    rainbow: rainbow
    flowers: flower flowers tulip tulips poppies daisy daisies rose roses
    cactus: cactus cacti
    bananas: banana bananas plantain
    fruit: fruit fruits apple apples bowl lemon lemons pear pears
    figure: person man woman boy girl child hero knight wizard astronaut robot explorer figure traveler
""")
FINISHES = _table("""
    watercolor: watercolor watercolour aquarelle gouache wash
    pixel: pixel pixels pixelart 8-bit 16-bit
    sketch: sketch pencil drawing ink lineart line-art charcoal
    mono: monochrome black-and-white noir grayscale greyscale
    vintage: vintage retro sepia film polaroid
    oil: oil painting impasto impressionist acrylic painterly
""")
ANYWHERE = ("mountains", "hills", "sea", "desert", "city", "space", "forest", "tiles", "waves")
ANYTIME = ("sunset", "dawn", "day", "autumn", "spring", "night", "mist")
WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*", re.UNICODE)


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """What is to be drawn. `things` have the colour that the words give them, if they give one."""

    scene: str
    light: str
    finish: str
    lot: int
    things: dict[str, Colour | None]
    tint: Colour | None = None
    sky: Colour | None = None
    figure: list[Colour] = field(default_factory=list[Colour])
    turn: float = 0.0


def plan_picture(recipe: Recipe) -> PicturePlan:
    """The plan of a recipe. Edits change light, things and colours, and leave the scene as it is."""
    prompt = _words(recipe.prompt)
    all_words = [*prompt, *(word for edit in recipe.edits for word in _words(edit))]
    refused = set(_words(recipe.negative))
    words = [word for word in all_words if word not in refused and word.rstrip("s") not in refused]
    style, person = _words(recipe.style), _words(recipe.character)
    lot = _number(recipe.prompt.strip().casefold(), str(recipe.seed))
    chance = Random(lot)
    things = _all(words, THINGS) | _coloured(words)
    tables = {"bananas", "fruit"} & things.keys()
    scene = _first(prompt, SCENES) or ("table" if tables else chance.choice(ANYWHERE))
    light = _last([*style, *words], LIGHTS) or chance.choice(ANYTIME)
    sky = things.pop("sky", None)
    named = {word for pair in zip(words, words[1:], strict=False) if _pair(pair) for word in pair}
    loose = [COLOURS[word] for word in words if word in COLOURS and word not in named]
    if person:
        things["figure"] = None
    return PicturePlan(
        scene=scene,
        light=light,
        finish=_last(all_words[len(prompt) :], FINISHES) or _first([*prompt, *style], FINISHES) or "plain",
        lot=lot,
        things=things,
        tint=loose[-1] if loose else None,
        sky=sky,
        figure=[COLOURS[word] for word in person if word in COLOURS] or _lot_colours(recipe.character),
        turn=_turn(recipe, words),
    )


def plan_edit(prompt: str) -> PicturePlan:
    """What an edit of a picture from outside adds to it: light, things, colours, finish."""
    words = _words(prompt)
    loose = [COLOURS[word] for word in words if word in COLOURS]
    lot = _number(prompt.strip().casefold(), "")
    light = _last(words, LIGHTS) or Random(lot).choice(ANYTIME)
    things = _all(words, THINGS) | _coloured(words)
    things.pop("sky", None)
    return PicturePlan("", light, _last(words, FINISHES) or "plain", lot, things, tint=loose[-1] if loose else None)


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _first(words: Iterable[str], table: Mapping[str, str]) -> str | None:
    return next((table[word] for word in words if word in table), None)


def _last(words: Sequence[str], table: Mapping[str, str]) -> str | None:
    return _first(reversed(words), table)


def _all(words: Iterable[str], table: Mapping[str, str]) -> dict[str, Colour | None]:
    """What the words name, in their order, without a colour."""
    return dict.fromkeys(table[word] for word in words if word in table)


def _pair(pair: tuple[str, str]) -> tuple[str, Colour] | None:
    """A thing and its colour, of `purple clouds` as of `sky green`."""
    for colour, noun in (pair, pair[::-1]):
        name = "sky" if noun in ("sky", "skies", "heaven") else THINGS.get(noun)
        if colour in COLOURS and name:
            return name, COLOURS[colour]
    return None


def _coloured(words: Sequence[str]) -> dict[str, Colour | None]:
    """The things that two neighbouring words give a colour."""
    found: dict[str, Colour | None] = {}
    for pair in zip(words, words[1:], strict=False):
        if (coloured := _pair(pair)) is not None:
            found[coloured[0]] = coloured[1]
    return found


def _turn(recipe: Recipe, words: Sequence[str]) -> float:
    """By how much of a circle all hues are turned: a little, by what no table knows; more by an edit of that kind."""
    turn = (_number(recipe.prompt, recipe.style, recipe.negative, recipe.character) % 1000 / 1000 - 0.5) * 0.06
    known = SCENES.keys() | LIGHTS.keys() | THINGS.keys() | COLOURS.keys() | FINISHES.keys()
    for edit in recipe.edits:
        if not known & set(_words(edit)):
            turn += 0.12 + _number(edit) % 1000 / 1000 * 0.6
    return turn


def _lot_colours(text: str) -> list[Colour]:
    chance = Random(_number(text))
    return chance.sample(list(COLOURS.values()), 3)


def _number(*texts: str) -> int:
    return int.from_bytes(hashlib.sha256("\n".join(texts).encode("utf-8", "replace")).digest()[:8])
