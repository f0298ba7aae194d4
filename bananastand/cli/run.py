"""`bananastand run`: one call of a project on a stand."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ._connection import AsJson, Key, Url, as_json, connected
from ._ends import USAGE, fail

__all__ = ["run"]

FILES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"%PDF", b"OggS", b"ID3", b"fLaC")
LONGEST = 80  # characters of a text that is shown


def run(
    project: Annotated[str, typer.Argument(help="The project's name or model key.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="NAME=VALUE; a value that is JSON is taken as such.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", "-d", help="All inputs as a JSON object, or @FILE.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where the picture goes.")] = None,
    route: Annotated[str, typer.Option(help="Another route of the app.")] = "/",
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Call a project: bananastand run my-app -i prompt="a red apple" -i seed=7 -o out.png

    Without a running replica one is started first.
    """
    body = _inputs(inputs or [], data)
    with connected(url, key) as stand:
        answer = stand.call(project, body, route)
    try:
        value: Any = json.loads(answer.body)
    except ValueError:
        value = answer.body.decode("utf-8", "replace")
    if answer.status != 200:
        fail(f"{project} answered {answer.status}: {_message(value)}")
    if out is not None:
        content = next(_contents(value), None)
        if content is None and answer.kind.startswith(("image/", "audio/", "video/", "application/octet")):
            content = answer.body
        if content is None:
            fail(f"nothing in the answer is a picture or another file: {json.dumps(_short(value))[:300]}")
        out.write_bytes(content)
        typer.echo(f"{len(content)} bytes in {out}", err=True)
    if json_:
        as_json(value)
    elif out is None:
        as_json(_short(value))


def _inputs(pairs: list[str], data: str | None) -> dict[str, Any]:
    body = dict[str, Any]()
    if data is not None:
        try:
            text = Path(data[1:]).read_text(encoding="utf-8") if data.startswith("@") else data
            value: Any = json.loads(text)
        except (OSError, ValueError) as error:
            fail(f"--data is not JSON: {error}", USAGE)
        if not isinstance(value, dict):
            fail("--data must be a JSON object", USAGE)
        body.update(cast("dict[str, Any]", value))
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            fail(f"-i wants NAME=VALUE, not {pair}", USAGE)
        try:
            body[name] = json.loads(text)
        except ValueError:
            body[name] = text
    return body


def _contents(value: Any) -> Iterator[bytes]:
    """What is a file, in base64, anywhere in the answer."""
    if isinstance(value, dict):
        for each in cast("dict[str, Any]", value).values():
            yield from _contents(each)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _contents(each)
    elif isinstance(value, str) and len(value) > 64:
        try:
            content = base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
        except (binascii.Error, ValueError):
            return
        if content.startswith(FILES):
            yield content


def _short(value: Any) -> Any:
    """For a reader: long texts cut."""
    if isinstance(value, dict):
        return {name: _short(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_short(each) for each in cast("list[Any]", value)]
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}... ({len(value)} characters; -o FILE keeps a picture)"
    return value


def _message(value: Any) -> str:
    error = cast("dict[str, Any]", value).get("error", value) if isinstance(value, dict) else value
    message = cast("dict[str, Any]", error).get("message", error) if isinstance(error, dict) else error
    return message.strip() if isinstance(message, str) else json.dumps(message)
