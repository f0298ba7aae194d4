"""Banana.dev: at its own address (`BananaDev`), and as LowCodeAPI finds it (`BananaDevUpstream`)."""

from .provider import BananaDev
from .upstream import BananaDevUpstream

__all__ = ["BananaDev", "BananaDevUpstream"]
