"""From a recipe to a file, and from a picture and a wish to another. Puts together what the other modules draw."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageOps

from .canvas import Canvas
from .encoding import decode, png, reduced
from .finishes import FINISHES
from .palettes import Palette, palette
from .prompt import PicturePlan, plan_edit, plan_picture
from .recipe import Recipe
from .scenes import HORIZON, SCENES
from .things import ABOVE, THINGS, figure

__all__ = ["draw", "redraw"]

SHORT_SIDE = 1024  # pixels of an edited picture
MOST_PIXELS = 4_000_000  # of an edited picture
SLIMMEST = 4.0  # times as long as wide; nothing is drawn over a picture that is slimmer


def draw(recipe: Recipe) -> bytes:
    """The picture of a recipe, as PNG of its size."""
    plan = plan_picture(recipe)
    canvas = Canvas(recipe.width, recipe.height)
    colours = palette(plan.light, plan.turn, plan.tint, plan.sky)
    sky = ((0.0, colours.top), (0.55, colours.middle), (1.0, colours.horizon))
    canvas.image.paste(canvas.fade(sky, 0.0, HORIZON.get(plan.scene, 0.7)))
    _place(canvas, colours, plan, above=True)
    SCENES[plan.scene](canvas, colours, Random(plan.lot))
    _place(canvas, colours, plan, above=False)
    return png(_finish(canvas.finished(), plan))


def redraw(content: bytes, prompt: str) -> bytes:
    """A picture from outside in the light, the colours and the finish a prompt asks for, its things drawn over it."""
    original = reduced(decode(content, SHORT_SIDE), SHORT_SIDE)
    share = min(1.0, SHORT_SIDE / min(original.size), (MOST_PIXELS / (original.width * original.height)) ** 0.5)
    if share < 1:
        original = original.resize([max(1, round(side * share)) for side in original.size])
    plan = plan_edit(prompt)
    colours = palette(plan.light, 0.0, plan.tint, None)
    toned = ImageOps.colorize(
        ImageOps.grayscale(original), colours.near, colours.horizon, mid=plan.tint or colours.middle
    )
    canvas = Canvas(*original.size)
    canvas.image.paste(Image.blend(original, toned, 0.55).resize(canvas.image.size))
    if 1 / SLIMMEST <= canvas.wide <= SLIMMEST:
        _place(canvas, colours, plan, above=True)
        _place(canvas, colours, plan, above=False)
    return png(_finish(canvas.finished(), plan))


def _place(canvas: Canvas, colours: Palette, plan: PicturePlan, *, above: bool) -> None:
    """Draw the plan's things that hang above the land, or those that stand on it."""
    things = dict(plan.things)
    if above and colours.dark and plan.scene not in ("tiles", "waves", "table"):
        things.setdefault("stars", None)
    for name, stroke in THINGS.items():
        if name in things and (name in ABOVE) == above:
            stroke(canvas, colours, Random(f"{plan.lot} {name}"), things[name])
    if "figure" in things and not above:
        figure(
            canvas, colours, Random(f"{plan.lot} figure"), plan.figure or [colours.near, colours.accent, colours.far]
        )


def _finish(picture: Image.Image, plan: PicturePlan) -> Image.Image:
    finish = FINISHES.get(plan.finish)
    return picture if finish is None else finish(picture, plan.lot % 2**32)
