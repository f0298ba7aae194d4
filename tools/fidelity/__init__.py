"""Writes docs/fidelity.md, and records the evidence behind it."""
