"""Whose requests the platform lets in."""

from __future__ import annotations

from bananastand.web.guard import LOOPBACK, Guard

__all__ = ["LOOPBACK", "Guard"]
