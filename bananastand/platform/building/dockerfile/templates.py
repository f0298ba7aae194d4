"""Reads a repository's Dockerfile, or writes one after Banana's templates where it has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import BuildError
from ..overrides import FILE, Overrides

__all__ = ["read_dockerfile"]

# The file that starts the app, in the order of Banana's templates: Potassium's, the first one's, and what others do.
STARTS = ("server.py", "app.py", "main.py")
USUAL = """FROM python:3
WORKDIR /app
{packages}COPY . .
{weights}EXPOSE {port}
CMD {command}
"""


def read_dockerfile(source: Path, name: str, overrides: Overrides, log: Callable[[str], None]) -> str:
    """Return the Dockerfile's text; a missing one is written into the source, where an engine reads it."""
    file = source / name
    if not file.resolve().is_relative_to(source):
        raise BuildError(f"{name} lies outside of the source")
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    start = _start(source)
    if start is None and overrides.app.command is None:
        raise BuildError(
            f"the source has neither a {name} nor a file that starts an app ({', '.join(sorted(STARTS))}); "
            f"bananastand init writes both, or name the command under [app] of {FILE}"
        )
    packages = ""
    if (source / "requirements.txt").is_file():
        packages = "COPY requirements.txt .\nRUN pip install -r requirements.txt\n"
    text = USUAL.format(
        packages=packages,
        weights="RUN python3 download.py\n" if (source / "download.py").is_file() else "",
        port=overrides.app.port or 8000,
        command=f'["python3", "-u", "{start}"]' if start else '["true"]',  # bananastand.toml has the command
    )
    log(f"there is no {name}; built as if it were:")
    for line in text.splitlines():
        log(f"  {line}")
    file.write_text(text, encoding="utf-8")
    return text


def _start(source: Path) -> str | None:
    """Return the file that starts the app: server.py of the first template, whose app.py only has functions."""
    present = [name for name in STARTS if (source / name).is_file()]
    if "server.py" in present and "app.py" in present:
        text = (source / "app.py").read_text(encoding="utf-8", errors="replace")
        if "potassium" in text.lower() or "serve(" in text or ".run(" in text:
            present.remove("server.py")
    return present[0] if present else None
