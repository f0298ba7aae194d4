"""What the control plane tells of calls: journal and coverage. Knows worlds only by the function that finds them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse

from .control_bodies import Verify
from .worlds import Worlds

__all__ = ["of_calls"]


def of_calls(app: FastAPI, worlds: Worlds, found: Any) -> None:
    """Give the application its routes for journal and coverage."""
    contracts = {provider.name: provider.contract for provider in worlds.providers}

    @app.get("/_stand/worlds/{name}/journal")
    async def read_journal(
        name: str, provider: str | None = None, operation: str | None = None, status: int | None = None
    ) -> dict[str, Any]:
        """The calls, oldest first."""
        asked = {"provider": provider, "operation": operation, "status": status}
        wanted = {field: value for field, value in asked.items() if value is not None}
        return {"calls": [entry.dump() for entry in found(name).journal.find(**wanted)]}

    @app.delete("/_stand/worlds/{name}/journal", status_code=204)
    async def clear_journal(name: str) -> None:
        """Forget the calls."""
        found(name).journal.clear()

    @app.post("/_stand/worlds/{name}/journal/verify")
    async def verify_journal(name: str, asked: Verify) -> dict[str, Any]:
        """Whether as many calls as expected fitted; if not, those that came nearest, and where they differ."""
        try:
            verdict = found(name).journal.verify(
                exactly=asked.exactly, at_least=asked.at_least, at_most=asked.at_most, **asked.expected
            )
        except (TypeError, ValueError) as error:
            raise HTTPException(422, str(error)) from None
        return {
            "verified": verdict.verified,
            "matched": verdict.matched,
            "expected": verdict.expected,
            "near_misses": [
                {"call": entry.dump(), "differences": [each._asdict() for each in differences]}
                for entry, differences in verdict.near_misses
            ],
        }

    @app.get("/_stand/worlds/{name}/coverage")
    async def read_coverage(name: str) -> dict[str, Any]:
        """Which operations, parameters and statuses were exercised."""
        return {"operations": found(name).coverage.report(contracts)}

    @app.get("/_stand/worlds/{name}/coverage.txt", response_class=PlainTextResponse)
    async def coverage_table(name: str) -> str:
        """The coverage as a table."""
        rows = found(name).coverage.report(contracts)
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
        found(name).coverage.reset()
