"""The command line of a measurement, and what becomes of its report."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import tables
from ._machine import command

__all__ = ["parser", "publish"]


def parser(text: str | None, name: str) -> argparse.ArgumentParser:
    """Return a parser with the module's text and --out, by default results/NAME.json."""
    arguments = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=tables.RESULTS / f"{name}.json")
    arguments.set_defaults(measurement=name)
    return arguments


def publish(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the report with the command that was typed, bring the pages up to date, and print the table."""
    name, report = options.measurement, {"command": command(f"benchmarks.{options.measurement}"), **report}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    tables.write()
    print(tables.TABLES[name.replace("_", "-")](report))
