"""The control plane: worlds, clock, faults, journal, limits and coverage as a JSON API under /_stand/."""

from __future__ import annotations

from .app import control_plane

__all__ = ["control_plane"]
