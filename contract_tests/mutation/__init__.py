"""Faults put into mocks and clients on purpose, and the run that sees whether a test notices. `mutants.py` is its front."""
