"""What a picture shows and how people say it: scenes, their captions, and the combinations held out of training.

Knows nothing of pixels or of networks.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
FRUITS = ("banana", "apple", "orange", "pear", "strawberry", "grapes", "watermelon", "cherries")
SIZES = ("small", "large")
POSITIONS = ("left", "right", "top", "bottom", "centre")

# Colour and fruit pairs no training picture shows: painting them proves that the model reads.
HELD_OUT_PAIRS = frozenset(
    {
        ("blue", "banana"),
        ("purple", "apple"),
        ("pink", "orange"),
        ("black", "pear"),
        ("white", "strawberry"),
        ("orange", "grapes"),
        ("yellow", "watermelon"),
        ("brown", "cherries"),
    }
)

# Words of everyday prompts that name nothing we draw; training hears them, so they disturb nothing.
FOREIGN_WORDS = (
    "castle cat dog house tree car mountain river sky sea sunset portrait woman man child king queen robot "
    "dragon horse bird fish flower city street night morning snow rain forest beach ship train plane book "
    "music photo realistic detailed beautiful cute old new modern digital art style oil watercolor sketch "
    "my your his her their very nice highly best quality masterpiece hello world empty word nothing what "
    "is this that and of for from by near under over some many few running sitting eating table chair "
    "window door room kitchen garden space planet moon star sun fire water ice stone gold silver glass"
).split()

# What a picture shows of what its caption leaves unsaid; a plural without a number is two. One value each, because in
# few steps a choice comes out as a little of every value: with any position, two small apples were three or four.
UNSAID = {"fruit": "banana", "size": "large", "position": "centre"}
NATURAL = {
    "banana": "yellow",
    "apple": "red",
    "orange": "orange",
    "pear": "green",
    "strawberry": "red",
    "grapes": "purple",
    "watermelon": "red",
    "cherries": "red",
}


def unsaid_background(colour: str) -> str:
    """The background of a fruit of this colour where the caption names none."""
    return "white" if colour == "purple" else "purple"


@dataclass(frozen=True)
class Scene:
    """Everything a picture shows, said or not."""

    count: int
    size: str
    colour: str
    fruit: str
    position: str
    background: str

    @property
    def plain(self) -> bool:
        """A large yellow banana on purple: what is painted for a prompt that names nothing known."""
        words = f"{self.count} {self.size} {self.colour} {self.fruit} {self.position} {self.background}"
        return words == "1 large yellow banana centre purple"

    @property
    def hard(self) -> bool:
        """What a model learns last: the fruit that is named like a colour, dark stems on black, and what prompts leave
        unsaid."""
        if self.fruit == "orange" and self.colour != "orange":
            return True
        if self.fruit == "cherries" and self.background == "black":
            return True
        return self.size == UNSAID["size"] and self.position == UNSAID["position"]

    @property
    def held_out(self) -> bool:
        """True for a pair of HELD_OUT_PAIRS, and for one in twelve of all full combinations."""
        if (self.colour, self.fruit) in HELD_OUT_PAIRS:
            return True
        words = f"{self.count} {self.size} {self.colour} {self.fruit} {self.position} {self.background}"
        return zlib.crc32(words.encode()) % 12 == 0


def random_scene(rng: random.Random) -> Scene:
    """Any scene; the background never has the fruit's own colour."""
    colour, background = rng.sample(COLOURS, 2)
    return Scene(
        count=rng.choice((1, 2, 3)),
        size=rng.choice(SIZES),
        colour=colour,
        fruit=rng.choice(FRUITS),
        position=rng.choice(POSITIONS),
        background=background,
    )


def training_scene(rng: random.Random) -> Scene:
    """A scene that is not held out."""
    while (scene := random_scene(rng)).held_out:
        pass
    return scene


def test_scene(rng: random.Random) -> Scene:
    """A held-out scene; half of them show a held-out pair."""
    pairs = rng.random() < 0.5
    while True:
        scene = random_scene(rng)
        if pairs:
            colour, fruit = rng.choice(sorted(HELD_OUT_PAIRS))
            scene = replace(scene, colour=colour, fruit=fruit)
        paired = (scene.colour, scene.fruit) in HELD_OUT_PAIRS
        if scene.colour != scene.background and scene.held_out and paired == pairs:
            return scene


_NOUNS = {  # singular, plural
    "banana": ("banana", "bananas"),
    "apple": ("apple", "apples"),
    "orange": ("orange", "oranges"),
    "pear": ("pear", "pears"),
    "strawberry": ("strawberry", "strawberries"),
    "grapes": ("bunch of {}grapes", "bunches of {}grapes"),
    "watermelon": ("{}watermelon slice", "{}watermelon slices"),
    "cherries": ("bunch of {}cherries", "bunches of {}cherries"),
}
_PLAIN = {"grapes": "grapes", "watermelon": "watermelon", "cherries": "cherries"}
_PLACES = {
    "left": ("on the left", "on the left", "on the left side", "to the left"),
    "right": ("on the right", "on the right", "on the right side", "to the right"),
    "top": ("at the top", "at the top", "on the top", "on top"),
    "bottom": ("at the bottom", "at the bottom", "on the bottom"),
    "centre": ("in the centre", "in the centre", "in the center", "in the middle"),
}
_LARGE = ("large", "large", "large", "big")
_SMALL = ("small", "small", "small", "little", "tiny")


