"""Model files: the TOML files of `models/`, each of which says what to load and within which limits to serve it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from ._model_file_errors import SIDES, ModelFileError, describe, place, problem, unknown_key

__all__ = [
    "DTypes",
    "EngineOptions",
    "Guidance",
    "Images",
    "ModelFile",
    "ModelFileError",
    "Size",
    "Steps",
    "read_model_file",
]

DType = Literal["float32", "float16", "bfloat16"]


def _as_sides(value: object) -> object:
    """Turn TOML's [width, height] into a pair."""
    sides = tuple(cast("list[Any]", value)) if isinstance(value, list | tuple) else ()
    if [type(side) for side in sides] != [int, int]:
        raise problem(f"must be {SIDES}, not {value!r}")
    return sides


Sides = Annotated[tuple[int, int], BeforeValidator(_as_sides)]
"""Width and height in pixels."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Steps(_Section):
    """Denoising steps of one picture."""

    default: int = Field(ge=1)
    max: int = Field(ge=1)

    @model_validator(mode="after")
    def _check_default(self) -> Self:
        if self.max < self.default:
            raise problem(f"is {self.max}, less than the default, {self.default}", "max")
        return self


class Size(_Section):
    """Sizes that are served: width and height in pixels, each a multiple of `multiple_of`."""

    default: Sides
    multiple_of: int = Field(ge=1)
    max: Sides
    min: Sides = Field(default_factory=lambda values: (values["multiple_of"], values["multiple_of"]))

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        for key, sides in (("default", self.default), ("max", self.max), ("min", self.min)):
            if not all(side > 0 and side % self.multiple_of == 0 for side in sides):
                text = f"must be positive multiples of {self.multiple_of} (multiple_of), not {list(sides)}"
                raise problem(text, key)
        for low, side, high in zip(self.min, self.default, self.max, strict=True):
            if side > high:
                raise problem(f"is {list(self.max)}, less than the default, {list(self.default)}", "max")
            if low > side:
                raise problem(f"is {list(self.min)}, more than the default, {list(self.default)}", "min")
        return self


class Guidance(_Section):
    """Guidance scale; 0 and 1 both mean no guidance. FLUX.1-dev receives the scale as an input."""

    default: float
    max: float

    @model_validator(mode="after")
    def _check_default(self) -> Self:
        if self.default < 0:
            raise problem(f"must be 0 or more, not {self.default:g}", "default")
        if self.max < self.default:
            raise problem(f"is {self.max:g}, less than the default, {self.default:g}", "max")
        return self


class Images(_Section):
    """Pictures of one call."""

    max: int = Field(ge=1)


class DTypes(_Section):
    """Precision on each kind of device."""

    cpu: DType | None = None
    cuda: DType | None = None
    mps: DType | None = None


class EngineOptions(_Section):
    """Options of the engine.

    Attributes:
        exact_batch_size: Requests of one forward in exact mode, `exact_rows` in the file; smaller batches are padded.
    """

    exact_batch_size: int = Field(default=1, ge=1, alias="exact_rows")


class ModelFile(_Section):
    """One servable model. Exactly one of `path` (a local folder) and `repo` (with `revision`) is set.

    Attributes:
        source: The model file.
        memory_gb: GPU memory for one picture of the default size.
        files: SHA-256 digests by path in the model's folder.
    """

    source: Path
    name: str
    path: Path | None = None
    repo: str | None = None
    revision: str | None = None
    variant: str | None = None
    pipeline: str
    licence: str
    memory_gb: float = Field(gt=0)
    gated: bool = False
    note: str = ""
    dtype: DTypes = DTypes()
    steps: Steps
    size: Size
    guidance: Guidance
    images: Images
    engine: EngineOptions = EngineOptions()
    files: Mapping[str, str] = Field(default_factory=dict[str, str])

    def __hash__(self) -> int:
        return hash((self.name, self.source))

    @field_validator("licence", "path", "repo", "revision", "variant", mode="before")
    @classmethod
    def _refuse_empty(cls, value: object) -> object:
        if value == "":
            raise problem("must not be empty; leave the key out instead")
        return value

    @field_validator("path", mode="before")
    @classmethod
    def _resolve_path(cls, value: object, info: Any) -> object:
        if not isinstance(value, str):
            return value
        if not _is_inside(value):
            raise problem(f"must be a folder inside the card's own, not {value!r}")
        return (info.data["source"].parent / value).resolve()

    @field_validator("files", mode="before")
    @classmethod
    def _check_files(cls, value: object) -> object:
        for file, digest in cast("dict[str, Any]", value).items() if isinstance(value, dict) else ():
            if not _is_inside(file):
                raise problem("must be a path inside the model's folder", file)
            if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
                raise problem(f"must be 'sha256:' and 64 hexadecimal digits, not {digest!r}", file)
        return value

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.name != self.source.stem:
            raise problem(f"is {self.name!r}, but the file is {self.source.name}; they must agree", "name")
        if not self.pipeline.isidentifier():
            raise problem(f"must be a diffusers pipeline class, not {self.pipeline!r}", "pipeline")
        if (self.path is None) == (self.repo is None):
            raise problem("exactly one of path and repo must be set", "path")
        if self.path is not None and self.revision is not None:
            raise problem("belongs to a repo; a local folder has none", "revision")
        if self.repo is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", self.repo):
            raise problem(f"must be owner/name, not {self.repo!r}", "repo")
        if self.repo is not None and self.revision is None:  # without one, equal seeds may give other bytes one day
            raise problem("missing; it must be a string", "revision")
        return self

    def dtype_for(self, device_type: str) -> str:
        """Return the precision on "cpu", "cuda" or "mps". MPS without an entry takes CUDA's; the default is float32."""
        fallback = self.dtype.cuda if device_type == "mps" else None
        return getattr(self.dtype, device_type, None) or fallback or "float32"

    def local_folder(self) -> Path | None:
        """Return the folder to load from, in diffusers' layout, or None while a part of the model is missing."""
        folder = self.path or self._cached_snapshot()
        return folder if folder and _is_complete(folder, self.files) else None

    @property
    def fetched(self) -> bool:
        """Whether the model can be loaded without a network."""
        return self.local_folder() is not None

    def _cached_snapshot(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache  # its import takes a quarter of a second

        index = try_to_load_from_cache(self.repo or "", "model_index.json", revision=self.revision)
        return Path(index).parent if isinstance(index, str) else None


def read_model_file(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelFileError: A key is unknown or missing, or a value has the wrong type or is out of range. The text names
            the file, the line and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{place(path)}: cannot be read: {error}") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Only newer Pythons give the error a lineno; all of them write it into the text.
        line = re.search(r"at line (\d+)", str(error))
        raise ModelFileError(f"{place(path, int(line[1]) if line else None)}: not valid TOML: {error}") from error
    if "source" in values:  # the one field that no file may set
        raise ModelFileError(unknown_key(ModelFile, path, text, ("source",)))
    try:
        return ModelFile.model_validate({"source": path, **values})
    except ValidationError as error:
        raise ModelFileError(describe(error, ModelFile, path, text)) from None


def _is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder it starts from."""
    parts = PurePosixPath(path).parts
    return bool(parts) and ".." not in parts and not path.startswith("/") and "\\" not in path


def _is_complete(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether the index, a folder for each component it names, and every listed file exist."""
    try:
        index: dict[str, Any] = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # [null, null] is diffusers' way to say that the pipeline goes without this component.
    components = [name for name, value in index.items() if isinstance(value, list) and value != [None, None]]
    return all((folder / name).is_dir() for name in components) and all((folder / file).is_file() for file in files)
