"""Progress in a terminal: a bar over the steps of pictures, and a spinner with the elapsed time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["painting", "update", "working"]


def painting(console: Console) -> Progress:
    """Return a bar that counts steps; it prints nothing outside of a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

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
    """Return a spinner with a description and the time; it prints nothing outside of a terminal."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def update(progress: Progress, task: TaskID, step: dict[str, Any], images: int) -> None:
    """Move the bar to a step.

    Args:
        progress: The bar.
        task: Its task.
        step: {"image", "step", "steps"}, as in the app's step events.
        images: Number of pictures.
    """
    of = f" {step['image'] + 1} of {images}" if images > 1 else ""
    progress.update(
        task,
        description=f"painting{of}",
        total=images * step["steps"],
        completed=step["image"] * step["steps"] + step["step"],
    )