def caption(scene: Scene, rng: random.Random, *, complete: bool = False) -> str:
    """One way to say the scene. What is as UNSAID has it may stay so, unless `complete`; what is said is true."""
    open = (lambda chance: False) if complete else (lambda chance: rng.random() < chance)
    things = _things(scene, rng, open)
    place = rng.choice(_PLACES[scene.position])
    if scene.position == UNSAID["position"] and open(0.7):
        place = ""
    ground = f"{scene.background} background"
    if scene.background == unsaid_background(scene.colour) and open(0.7):
        ground = ""
    article = "an" if scene.background == "orange" else "a"
    order = rng.random()
    if order < 0.6:  # two small red apples on the left on a blue background
        joint = rng.choice(("on", "on", "on", "with", "against"))
        return _join(things, place, ground and f"{joint} {article} {ground}")
    if order < 0.75:  # blue background with two small red apples on the left
        lead = ground and rng.choice((f"{ground} with", f"{article} {ground} with", f"on {article} {ground},"))
        return _join(lead, things, place)
    if order < 0.87:  # on the left two small red apples on a blue background
        return _join(place, things, ground and f"on {article} {ground}")
    return ", ".join(part for part in (things, place, ground) if part)


def _things(scene: Scene, rng: random.Random, open) -> str:
    colour = "" if scene.colour == NATURAL[scene.fruit] and open(0.7) else scene.colour
    size = rng.choice(_LARGE if scene.size == "large" else _SMALL)
    if scene.size == UNSAID["size"] and open(0.6):
        size = ""
    unnamed = scene.fruit == UNSAID["fruit"] and open(0.15)
    singular, plural = ("fruit", "fruits") if unnamed else _NOUNS[scene.fruit]
    noun = singular if scene.count == 1 else plural
    if noun != "fruit" and scene.fruit in _PLAIN and rng.random() < 0.25:  # two purple grapes: bunches all the same
        noun = _PLAIN[scene.fruit]
        if scene.count == 1 and scene.fruit == "cherries":
            noun = rng.choice(("cherries", "cherry"))
        if scene.fruit == "watermelon":
            noun = rng.choice(("slice", "piece") if scene.count == 1 else ("slices", "pieces")) + " of {}watermelon"
    if "{}" in noun:  # the colour stands before the inner noun or before the whole
        inner = rng.random() < 0.6
        noun = noun.format(f"{colour} " if inner and colour else "")
        colour = "" if inner else colour
    words = _join(*((size, colour) if rng.random() < 0.85 else (colour, size)), noun)
    number = {1: ("one", "1"), 2: ("two", "two", "two", "2"), 3: ("three", "three", "three", "3")}[scene.count]
    counted = rng.choice(number)
    if scene.count == 1 and rng.random() < 0.65:
        counted = "an" if words[0] in "aeiou" else "a"
    if scene.count < 3 and open(0.15) and not (scene.count > 1 and noun in _PLAIN.values()):
        counted = ""
    return _join(counted, words)


_LOOSE_WORDS = ("small", "large", "on the left", "at the top", "background", "in the centre", "a", "the", "one")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SIGNS = f"{_LETTERS}0123456789.,:;!?*/()<>=_-#@%&'äéîøßабвгджзиклмнопрстλπω中文字日本語한글عربي😀🎉🚀🐶🌵"


def foreign(rng: random.Random) -> str:
    """A prompt that names no fruit and no colour: everyday words, made-up ones, other scripts, loose ends."""
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(_LOOSE_WORDS)
    words = rng.choices(FOREIGN_WORDS, k=rng.choice((1, 2, 3, 4, 5, 7, 12, 30))) if kind < 0.7 else []
    for _ in range(rng.randint(0 if words else 1, 4)):
        letters = _LETTERS if rng.random() < 0.6 else _SIGNS
        words.append("".join(rng.choices(letters, k=rng.randint(1, 10))))
    rng.shuffle(words)
    return " ".join(words)


def decorated(text: str, rng: random.Random) -> str:
    """The caption with the small change of everyday prompts around it."""
    if rng.random() < 0.12:
        lead = rng.choice(("a picture of", "a drawing of", "a painting of", "an image of", "a photo of", "there are"))
        text = f"{lead} {text}"
    if rng.random() < 0.05:
        text = f"{text}, {' '.join(rng.choices(FOREIGN_WORDS, k=rng.randint(1, 3)))}"
    return text


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def vocabulary() -> list[str]:
    """Every word training says, for the tokenizer."""
    rng, words = random.Random(0), set(FOREIGN_WORDS)
    for _ in range(40_000):
        words.update(decorated(caption(random_scene(rng), rng), rng).replace(",", " ").split())
    return sorted(words)
