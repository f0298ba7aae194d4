"""PaperBanana: figures for papers, drawn by tasks, with keys, quotas, history and webhooks."""

from __future__ import annotations

from .provider import ADMIN, KEY, PaperBanana

__all__ = ["ADMIN", "KEY", "PaperBanana"]
