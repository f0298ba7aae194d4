"""Bananastand: a self-hosted stand-in for Banana.dev. Importing this module imports nothing else."""

__version__ = "0.1.0"

__all__ = ["__version__"]
