"""`bananastand run`: calls a project once and prints its answer."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from bananastand.platform.store.logs import plain
from bananastand.platform.tracebacks import last_error

from ._connection import AsJson, Key, Url, as_json, connected
from ._ends import USAGE, fail
from ._waiting import waiting

if TYPE_CHECKING:
    from bananastand.clients.platform import PlatformClient

__all__ = ["run"]

FILES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"%PDF", b"OggS", b"ID3", b"fLaC")
LONGEST = 80  # characters of a text that is shown
LINES = 200  # of a project's log in which a failed call's error is looked for


def run(
    project: Annotated[str, typer.Argument(help="The project's name or model key.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="NAME=VALUE; a value that is JSON is taken as such.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", "-d", help="All inputs as a JSON object, or @FILE.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the picture or file of the answer here.")
    ] = None,
    route: Annotated[str, typer.Option(help="Another route of the app.")] = "/",
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds to wait for the answer; then the call is cancelled.")
    ] = None,
    url: Url = None,
    key: Key = None,
    json_: AsJson = False,
) -> None:
    """Call a project and print its response, or write the picture in it to a file.

    Example: [bold]bananastand run my-app -i prompt="a red apple" -i seed=7 -o out.png[/bold]

    A replica starts first if none runs. A terminal shows what the call waits for.
    A response that the app streams is printed while it arrives.

    Exit status:
    0    the app answered
    1    the app or the platform failed, or --timeout is over
    2    the command, the project or the key is wrong
    """
    from bananastand.clients.platform import PlatformTimeout

    body, started = _inputs(inputs or [], data), datetime.now(UTC)
    with connected(url, key) as platform:
        _refuse_what_cannot_run(platform, project)
        try:
            with waiting(platform, project) as end, platform.open_call(project, body, route, timeout=timeout) as answer:
                if answer.status == 200 and answer.streamed and out is None and not json_:
                    end()
                    _print_stream(answer.pieces)
                    return
                content = b"".join(answer.pieces)
        except PlatformTimeout as error:
            fail(f"{error}: the call is cancelled", hints=[
                f"its log: bananastand logs {project}",
                "Longer work: pass a higher --timeout, or write it as a background handler.",
            ])  # fmt: skip
        value = _value(content)
        if answer.status != 200:
            _fail(platform, project, answer.status, value, started)
    _print_answer(value, content, answer.media_type, out, json_)


def _refuse_what_cannot_run(platform: PlatformClient, project: str) -> None:
    """End the program where the project was never live and no build is under way."""
    from bananastand.clients.platform import PlatformClientError

    try:
        if platform.get(f"/projects/{project}").get("deployment") is not None:
            return
        builds = platform.get(f"/projects/{project}/builds")["builds"]
    except PlatformClientError as error:
        if error.status in (401, 404):
            raise
        return  # the call itself will tell
    last = builds[0] if builds else None
    if last is None:
        fail(f"{project} was never deployed", hints=[f"Deploy it: bananastand deploy FOLDER --name {project}"])
    if last["state"] == "failed":
        fail(f"{project} was never live: its build failed: {last.get('error') or 'no reason'}", hints=[
            *([f"advice: {last['advice']}"] if last.get("advice") else []),
            f"its log: bananastand logs --build {last['id']}",
        ])  # fmt: skip
    if last["state"] == "cancelled":
        fail(f"{project} was never live: its build was cancelled", hints=[
            f"Deploy it: bananastand deploy FOLDER --name {project}"
        ])  # fmt: skip


def _fail(platform: PlatformClient, project: str, status: int, value: Any, started: datetime) -> NoReturn:
    """End the program with the app's own error: its last line, where it is a traceback, and what the app printed."""
    message = _message(value)
    error = last_error(message.splitlines())
    printed = last_error(_printed_since(platform, project, started)) if error is None and status >= 500 else None
    hints = [f"the app printed: {printed}"] if printed is not None and printed.message not in message else []
    fail(f"{project} answered {status}: {error or message}", hints=[*hints, f"its log: bananastand logs {project}"])


def _printed_since(platform: PlatformClient, project: str, started: datetime) -> list[str]:
    from bananastand.clients.platform import PlatformClientError

    try:
        rows = list(platform.lines(f"/projects/{project}/logs", last=LINES))
    except PlatformClientError:
        return []
    return [str(row.get("line", "")) for row in rows if str(row.get("time", "")) >= started.isoformat()[:19]]


def _print_stream(pieces: Iterator[bytes]) -> None:
    """To standard output as it comes; a terminal gets no escape sequences of the app's."""
    terminal, decoder = sys.stdout.isatty(), codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        if terminal:
            sys.stdout.write(plain(decoder.decode(piece)))
            sys.stdout.flush()
        else:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


def _print_answer(value: Any, content: bytes, kind: str, out: Path | None, json_: bool) -> None:
    if out is not None:
        found = next(_contents(value), None)
        if found is None and kind.startswith(("image/", "audio/", "video/", "application/octet")):
            found = content
        if found is None:
            fail(f"nothing in the answer is a picture or another file: {json.dumps(_short(value))[:300]}")
        out.write_bytes(found)
        typer.echo(f"{len(found)} bytes in {out}", err=True)
    if json_:
        as_json(value)
    elif out is None:
        as_json(_short(value))


def _value(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


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
            fail(f"-i takes NAME=VALUE, not {pair}", USAGE)
        try:
            body[name] = json.loads(text)
        except ValueError:
            body[name] = text
    return body


def _contents(value: Any) -> Iterator[bytes]:
    """Iterate over the files, in base64, anywhere in a response."""
    if isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _contents(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _contents(item)
    elif isinstance(value, str) and len(value) > 64:
        try:
            content = base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
        except (binascii.Error, ValueError):
            return
        if content.startswith(FILES):
            yield content


def _short(value: Any) -> Any:
    """Return the value with long texts cut."""
    if isinstance(value, dict):
        return {name: _short(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_short(item) for item in cast("list[Any]", value)]
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}... ({len(value)} characters; -o FILE keeps a picture)"
    return value


def _message(value: Any) -> str:
    error = cast("dict[str, Any]", value).get("error", value) if isinstance(value, dict) else value
    message = cast("dict[str, Any]", error).get("message", error) if isinstance(error, dict) else error
    return message.strip() if isinstance(message, str) else json.dumps(message)
