"""`bananastand conform`: check any implementation of a provider against its contract."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._ends import USAGE, fail

if TYPE_CHECKING:
    from bananastand_mocks.conformance import CheckOutcome

__all__ = ["conform"]

KEYS = {  # the environment variables of a key and of an admin's key
    "bananadev": ("LOWCODEAPI_TOKEN", None),
    "falai": ("LOWCODEAPI_TOKEN", None),
    "banana-native": ("BANANA_API_KEY", None),
    "fal-native": ("FAL_KEY", None),
    "fal-queue": ("FAL_KEY", None),
    "gobananas": ("GOBANANAS_API_KEY", None),
    "paperbanana": ("PAPERBANANA_API_KEY", "PAPERBANANA_ADMIN_KEY"),
}


def conform(
    base_url: Annotated[
        str | None,
        typer.Option("--url", "--base-url", help="Where the implementation answers, such as http://127.0.0.1:8000."),
    ] = None,
    provider: Annotated[str | None, typer.Option(help=f"Whose contract: {', '.join(KEYS)}.")] = None,
    cassette: Annotated[
        Path | None, typer.Option(help="Check what this file recorded instead; nothing is sent.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Else the provider's environment variable, as for its client.")
    ] = None,
    admin_key: Annotated[str | None, typer.Option(help="PaperBanana's, else PAPERBANANA_ADMIN_KEY.")] = None,
    openapi: Annotated[
        list[str] | None, typer.Option(metavar="FILE[,NAME]", help="The document of an API of yours in the cassette.")
    ] = None,
    write: Annotated[
        bool, typer.Option(help="Also what creates, changes and deletes. A live service may bill it.")
    ] = False,
    diff: Annotated[
        bool, typer.Option(help="Print where answers and contract part, ids and times by their kind.")
    ] = False,
    use: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: call this model, image or plot; may be given again.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the report to this file, for a CI system.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one answer.")] = 60.0,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for a rate limit or a task.")] = 120.0,
) -> None:
    """Check what answers at a URL against a provider's contract: a program in any language, or the live service.

    Only reads unless --write is given. With --cassette, checks the calls that `bananastand mocks --record` wrote. Exit
    status 0 if every check passed, 1 if one did not or nothing answers.
    """
    if cassette is not None:
        outcomes = _recorded(cassette, provider, openapi or ())
        _report(provider or "cassette", str(cassette), outcomes, diff, json_file, junit, write=True)
        return
    if base_url is None or provider is None:
        fail("--base-url and --provider are missing: give both, or --cassette", USAGE)
    if provider not in KEYS:
        fail(f"there is no provider {provider}; there are {', '.join(KEYS)}", USAGE)
    variable, admin_variable = KEYS[provider]
    key = key or os.environ.get(variable)
    if not key:
        fail(f"no key for {provider}: give --key, or set {variable}", USAGE)
    admin_key = admin_key or (os.environ.get(admin_variable) if admin_variable else None)
    named = {name: value for name, _, value in (pair.partition("=") for pair in use or ())}
    if not all(named.values()):
        fail("--use wants NAME=VALUE", USAGE)
    try:
        from bananastand_mocks.conformance import ServiceUnreachable
        from bananastand_mocks.conformance import conform as checks
    except ImportError as error:
        fail(f"{error.name} is not here: pip install 'bananastand[mocks]'")
    options = {"key": key, "admin_key": admin_key, "write": write, "timeout": timeout, "patience": patience}
    try:
        outcomes = list(checks(provider, base_url, use=named, **options))  # type: ignore[arg-type]
    except ServiceUnreachable as error:
        fail(str(error))
    _report(provider, base_url, outcomes, diff, json_file, junit, write=write)


def _recorded(cassette: Path, provider: str | None, openapi: Iterable[str]) -> list[CheckOutcome]:
    try:
        from bananastand_mocks.cassettes import CassetteError
        from bananastand_mocks.conformance import conform_cassette
        from bananastand_mocks.openapi import DocumentError, OpenApiProvider
    except ImportError as error:
        fail(f"{error.name} is not here: pip install 'bananastand[mocks]'")
    try:
        documents = [OpenApiProvider.from_option(text) for text in openapi]
        contracts = {document.name: document.contract for document in documents}
        return list(conform_cassette(cassette, provider=provider, contracts=contracts))
    except (CassetteError, DocumentError) as error:
        fail(str(error), USAGE)


def _report(
    provider: str,
    place: str,
    outcomes: list[CheckOutcome],
    diff: bool,
    json_file: Path | None,
    junit: Path | None,
    *,
    write: bool,
) -> None:
    """Print and write the report, and exit with 1 if a check failed."""
    from bananastand_mocks.conformance.report import as_diff, as_json, as_junit

    _table(provider, place, outcomes)
    if diff and (lines := as_diff(outcomes)):
        typer.echo(f"\n--- contract of {provider}\n+++ {place}\n{lines}")
    if json_file is not None:
        report = as_json(provider, place, outcomes, write=write)
        json_file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if junit is not None:
        junit.write_text(as_junit(provider, outcomes), encoding="utf-8")
    if any(outcome.result == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _table(provider: str, base_url: str, outcomes: list[CheckOutcome]) -> None:
    """Print a row for each operation, the sum, what failed, and why checks were skipped."""
    from rich.console import Console
    from rich.table import Table

    console, table = Console(highlight=False, markup=False), Table("operation", "passed", "failed", "skipped")
    for operation in dict.fromkeys(outcome.operation for outcome in outcomes):
        counts = Counter(outcome.result for outcome in outcomes if outcome.operation == operation)
        table.add_row(operation, *(str(counts[result] or "-") for result in ("passed", "failed", "skipped")))
    console.print(table)
    counts = Counter(outcome.result for outcome in outcomes)
    summary = ", ".join(f"{counts[result]} {result}" for result in ("passed", "failed", "skipped"))
    console.print(f"{provider} at {base_url}: {summary}", soft_wrap=True)
    for outcome in outcomes:
        for part in outcome.differences:
            place = f"{outcome.operation}, {outcome.title}: {part.where}"
            console.print(f"{place} is {part.answer}; the contract has {part.contract}", soft_wrap=True)
    for reason, count in Counter(outcome.reason for outcome in outcomes if outcome.reason).items():
        text = "writes, which only --write does" if reason == "writes" else reason
        console.print(f"{count} not asked: {text}", soft_wrap=True)
