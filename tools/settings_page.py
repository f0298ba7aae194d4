"""Renders docs/settings.md from bananastand.settings: python -m tools.settings_page."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bananastand.settings import PROGRAMS

__all__ = ["PAGE", "render"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
INTRODUCTION = """# Settings

Environment variables of every program. Options of a command win over them: see `bananastand COMMAND --help`.
This page is generated from `bananastand/settings.py` by `python -m tools.settings_page`.
"""


def render() -> str:
    """Return the page as Markdown."""
    sections = [INTRODUCTION]
    for program in PROGRAMS:
        rows = "\n".join(_row(field) for field in program.model_fields.values())
        title = (program.__doc__ or "").rstrip(".")
        sections.append(
            f"## {title[0].upper()}{title[1:]}\n\n| Variable | Default | Meaning |\n|---|---|---|\n{rows}\n"
        )
    return "\n".join(sections)


def _row(field: FieldInfo) -> str:
    default = "" if field.default in (None, ()) or isinstance(field.default, SecretStr) else f"`{_text(field.default)}`"
    return f"| `{field.validation_alias}` | {default} | {field.description} |"


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
