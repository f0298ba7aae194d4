"""Caches what a RUN line changed in its stage's files, so that the next build with the same line reuses it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
import uuid
from pathlib import Path

__all__ = ["LayerCache", "Snapshot", "snapshot"]

LINKED = 16 * 2**20  # bytes from which a file is linked, not copied: weights, which nobody changes in place
KEPT = 30 * 86400  # seconds since a layer was last used
Snapshot = dict[str, tuple[int, int, int]]


def snapshot(root: Path) -> Snapshot:
    """Return every file, link and folder below a folder, with the values by which a change shows."""
    found, open_ = Snapshot(), [""]
    while open_:
        prefix = open_.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                info, name = entry.stat(follow_symlinks=False), f"{prefix}{entry.name}"
                if stat.S_ISDIR(info.st_mode):
                    found[name] = (stat.S_IFDIR, 0, 0)
                    open_.append(f"{name}/")
                else:
                    found[name] = (info.st_mtime_ns, info.st_size, info.st_ino)
    return found


class LayerCache:
    """A folder of layers, by key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def restore(self, key: str, root: Path) -> bool:
        """Apply a layer to the files below `root`; False where it is missing or incomplete."""
        layer = self.folder / key
        try:
            record = json.loads((layer / "layer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if not all(Path(path).exists() for path in record["outside"]):
            return False
        for name in record["gone"]:
            place = root / name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)
        shutil.copytree(layer / "files", root, symlinks=True, dirs_exist_ok=True, copy_function=_copy)
        os.utime(layer / "layer.json")
        return True

    def keep(self, key: str, root: Path, before: Snapshot, after: Snapshot, outside: list[str]) -> None:
        """Store what changed between two snapshots; `outside` is what the RUN fetched into a shared cache."""
        layer, fresh = self.folder / key, self.folder / f"{key}.{uuid.uuid4().hex}.new"
        (fresh / "files").mkdir(parents=True)
        for name in sorted(after):
            if after[name] != before.get(name):
                place = fresh / "files" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                if after[name][0] == stat.S_IFDIR:
                    place.mkdir(exist_ok=True)
                else:
                    _copy(str(root / name), str(place))
        gone = [name for name in before if name not in after]
        (fresh / "layer.json").write_text(json.dumps({"gone": gone, "outside": outside}), encoding="utf-8")
        shutil.rmtree(layer, ignore_errors=True)
        try:
            fresh.rename(layer)
        except OSError:  # another build made the same in the meantime
            shutil.rmtree(fresh, ignore_errors=True)
        self._delete_unused()

    def _delete_unused(self) -> None:
        """Delete layers that no build has used for a month."""
        for note in self.folder.glob("*/layer.json"):
            if note.stat().st_mtime < time.time() - KEPT:
                shutil.rmtree(note.parent, ignore_errors=True)


def _copy(source: str, target: str) -> str:
    if os.path.lexists(target):
        os.unlink(target)
    info = os.stat(source, follow_symlinks=False)
    if stat.S_ISREG(info.st_mode) and info.st_size >= LINKED:
        try:
            os.link(source, target)
            return target
        except OSError:
            pass  # another file system
    return str(shutil.copy2(source, target, follow_symlinks=False))
