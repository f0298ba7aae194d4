"""Hosts any Potassium app on ASGI, with the HTTP protocol of Potassium's own server."""

from .host import Host
from .options import Options
from .server import serve

__all__ = ["Host", "Options", "serve"]
