"""Explains why an app or a RUN line failed, and what to do about it."""
