"""The control plane's routes for what was called: journal and coverage."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse

from .answers import CoverageReport, JournalCalls, VerifyResult
from .bodies import Verify
from .context import ControlContext, describe_near_misses
from .refusals import REFUSALS_AS_JSON

__all__ = ["add_call_routes"]


def add_call_routes(app: FastAPI, context: ControlContext) -> None:
    """Give the application these routes."""
    _add_journal(app, context)
    _add_coverage(app, context)


def _add_journal(app: FastAPI, context: ControlContext) -> None:
    @app.get("/_stand/worlds/{name}/journal", response_model=JournalCalls)
    async def read_journal(
        name: str, provider: str | None = None, operation: str | None = None, status: int | None = None
    ) -> dict[str, Any]:
        """The calls, oldest first."""
        fields = {"provider": provider, "operation": operation, "status": status}
        expected = {field: value for field, value in fields.items() if value is not None}
        return {"calls": [entry.dump() for entry in context.world(name).journal.find(**expected)]}

    @app.delete("/_stand/worlds/{name}/journal", status_code=204)
    async def clear_journal(name: str) -> None:
        """Delete the recorded calls."""
        context.world(name).journal.clear()

    @app.post("/_stand/worlds/{name}/journal/verify", response_model=VerifyResult)
    async def verify_journal(name: str, body: Verify | None = None) -> dict[str, Any]:
        """Whether as many calls matched as expected; if not, those that came nearest, and where they differ."""
        body = body or Verify()
        try:
            verdict = context.world(name).journal.verify(
                exactly=body.exactly, at_least=body.at_least, at_most=body.at_most, **body.expected
            )
        except (TypeError, ValueError) as error:
            raise HTTPException(422, str(error)) from None
        return {
            "verified": verdict.verified,
            "matched": verdict.matched,
            "expected": verdict.expected,
            "near_misses": describe_near_misses(verdict.near_misses),
        }


def _add_coverage(app: FastAPI, context: ControlContext) -> None:
    contracts = {provider.name: provider.contract for provider in context.providers}

    @app.get("/_stand/worlds/{name}/coverage", response_model=CoverageReport)
    async def read_coverage(name: str) -> dict[str, Any]:
        """Which operations, parameters and statuses were exercised."""
        return {"operations": context.world(name).coverage.report(contracts)}

    @app.get("/_stand/worlds/{name}/coverage.txt", response_class=PlainTextResponse, responses=REFUSALS_AS_JSON)
    async def coverage_table(name: str) -> str:
        """The coverage as a table."""
        rows = context.world(name).coverage.report(contracts)
        lines = [
            f"{row['provider']:<14} {row['operation']:<18} {row['calls']:>6}  "
            f"{' '.join(f'{status}:{count}' for status, count in row['statuses'].items()) or '-'}"
            for row in rows
        ]
        called = sum(1 for row in rows if row["calls"])
        return "\n".join([*lines, f"{called} of {len(rows)} operations called", ""])

    @app.delete("/_stand/worlds/{name}/coverage", status_code=204)
    async def reset_coverage(name: str) -> None:
        """Count anew."""
        context.world(name).coverage.reset()
