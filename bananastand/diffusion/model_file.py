"""Model cards: the TOML files of `models/`, read strictly. They say what to load and within which limits.

Knows nothing of how a model is loaded or run; imports neither torch nor diffusers.
"""

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ._model_file_errors import CardError, Table, read_table

__all__ = [
    "Card",
    "CardError",
    "EngineOptions",
    "Guidance",
    "Images",
    "Size",
    "Steps",
    "find_card",
    "list_cards",
    "models_folder",
    "read_card",
]

DTYPES = ("float32", "float16", "bfloat16")
DEVICES = ("cpu", "cuda", "mps")
KEYS = (
    *("name", "path", "repo", "revision", "variant", "pipeline", "licence", "memory_gb", "gated", "note"),
    *("dtype", "steps", "size", "guidance", "images", "engine", "files"),
)


@dataclass(frozen=True)
class Steps:
    """Denoising steps of one picture."""

    default: int
    max: int


@dataclass(frozen=True)
class Size:
    """Width and height in pixels, each a multiple of `multiple_of`."""

    default: tuple[int, int]
    multiple_of: int
    max: tuple[int, int]
    min: tuple[int, int]


@dataclass(frozen=True)
class Guidance:
    """Guidance scale; 0 and 1 both mean none (for FLUX.1-dev: the scale the model itself is told)."""

    default: float
    max: float


@dataclass(frozen=True)
class Images:
    """Pictures of one call."""

    max: int


@dataclass(frozen=True)
class EngineOptions:
    """`exact_rows`: requests per forward in exact mode; fewer are padded up to it."""

    exact_rows: int = 1


