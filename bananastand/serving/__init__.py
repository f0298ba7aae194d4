"""Hosts any Potassium app on ASGI with Potassium's own wire protocol. Knows Potassium; knows nothing of diffusion."""

from .host import Host
from .options import Options
from .server import serve

__all__ = ["Host", "Options", "serve"]
