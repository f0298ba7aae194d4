"""Goes through a plan: asks, judges, keeps what later steps need. Knows no HTTP library."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from bananastand.contracts.contract import Contract, load
from bananastand.contracts.operation import Operation

from .judge import Got, met, parts
from .outcome import Difference, Outcome
from .plan import FILES, MISSING, NotKept, Step, at, filled, steps
from .wire import Broken, Wire
from .wrongs import anonymous, declared, wrongs

__all__ = ["Unreachable", "conform"]

WRONG_KEYS = {"bananadev": "at_r" + "0" * 32, "falai": "at_r" + "0" * 32}
SCHEMES = {"fal-native": "Key "}  # the word before a key in Authorization, where it is not Bearer
ADMIN = "/api/admin/"
PATIENCE = 120.0  # seconds that a limit, or work under way, is waited for


class Unreachable(ConnectionError):
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
) -> Iterator[Outcome]:
    """Hold what answers at `base_url` to a provider's contract; one Outcome for each check, as it is made.

    Only GETs are sent unless `write`. `patience` is how many seconds a rate limit, or work that takes its time, is
    waited for. `use` has what the plan is to call instead of what it finds, such as a `model`. Without `refusals`
    nothing is sent that the contract has refused. Raises KeyError for an unknown provider and Unreachable where nothing
    answers from the beginning.
    """
    contract = load(FILES[provider])
    with Wire(timeout) as wire:
        run = _Run(provider, contract, base_url.rstrip("/"), key, admin_key, write, patience, wire, dict(use or {}))
        yield from run.outcomes(refusals)


@dataclass
class _Run:
    provider: str
    contract: Contract
    base_url: str
    key: str
    admin_key: str | None
    write: bool
    patience: float
    wire: Wire
    use: dict[str, str]
    answered: bool = False

    def __post_init__(self) -> None:
        self.kept: dict[str, Any] = {"key": self.key, **self.use}

    def outcomes(self, refusals: bool) -> Iterator[Outcome]:
        """Each step, and after an operation's first success what must be refused of it."""
        tried: set[str] = set()
        for step in steps(self.provider):
            operation = self.contract.by_id[step.call]
            outcome = self.check(operation, step, (step.status or operation.status,))
            yield outcome
            if refusals and step.call not in tried and step.status is None and outcome.reason is None:
                tried.add(step.call)
                for wrong in wrongs(self.contract, operation, step):
                    yield self.check(operation, wrong.step, wrong.statuses)

    def check(self, operation: Operation, step: Step, statuses: tuple[int, ...]) -> Outcome:
        """Ask once, or until it is as the step wants it, and judge the answer."""
        made = Outcome(operation.id, step.name, f"{operation.method} {operation.template}")
        if operation.method != "GET" and not self.write:
            return replace(made, reason="writes")
        if operation.template.startswith(ADMIN) and step.key == "right" and not self.admin_key:
            return replace(made, reason="there is no admin key")
        try:
            parameters, body = filled(step.parameters, self.kept), filled(step.body, self.kept)
            expect, until = filled(step.expect, self.kept), filled(step.until, self.kept)
            key = filled(step.key, self.kept)
        except NotKept as missing:
            return replace(made, reason=f"there is no {missing} to name")
        request = self.request(operation, replace(step, parameters=parameters, body=body, key=key))
        try:
            got = self.ask(request, until, statuses)
        except Broken as error:
            if not self.answered and not error.answered:
                raise Unreachable(f"nothing answers at {self.base_url}: {error}") from None
            return replace(made, differences=(Difference("connection", "an answer", str(error)),))
        found = (*parts(operation, statuses, got), *met(expect, got), *met(until, got))
        for name, place in step.keep.items():
            if name not in self.use and (value := at(got.json, place)) is not MISSING and value is not None:
                self.kept[name] = value
        return replace(made, status=got.status, differences=found)

    def request(self, operation: Operation, step: Step) -> tuple[str, str, dict[str, str], bytes | None]:
        """Method, address, headers and body, with the key where the contract wants it."""
        places = {each["name"]: each for each in declared(self.contract, operation)}
        path, query, headers = operation.template, dict[str, str](), {"accept": "*/*"}
        for name, value in step.parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if places[name]["in"] == "path":
                path = path.replace(f"{{{name}}}", quote(text, safe="/" if places[name].get("x-catch-all") else ""))
            elif places[name]["in"] == "header":
                headers[name] = text
            else:
                query[name] = text
        if step.key != "none" and not anonymous(self.contract, operation):
            self.sign(operation, step.key, query, headers)
        content = None if step.content is None else step.content.encode()
        if step.body is not MISSING:
            content = json.dumps(step.body).encode()
        if content is not None:
            headers["content-type"] = next(iter(operation.body_types), "application/json")
            if step.body is not MISSING or operation.takes_json:
                headers["content-type"] = "application/json"
        return operation.method, f"{self.base_url}{path}{'?' if query else ''}{urlencode(query)}", headers, content

    def sign(self, operation: Operation, key: str, query: dict[str, str], headers: dict[str, str]) -> None:
        """Put a key, the right one or one that is none, where the contract's first way wants it."""
        if key == "right":
            key = (self.admin_key or "") if operation.template.startswith(ADMIN) else self.key
        elif key == "wrong":
            key = WRONG_KEYS.get(self.provider, "not-a-key-of-anybody")
        asked = operation.spec.get("security", self.contract.document["security"])
        scheme = self.contract.document["components"]["securitySchemes"][next(iter(asked[0]))]
        if scheme["type"] == "http":
            headers["Authorization"] = f"Bearer {key}"
        elif scheme["in"] == "query":
            query[scheme["name"]] = key
        else:
            headers[scheme["name"]] = SCHEMES.get(self.provider, "") + key

    def ask(
        self,
        request: tuple[str, str, dict[str, str], bytes | None],
        until: Mapping[str, Any],
        statuses: tuple[int, ...],
    ) -> Got:
        """The answer, that of a later try where a limit is reached or `until` is not met yet."""
        end, pause = time.monotonic() + self.patience, 0.05
        while True:
            got = self.wire.send(*request)
            self.answered = True
            limited = got.status == 429 and 429 not in statuses
            waiting = got.status in statuses and any(met(until, got))
            left = end - time.monotonic()
            if not (limited or waiting) or left <= 0:
                return got
            time.sleep(min(left, _reset(got) if limited else pause))
            pause = min(pause * 1.5, 3.0)


def _reset(got: Got) -> float:
    """Seconds until a limit is reset, as far as the answer tells."""
    after, reset = got.headers.get("retry-after", ""), got.headers.get("x-ratelimit-reset", "")
    if after.isdecimal() and len(after) < 9:
        return max(0.1, float(after))
    return max(0.1, float(reset) - time.time() + 0.5) if reset.isdecimal() and len(reset) < 12 else 1.0
