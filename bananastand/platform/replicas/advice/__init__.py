"""Explains why an app or a RUN line failed, and what to do about it."""

from .explain import advice, explain

__all__ = ["advice", "explain"]
