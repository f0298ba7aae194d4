"""A folder for PYTHONPATH, whose sitecustomize.py fetches hub repositories under other names. Imported by programs."""

__all__: list[str] = []
