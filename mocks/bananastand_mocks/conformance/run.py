"""Runs the plan of a provider: sends its requests, judges the responses, stores what later steps need."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from bananastand.contracts.contract import Contract, load
from bananastand.contracts.operation import Operation

from .invalid_requests import declared_parameters, invalid_requests, is_anonymous
from .judge import ReceivedResponse, contract_differences, expectation_differences
from .outcome import CheckOutcome, ContractDifference
from .plan import FILES, MISSING, MissingValue, PlanStep, fill_in, load_steps, value_at
from .session import ConformanceSession, ResponseBroken

__all__ = ["ServiceUnreachable", "conform"]

WRONG_KEYS = {"bananadev": "at_r" + "0" * 32, "falai": "at_r" + "0" * 32}
SCHEMES = {"fal-native": "Key ", "fal-queue": "Key "}  # the word before a key in Authorization, where it is not Bearer
ADMIN = "/api/admin/"
PATIENCE = 120.0  # seconds


class ServiceUnreachable(ConnectionError):
    """Nothing answers at the base URL."""


def conform(
    provider: str,
    base_url: str,
    *,
    key: str,
    admin_key: str | None = None,
    write: bool = False,
    timeout: float = 60.0,
    patience: float = PATIENCE,
    use: Mapping[str, str] | None = None,
    refusals: bool = True,
) -> Iterator[CheckOutcome]:
    """Check the implementation at `base_url` against a provider's contract.

    Args:
        provider: The provider's name.
        base_url: Where the implementation answers.
        key: A valid key.
        admin_key: A valid key of an admin, for providers that have one.
        write: Whether to send methods other than GET too.
        timeout: Seconds for a whole response.
        patience: Seconds to wait for a rate limit, or for work under way.
        use: Values that the plan takes instead of those that it finds, such as a `model`.
        refusals: Whether to send invalid requests too.

    Yields:
        The outcome of each check, as soon as it is made.

    Raises:
        KeyError: There is no such provider.
        ServiceUnreachable: Nothing answers from the beginning.
    """
    contract = load(FILES[provider])
    with ConformanceSession(timeout) as session:
        run = _Run(provider, contract, base_url.rstrip("/"), key, admin_key, write, patience, session, dict(use or {}))
        yield from run.outcomes(refusals)


class _Request(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None


@dataclass
class _Run:
    provider: str
    contract: Contract
    base_url: str
    key: str
    admin_key: str | None
    write: bool
    patience: float
    session: ConformanceSession
    use: dict[str, str]
    has_answered: bool = False

    def __post_init__(self) -> None:
        self.stored: dict[str, Any] = {"key": self.key, **self.use}

    def outcomes(self, refusals: bool) -> Iterator[CheckOutcome]:
        """Check each step, and after an operation's first success the invalid requests made of it."""
        varied: set[str] = set()
        for step in load_steps(self.provider):
            operation = self.contract.by_id[step.call]
            outcome = self.check(operation, step, (step.status or operation.status,))
            yield outcome
            if refusals and step.call not in varied and step.status is None and outcome.reason is None:
                varied.add(step.call)
                for invalid in invalid_requests(self.contract, operation, step):
                    yield self.check(operation, invalid.step, invalid.statuses)

    def check(self, operation: Operation, step: PlanStep, statuses: tuple[int, ...]) -> CheckOutcome:
        """Send a step's request, and again until it is met, and judge the response."""
        outcome = CheckOutcome(operation.id, step.name, f"{operation.method} {operation.template}")
        if operation.method != "GET" and not self.write:
            return replace(outcome, reason="writes")
        if operation.template.startswith(ADMIN) and step.key == "right" and not self.admin_key:
            return replace(outcome, reason="there is no admin key")
        try:
            step = replace(
                step,
                **{
                    name: fill_in(getattr(step, name), self.stored)
                    for name in ("parameters", "body", "expect", "until", "key")
                },
            )
        except MissingValue as missing:
            return replace(outcome, reason=f"there is no {missing} to name")
        try:
            response = self.send(self.request(operation, step), step.until, statuses)
        except ResponseBroken as error:
            if not self.has_answered and not error.has_begun:
                raise ServiceUnreachable(f"nothing answers at {self.base_url}: {error}") from None
            return replace(outcome, differences=(ContractDifference("connection", "an answer", str(error)),))
        differences = (
            *contract_differences(operation, statuses, response),
            *expectation_differences(step.expect, response),
            *expectation_differences(step.until, response),
        )
        for name, place in step.keep.items():
            value = value_at(response.json, place)
            if name not in self.use and value is not MISSING and value is not None:
                self.stored[name] = value
        return replace(outcome, status=response.status, differences=differences)

    def request(self, operation: Operation, step: PlanStep) -> _Request:
        """Build the request of a step, with the key where the contract wants it."""
        declared = {parameter["name"]: parameter for parameter in declared_parameters(self.contract, operation)}
        path, query, headers = operation.template, dict[str, str](), {"accept": "*/*"}
        for name, value in step.parameters.items():
            parameter, text = declared[name], str(value).lower() if isinstance(value, bool) else str(value)
            if parameter["in"] == "path":
                path = path.replace(f"{{{name}}}", quote(text, safe="/" if parameter.get("x-catch-all") else ""))
            elif parameter["in"] == "header":
                headers[name] = text
            else:
                query[name] = text
        if step.key != "none" and not is_anonymous(self.contract, operation):
            self.sign(operation, step.key, query, headers)
        content = None if step.content is None else step.content.encode()
        if step.body is not MISSING:
            content = json.dumps(step.body).encode()
        if content is not None:
            headers["content-type"] = next(iter(operation.body_types), "application/json")
            if step.body is not MISSING or operation.takes_json:
                headers["content-type"] = "application/json"
        url = f"{self.base_url}{path}{'?' if query else ''}{urlencode(query)}"
        return _Request(operation.method, url, headers, content)

    def sign(self, operation: Operation, key: str, query: dict[str, str], headers: dict[str, str]) -> None:
        """Put a key where the first security scheme of the contract wants it."""
        if key == "right":
            key = (self.admin_key or "") if operation.template.startswith(ADMIN) else self.key
        elif key == "wrong":
            key = WRONG_KEYS.get(self.provider, "not-a-key-of-anybody")
        security = operation.spec.get("security", self.contract.document["security"])
        scheme = self.contract.document["components"]["securitySchemes"][next(iter(security[0]))]
        if scheme["type"] == "http":
            headers["Authorization"] = f"Bearer {key}"
        elif scheme["in"] == "query":
            query[scheme["name"]] = key
        else:
            headers[scheme["name"]] = SCHEMES.get(self.provider, "") + key

    def send(self, request: _Request, until: Mapping[str, Any], statuses: tuple[int, ...]) -> ReceivedResponse:
        """Send a request, again while a rate limit refuses it or `until` is not met."""
        end, pause = time.monotonic() + self.patience, 0.05
        while True:
            response = self.session.send(*request)
            self.has_answered = True
            is_limited = response.status == 429 and 429 not in statuses
            is_waiting = response.status in statuses and any(expectation_differences(until, response))
            left = end - time.monotonic()
            if not (is_limited or is_waiting) or left <= 0:
                return response
            time.sleep(min(left, _seconds_to_reset(response) if is_limited else pause))
            pause = min(pause * 1.5, 3.0)


def _seconds_to_reset(response: ReceivedResponse) -> float:
    """Return the seconds until a rate limit is reset, as far as the response says."""
    after, reset = response.headers.get("retry-after", ""), response.headers.get("x-ratelimit-reset", "")
    if after.isdecimal() and len(after) < 9:
        return max(0.1, float(after))
    return max(0.1, float(reset) - time.time() + 0.5) if reset.isdecimal() and len(reset) < 12 else 1.0
