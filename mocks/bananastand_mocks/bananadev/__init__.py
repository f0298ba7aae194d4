"""Banana.dev: at its own address (`BananaDev`), and as LowCodeAPI finds it (`BananaDevUpstream`).

The operations, errors and contracts are `bananastand.banana_api`; here is the runtime that keeps its state in a world.
"""

from .provider import BananaDev
from .upstream import BananaDevUpstream

__all__ = ["BananaDev", "BananaDevUpstream"]
