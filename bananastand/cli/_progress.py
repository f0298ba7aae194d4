"""Progress in a terminal: a bar over the steps of pictures, a spinner with the time for what takes a while."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["painting", "show", "working"]


def painting(console: Console) -> Progress:
    """A bar that counts steps; silent where nobody watches."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def working(console: Console) -> Progress:
    """A spinner with a description and the time; prints nothing where nobody watches."""
    return Progress(
        SpinnerColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def show(progress: Progress, task: TaskID, step: dict[str, Any], images: int) -> None:
    """Move the bar to a step: {"image", "step", "steps"}, as the app's step events have it."""
    of = f" {step['image'] + 1} of {images}" if images > 1 else ""
    progress.update(
        task,
        description=f"painting{of}",
        total=images * step["steps"],
        completed=step["image"] * step["steps"] + step["step"],
    )
