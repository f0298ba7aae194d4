"""Holds the recorded calls of a cassette to the contracts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bananastand.contracts.contract import Contract, load
from bananastand.contracts.errors import ProviderError
from bananastand.contracts.redaction import REDACTED
from bananastand.contracts.request import ApiRequest, check_request, parse_body

from ..cassettes.bodies import content_of
from ..cassettes.cassette import Interaction, read_cassette
from .judge import ReceivedResponse, contract_differences
from .outcome import CheckOutcome, ContractDifference, normalize
from .plan import FILES, value_at

__all__ = ["conform_cassette"]


def conform_cassette(
    path: Path, *, provider: str | None = None, contracts: Mapping[str, Contract] | None = None
) -> Iterator[CheckOutcome]:
    """Check the recorded responses of a cassette against the contracts, and the requests that were successful.

    Args:
        path: The cassette.
        provider: Check this provider's calls alone.
        contracts: Contracts of further providers, by name.

    Yields:
        The outcome for each recorded call.

    Raises:
        CassetteError: The file is no cassette.
    """
    for interaction in read_cassette(path):
        name = interaction.provider
        if provider in (None, name):
            contract = (contracts or {}).get(name) or (load(FILES[name]) if name in FILES else None)
            yield _check(interaction, contract)


def _check(interaction: Interaction, contract: Contract | None) -> CheckOutcome:
    title, request = f"entry {interaction.number}", f"{interaction.method} {interaction.path}"
    if contract is None:
        return CheckOutcome("-", title, request, interaction.status, reason=f"no contract of {interaction.provider}")
    try:
        operation, path = contract.routes.find(interaction.method, interaction.path)
    except ProviderError as error:
        wrong = ContractDifference("request", "one of its operations", f"{error.problem.condition}: {request}")
        return CheckOutcome("-", title, request, interaction.status, (wrong,))
    api_request = ApiRequest(operation, interaction.method, interaction.path, path, dict(interaction.query), {})
    response = ReceivedResponse(interaction.status, interaction.headers, content_of(interaction.answer))
    statuses = [int(status) for status in operation.statuses if status.isdecimal()]
    if operation.names(interaction.status):
        statuses.append(interaction.status)
    differences = [
        *(_request_differences(api_request, interaction) if interaction.status < 400 else ()),
        *(part for part in contract_differences(operation, statuses, response) if REDACTED not in part.answer),
    ]
    return CheckOutcome(operation.id, title, request, interaction.status, tuple(differences))


def _request_differences(request: ApiRequest, interaction: Interaction) -> Iterator[ContractDifference]:
    """Where the service accepted what the contract refuses."""
    request.headers = {"content-type": interaction.content_type} if interaction.content_type else {}
    request.raw = content_of(interaction.body)
    request.path = {name: unquote(value) for name, value in request.path.items()}
    try:
        parse_body(request)
        check_request(request)
    except ProviderError as error:
        for violation in error.problem.violations:
            values: Any = {"body": request.body, "query": request.query, "path": request.path}.get(violation.where)
            value = value_at(values, violation.field) if violation.field else values
            # Headers are not recorded with their values, and a placeholder has no form.
            if violation.where != "header" and REDACTED not in str(value):
                where = f"request.{violation.where}.{violation.field}".rstrip(".")
                yield ContractDifference(where, normalize(f"{violation.rule}: {violation.message}"), "was accepted")
        if not error.problem.violations:
            yield ContractDifference("request.body", error.problem.condition, "was accepted")
