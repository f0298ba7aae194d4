"""The admin's pages at /adm: keys, history, deliveries, pictures. Plain HTML from the server, no script."""

from __future__ import annotations

from .site import AdminSite

__all__ = ["AdminSite"]
