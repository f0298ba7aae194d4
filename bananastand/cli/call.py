"""`bananastand call`: every operation of every provider from the shell, by the functions of the clients' `calls`."""

from __future__ import annotations

import argparse
import collections.abc
import importlib
import inspect
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import typer

from ._ends import USAGE, fail

__all__ = ["call"]

PROVIDERS = {
    "banana": "Banana.dev's own API",
    "bananadev": "Banana.dev behind LowCodeAPI",
    "falai": "fal.ai behind LowCodeAPI",
    "falqueue": "fal.ai's queue",
    "gobananas": "Go Bananas!",
    "paperbanana": "PaperBanana",
}

# Arguments of operations that are named like an option of the connection.
ARGUMENTS = {("paperbanana", "key"): "api_key", ("banana", "key"): "upload_key"}


def call(
    context: typer.Context,
    provider: Annotated[
        str, typer.Argument(help="One of banana, bananadev, falai, falqueue, gobananas, paperbanana.")
    ] = "",
    operation: Annotated[str, typer.Argument(help="Without one, they are listed.")] = "",
) -> None:
    """Call an operation of a provider and print its response as JSON.

    bananastand call PROVIDER lists the operations, bananastand call PROVIDER OPERATION --help its arguments.
    """
    if provider in ("", "--help", "-h"):
        providers = "".join(f"  {name:<12}{title}\n" for name, title in PROVIDERS.items())
        typer.echo(f"{(call.__doc__ or '').strip()}\n\nProviders:\n{providers}", nl=False)
        return
    if provider not in PROVIDERS:
        fail(f"there is no provider {provider}; there are {', '.join(PROVIDERS)}", USAGE)
    module = importlib.import_module(f"bananastand.clients.{provider}")
    builders = _builders(provider)
    if operation in ("", "--help", "-h"):
        width = max(map(len, builders)) + 2
        for name, build in builders.items():
            typer.echo(f"  {name:<{width}}{_first_line(build)}")
        return
    operation = operation.replace("_", "-")
    if (build := builders.get(operation)) is None:
        fail(f"{provider} has no operation {operation}; bananastand call {provider} lists them", USAGE)
    exported = (getattr(module, name) for name in module.__all__ if not name.startswith("Async"))
    (client,) = (value for value in exported if isinstance(value, type))
    arguments = vars(_parser(provider, operation, build, client).parse_args(context.args))
    options = {name: arguments.pop(f"client_{name}", None) for name in ("key", "admin_key", "base_url")}
    timeout: float | None = arguments.pop("client_timeout")
    out: Path | None = arguments.pop("out")
    _print(_answer(client, options, build, arguments, timeout), out)


def _answer(
    client: Any, options: dict[str, Any], build: Callable[..., Any], arguments: dict[str, Any], timeout: float | None
) -> Any:
    from bananastand.clients.errors import BananastandError

    named = {name: value for name, value in arguments.items() if value is not None}
    try:
        with client(**{name: value for name, value in options.items() if value is not None}) as connection:
            return connection.send(build(**named), timeout=timeout)
    except (BananastandError, ValueError) as error:
        fail(str(error), USAGE if isinstance(error, ValueError) else 1)


def _print(answer: Any, out: Path | None) -> None:
    if isinstance(answer, bytes):
        if out is None:
            fail("the answer is a file: name the file to write with --out", USAGE)
        _write(out, answer)
        typer.echo(f"{len(answer)} bytes in {out}", err=True)
        return
    plain = answer.model_dump(by_alias=True) if hasattr(answer, "model_dump") else answer
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    if out is None:
        typer.echo(text)
    else:
        _write(out, f"{text}\n".encode())


def _write(out: Path, content: bytes) -> None:
    try:
        out.write_bytes(content)
    except OSError as error:
        fail(f"{out}: {error.strerror}", USAGE)


def _builders(provider: str) -> dict[str, Callable[..., Any]]:
    """Return the functions of single requests by operation, as it is typed in a shell."""
    from bananastand.clients.request import ClientRequest

    calls = importlib.import_module(f"bananastand.clients.{provider}.calls")
    found = {name: getattr(calls, name) for name in calls.__all__}
    single = {
        name: build
        for name, build in found.items()
        if get_origin(get_type_hints(build).get("return")) is ClientRequest
        or get_type_hints(build).get("return") is ClientRequest
    }
    return {name.replace("_", "-"): build for name, build in single.items()}


def _first_line(build: Callable[..., Any]) -> str:
    return (build.__doc__ or "").strip().splitlines()[0]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(f"{message}; {self.prog} --help says more", USAGE)


def _parser(provider: str, operation: str, build: Callable[..., Any], client: Any) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"bananastand call {provider} {operation}",
        description=inspect.getdoc(build),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    hints = get_type_hints(build)
    for name, parameter in inspect.signature(build).parameters.items():
        parser.add_argument(
            f"--{ARGUMENTS.get((provider, name), name).replace('_', '-')}",
            dest=name,
            required=parameter.default is parameter.empty,
            **_reading(hints[name]),
        )
    api = client.provider
    parser.add_argument(
        "--key", dest="client_key", metavar="KEY", help=f"else the environment variable {api.key_variable}"
    )
    if api.admin_variable:
        text = f"else the environment variable {api.admin_variable}"
        parser.add_argument("--admin-key", dest="client_admin_key", metavar="KEY", help=text)
    text = f"else the environment variable {api.base_variable}, else {api.base_url}"
    parser.add_argument("--url", dest="client_base_url", metavar="URL", help=text)
    parser.add_argument("--timeout", dest="client_timeout", type=float, help="seconds for the whole answer")
    parser.add_argument("--out", "-o", type=Path, help="write the answer to this file")
    return parser


def _reading(hint: Any) -> dict[str, Any]:
    """Return the options of argparse for a value of this type."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = [choice for choice in get_args(hint) if choice is not type(None)][:1]
    if get_origin(hint) is Literal:
        return {"choices": list(get_args(hint))}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if hint in (int, float, str):
        return {"type": hint, "metavar": {int: "N", float: "X", str: "TEXT"}[hint]}
    if hint is bytes:
        return {"type": _content, "metavar": "FILE", "help": "- for standard input"}
    items = get_args(hint)
    if get_origin(hint) in (list, collections.abc.Sequence) and items and (
        items[0] in (int, str) or get_origin(items[0]) is Literal
    ):  # fmt: skip
        return {**_reading(items[0]), "nargs": "+"}
    return {"type": _json, "metavar": "JSON", "help": "as JSON, or @FILE"}


def _content(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None


def _json(text: str) -> Any:
    try:
        return json.loads(_content(text[1:]) if text.startswith("@") else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
