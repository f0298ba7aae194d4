"""Remembers the last encoded prompts, so that equal prompts are encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from ..active_picture import Conditioning

__all__ = ["PromptCache"]


class PromptCache:
    """Keeps the `size` last used prompts. Lossless, because a text encoder has no state. For one thread at a time."""

    def __init__(self, size: int = 32) -> None:
        self.size = size
        self._prompts: OrderedDict[Hashable, Conditioning] = OrderedDict()

    def get(self, key: Hashable, encode: Callable[[], Conditioning]) -> Conditioning:
        """Return the prompt under `key`, encoding it if it is not there."""
        if key not in self._prompts:
            self._prompts[key] = encode()
        self._prompts.move_to_end(key)
        found = self._prompts[key]
        while len(self._prompts) > self.size:
            self._prompts.popitem(last=False)
        return found
