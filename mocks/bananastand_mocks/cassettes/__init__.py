"""Records what a real service answers into a cassette, a YAML file without secrets, and answers from it.

`recorder` passes requests on and writes, `player` answers, `scrubber` takes secrets out. `bodies` and `cassette` are
the format of the file, `requests` compares, `exchanges` reads the options. Knows no provider.
"""

from __future__ import annotations

from .cassette import Cassette, CassetteError
from .player import Player
from .recorder import Recorder

__all__ = ["Cassette", "CassetteError", "Player", "Recorder"]
