"""Puts the files that a document refers to into the document itself, below the key x-files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

__all__ = ["FILES", "VALUES", "bundle", "find", "references"]

FILES = "x-files"
VALUES = ("example", "default", "enum", "const")  # hold no references
MOST_FILES = 500
OTHER_FILE = re.compile(r"[^#]+\.(ya?ml|json)(#.*)?", re.IGNORECASE)

Place = list[str | int]
Problem = Callable[[Path, Place, str], Exception]


def bundle(path: Path, document: dict[str, Any], read: Callable[[Path], Any], problem: Problem) -> None:
    """Put all files that are referred to into a document, and turn the references to them into internal ones.

    Args:
        path: The document's file. Only files of its folder and the folders in it are read.
        document: Its content, which is changed.
        read: Reads a file. Raises what cannot be read.
        problem: Makes the error for a file, a place in it and a text.

    Raises:
        Exception: What `problem` makes, for a file outside of the folder, an address, or what is missing.
    """
    main, folder = path.resolve(), path.resolve().parent
    files: dict[Path, Any] = {main: document}
    waiting, seen = [main], set[tuple[int, str]]()  # an alias of YAML makes one object of two places
    while waiting:
        file = waiting.pop()
        for place, holder, key in list(references(files[file], [])):
            reference = str(holder[key])
            name, _, pointer = reference.partition("#")
            if (not name and file == main) or (id(holder), key) in seen:
                continue
            seen.add((id(holder), key))
            target = _target(file, unquote(name), folder) if name else file
            if isinstance(target, str):
                raise problem(file, place, f"$ref {reference} {target}")
            if target not in files:
                if len(files) >= MOST_FILES:
                    raise problem(file, place, f"there are more than {MOST_FILES} files: bundle the document into one")
                if not target.is_file():
                    raise problem(file, place, f"$ref {reference}: there is no file {target.relative_to(folder)}")
                files[target] = read(target)
                waiting.append(target)
            if find(files[target], pointer) is None:
                raise problem(file, place, f"$ref {reference} names nothing")
            holder[key] = f"#{_prefix(target, main, folder)}{pointer}"
    if len(files) > 1:
        document[FILES] = {str(file.relative_to(folder)): value for file, value in files.items() if file != main}


def references(value: Any, place: Place, *, is_names: bool = False) -> Iterator[tuple[Place, dict[str, Any], str]]:
    """Yield each reference: its place, and the object and the key that hold it."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from references(item, [*place, number])
    elif isinstance(value, dict):
        for key, item in value.items():
            here = [*place, key]
            if key == "$ref" and isinstance(item, str):
                yield here, value, key
            elif key == "mapping" and isinstance(item, dict) and not is_names:
                yield from (([*here, name], item, name) for name, to in item.items() if _is_reference(to))
            elif key == "examples" and not is_names:
                yield from _of_examples(item, here)
            elif key not in VALUES or is_names:
                yield from references(item, here, is_names=key in ("properties", "responses", "schemas"))


def find(document: Any, pointer: str) -> tuple[Any] | None:
    """Return what a pointer such as /components/schemas/Pet names, in a tuple; None where that is nothing."""
    if pointer and not pointer.startswith("/"):
        return (document,)  # an anchor
    found = document
    for key in unquote(pointer[1:]).split("/") if pointer else ():
        key = key.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            return None
    return (found,)


def _of_examples(examples: Any, place: Place) -> Iterator[tuple[Place, dict[str, Any], str]]:
    """The references among named examples; the values of examples have none."""
    for name, example in examples.items() if isinstance(examples, dict) else ():
        if isinstance(example, dict) and example.keys() == {"$ref"} and isinstance(example["$ref"], str):
            yield [*place, name, "$ref"], example, "$ref"


def _is_reference(text: Any) -> bool:
    return isinstance(text, str) and (text.startswith("#/") or OTHER_FILE.fullmatch(text) is not None)


def _target(file: Path, name: str, folder: Path) -> Path | str:
    """The file that a reference names, or why it is not read."""
    if urlsplit(name).scheme or name.startswith("//"):
        return "is an address: save it as a file beside the document, and refer to that"
    target = (file.parent / name).resolve()
    if not target.is_relative_to(folder):
        return f"lies outside of {folder}: move it there"
    return target


def _prefix(target: Path, main: Path, folder: Path) -> str:
    if target == main:
        return ""
    name = str(target.relative_to(folder)).replace("~", "~0").replace("/", "~1")
    return f"/{FILES}/{quote(name, safe='~.-_')}"
