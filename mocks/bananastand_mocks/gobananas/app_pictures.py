"""Has a running Potassium app paint, and scales its pictures to the requested size."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import Any

from bananastand.contracts.errors import ProviderError

from .. import forward
from .pictures import Recipe

__all__ = ["AppPictures"]

log = logging.getLogger("bananastand_mocks")

TIMEOUT = 300.0  # seconds
LONGEST = 2000  # characters of a prompt


class AppPictures:
    """Paints with the app at `url`. Where it does not, the answer is the provider's 500 and the reason is logged."""

    keeps = True

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self._url, self._timeout = url.rstrip("/"), timeout

    async def paint(self, recipe: Recipe) -> bytes:
        """The app's picture, scaled to the recipe's size. Raises ProviderError: painting_failed."""
        try:
            answer = await forward.post(f"{self._url}/", json=_inputs(recipe), timeout=self._timeout)
        except forward.AppUnreachable as error:
            raise _failed(f"the app at {self._url} does not answer: {error}") from error
        if answer.status != 200:
            raise _failed(f"the app at {self._url} answered {answer.status}: {answer.content[:300]!r}")
        try:
            return await asyncio.to_thread(_fit, _picture(answer.json), recipe.width, recipe.height)
        except ValueError as error:
            raise _failed(f"the app at {self._url} answered with no picture: {error}") from error


def _inputs(recipe: Recipe) -> dict[str, Any]:
    """The inputs of a Potassium template, with all words in one prompt."""
    prompt = ", ".join(part for part in (recipe.prompt, recipe.character, recipe.style, *recipe.edits) if part)
    inputs: dict[str, Any] = {"prompt": prompt[:LONGEST], "seed": recipe.seed}
    return {**inputs, "negative_prompt": recipe.negative[:LONGEST]} if recipe.negative else inputs


def _picture(answer: Any) -> bytes:
    """The first picture of an answer {"output": base64}. Raises ValueError."""
    output = answer.get("output") if isinstance(answer, dict) else None
    if not isinstance(output, str):
        raise ValueError("the answer has no output")
    try:
        return base64.b64decode(output, validate=True)
    except binascii.Error:
        raise ValueError("output is not base64") from None


def _fit(content: bytes, width: int, height: int) -> bytes:
    """The picture cut to the shape and scaled to the size. Raises ValueError."""
    from PIL import ImageOps

    from ..drawing.pictures.encoding import decode, png

    return png(ImageOps.fit(decode(content).convert("RGB"), (width, height)))


def _failed(reason: str) -> ProviderError:
    log.error("painting failed: %s", reason)
    return ProviderError("painting_failed", reason)
