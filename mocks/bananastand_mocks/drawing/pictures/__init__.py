"""Pictures from words: a scene, a time of day, objects in it and a finish.

`recipe` holds plain values. `painter` draws and `encoding` reads and writes files; both import Pillow, so load
them when the first picture is needed.
"""

from __future__ import annotations

from .recipe import NotAPicture, Recipe

__all__ = ["NotAPicture", "Recipe"]
