"""Finds model files by name in the models folder."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from .model_file import ModelFile, ModelFileError, read_model_file

__all__ = ["find_model", "list_models", "models_folder"]


def models_folder() -> Path:
    """Return the folder of the model files: $BANANASTAND_MODELS, else the wheel's, else the checkout's."""
    if folder := os.environ.get("BANANASTAND_MODELS"):
        return Path(folder)
    package = Path(__file__).resolve().parent.parent
    # The wheel's folder first: site-packages/models, beside an installed package, belongs to somebody else.
    return package / "_models" if (package / "_models").is_dir() else package.parent / "models"


def list_models() -> list[ModelFile]:
    """Return every model of the models folder, by name. Raises ModelFileError."""
    return [read_model_file(path) for path in _paths_by_name().values()]


def find_model(name_or_path: str) -> ModelFile:
    """Return a model by its name ("fruitstand") or by its file ("my/model.toml").

    Raises:
        ModelFileError: There is none of that name, or its file cannot be used.
    """
    if name_or_path.endswith(".toml"):
        return read_model_file(Path(name_or_path))
    paths = _paths_by_name()
    if name_or_path in paths:
        return read_model_file(paths[name_or_path])
    close = difflib.get_close_matches(name_or_path, paths, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise ModelFileError(f"unknown model {name_or_path!r}: {hint}known models are {', '.join(paths)}")


def _paths_by_name() -> dict[str, Path]:
    folder = models_folder()
    if not folder.is_dir():
        raise ModelFileError(f"there is no models folder {folder}; BANANASTAND_MODELS names one")
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