@dataclass(frozen=True)
class Card:
    """One servable model. Exactly one of `path` (a local folder) and `repo` (with `revision`) is set."""

    name: str
    source: Path
    pipeline: str
    licence: str
    memory_gb: float
    steps: Steps
    size: Size
    guidance: Guidance
    images: Images
    engine: EngineOptions = EngineOptions()
    path: Path | None = None
    repo: str | None = None
    revision: str | None = None
    variant: str | None = None
    gated: bool = False
    note: str = ""
    dtype: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    files: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def dtype_for(self, device_type: str) -> str:
        """Precision on "cpu", "cuda" or "mps". MPS without an entry takes CUDA's; else float32."""
        fallback = self.dtype.get("cuda") if device_type == "mps" else None
        return self.dtype.get(device_type) or fallback or "float32"

    def local_folder(self) -> Path | None:
        """The folder to load from, in diffusers' layout, or None while the model is not (wholly) here."""
        folder = self.path or self._cached_snapshot()
        return folder if folder and _is_whole(folder, self.files) else None

    @property
    def fetched(self) -> bool:
        """Whether the model can be loaded without a network."""
        return self.local_folder() is not None

    def _cached_snapshot(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache  # a quarter of a second: only who asks pays

        index = try_to_load_from_cache(self.repo or "", "model_index.json", revision=self.revision)
        return Path(index).parent if isinstance(index, str) else None


def models_folder() -> Path:
    """Where the cards lie: $BANANASTAND_MODELS, else inside the wheel, else beside a checkout's package."""
    if named := os.environ.get("BANANASTAND_MODELS"):
        return Path(named)
    package = Path(__file__).resolve().parent.parent
    # The wheel's folder first: what lies beside an installed package (site-packages/models) is a stranger's.
    return package / "_models" if (package / "_models").is_dir() else package.parent / "models"


def list_cards() -> list[Card]:
    """Every card of the models folder, by name."""
    return [read_card(path) for path in _card_files().values()]


def find_card(name_or_path: str) -> Card:
    """The card of that name ("fruitstand"), or the one in that file ("my/model.toml")."""
    if name_or_path.endswith(".toml"):
        return read_card(Path(name_or_path))
    known = _card_files()
    if name_or_path in known:
        return read_card(known[name_or_path])
    close = difflib.get_close_matches(name_or_path, known, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise CardError(f"unknown model {name_or_path!r}: {hint}known models are {', '.join(known)}")


def read_card(path: Path) -> Card:
    """The card in that file. Raises CardError on anything unknown, missing, mistyped or out of range."""
    card = read_table(path, KEYS)
    name, pipeline, memory_gb = card.get("name", str), card.get("pipeline", str), card.get("memory_gb", float)
    card.check(name == path.stem, "name", f"is {name!r}, but the file is {path.name}; they must agree")
    card.check(pipeline.isidentifier(), "pipeline", f"must be a diffusers pipeline class, not {pipeline!r}")
    card.check(memory_gb > 0, "memory_gb", f"must be above 0, not {memory_gb:g}")
    return Card(
        name=name,
        source=path,
        pipeline=pipeline,
        licence=card.optional("licence") or card.get("licence", str),
        memory_gb=memory_gb,
        gated=card.get("gated", bool, False),
        note=card.get("note", str, ""),
        path=_path(card),
        repo=_repo(card),
        revision=card.optional("revision"),
        variant=card.optional("variant"),
        dtype=_dtype(card.table("dtype", DEVICES, optional=True)),
        steps=_steps(card.table("steps", ("default", "max"))),
        size=_size(card.table("size", ("default", "multiple_of", "max", "min"))),
        guidance=_guidance(card.table("guidance", ("default", "max"))),
        images=Images(card.table("images", ("max",)).positive("max")),
        engine=EngineOptions(card.table("engine", ("exact_rows",), optional=True).positive("exact_rows", 1)),
        files=_files(card.table("files", optional=True)),
    )


def _path(card: Table) -> Path | None:
    path, repo = card.optional("path"), card.optional("repo")
    if path is None or repo is not None:
        card.check((path is None) != (repo is None), "path", "exactly one of path and repo must be set")
        return None
    card.check(_is_inside(path), "path", f"must be a folder inside the card's own, not {path!r}")
    card.check("revision" not in card.values, "revision", "belongs to a repo; a local folder has none")
    return (card.path.parent / path).resolve()


def _repo(card: Table) -> str | None:
    repo = card.optional("repo")
    if repo is not None:
        card.check(bool(re.fullmatch(r"[\w.-]+/[\w.-]+", repo)), "repo", f"must be owner/name, not {repo!r}")
        card.get("revision", str)  # weights that change under a fixed name are nobody's "same seed, same bytes"
    return repo


def _dtype(table: Table) -> dict[str, str]:
    for device, dtype in table.values.items():
        table.check(dtype in DTYPES, device, f"must be one of {', '.join(DTYPES)}, not {dtype!r}")
    return table.values


def _steps(table: Table) -> Steps:
    steps = Steps(table.positive("default"), table.positive("max"))
    table.check(steps.max >= steps.default, "max", f"is {steps.max}, less than the default, {steps.default}")
    return steps


def _size(table: Table) -> Size:
    multiple_of = table.positive("multiple_of")
    default, largest = table.pair("default"), table.pair("max")
    smallest = table.pair("min", (multiple_of, multiple_of))
    for key, sides in (("default", default), ("max", largest), ("min", smallest)):
        fits = all(side > 0 and side % multiple_of == 0 for side in sides)
        table.check(fits, key, f"must be positive multiples of {multiple_of} (multiple_of), not {list(sides)}")
    for low, side, high in zip(smallest, default, largest, strict=True):
        table.check(side <= high, "max", f"is {list(largest)}, less than the default, {list(default)}")
        table.check(low <= side, "min", f"is {list(smallest)}, more than the default, {list(default)}")
    return Size(default, multiple_of, largest, smallest)


def _guidance(table: Table) -> Guidance:
    scale = Guidance(table.get("default", float), table.get("max", float))
    table.check(scale.default >= 0, "default", f"must be 0 or more, not {scale.default:g}")
    table.check(scale.max >= scale.default, "max", f"is {scale.max:g}, less than the default, {scale.default:g}")
    return scale


def _files(table: Table) -> dict[str, str]:
    for file, digest in table.values.items():
        table.check(_is_inside(file), file, "must be a path inside the model's folder")
        good = isinstance(digest, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
        table.check(bool(good), file, f"must be 'sha256:' and 64 hexadecimal digits, not {digest!r}")
    return table.values


def _is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder it starts from."""
    parts = PurePosixPath(path).parts
    return bool(parts) and ".." not in parts and not path.startswith("/") and "\\" not in path


def _is_whole(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether the index, a folder for each component it names, and every listed file are there."""
    try:
        index: dict[str, Any] = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # [null, null] is diffusers' way to say that the pipeline goes without this component.
    components = [name for name, kind in index.items() if isinstance(kind, list) and kind != [None, None]]
    return all((folder / name).is_dir() for name in components) and all((folder / file).is_file() for file in files)


def _card_files() -> dict[str, Path]:
    folder = models_folder()
    if not folder.is_dir():
        raise CardError(f"there is no models folder {folder}; BANANASTAND_MODELS names one")
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
