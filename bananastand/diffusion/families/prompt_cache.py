"""Remembers what the last prompts said, so that the same words are read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from ..active_picture import Conditioning

__all__ = ["PromptCache"]


class PromptCache:
    """The `size` least long ago used; lossless, because a text encoder has no memory. One thread at a time."""

    def __init__(self, size: int = 32) -> None:
        self.size = size
        self._known: OrderedDict[Hashable, Conditioning] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], Conditioning]) -> Conditioning:
        """What is known under `key`, else what `read` makes of it."""
        if key not in self._known:
            self._known[key] = read()
        self._known.move_to_end(key)
        found = self._known[key]
        while len(self._known) > self.size:
            self._known.popitem(last=False)
        return found
