"""PaperBanana: figures for papers, drawn by tasks, with keys, quotas, history and webhooks."""

from __future__ import annotations

from .provider import ADMIN, KEY, PaperBananaProvider

__all__ = ["ADMIN", "KEY", "PaperBananaProvider"]
