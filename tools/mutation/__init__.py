"""Faults put into mocks and clients on purpose, and whether a test sees them. `mutants.py` is its front."""
