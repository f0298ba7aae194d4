"""The date that open requirements resolve as of: the repository's last commit, unless another is named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ..errors import BuildError
from ..sources.ignore import Ignored
from ..sources.last_commit import last_commit
from ..sources.sources import files_of

__all__ = ["AsOf", "last_change", "resolve_as_of"]

FIRST = date(2015, 1, 1)  # an older time of a file says nothing: archives and builds set them so
RECENT = timedelta(days=365)
# Written for the platform, or by it where the file was missing, so later than the repository.
OURS = frozenset({"bananastand.toml", "Dockerfile", ".dockerignore"})


@dataclass(frozen=True, slots=True)
class AsOf:
    """A date.

    Attributes:
        day: None for today.
        reason: Where it comes from.
        named: Whether the user named it.
    """

    day: date | None
    reason: str
    named: bool = False

    @property
    def is_recent(self) -> bool:
        """Whether today's packages serve: no date is named, and this one is less than a year ago."""
        return self.day is None or (not self.named and datetime.now(UTC).date() - self.day < RECENT)

    @property
    def cutoff(self) -> datetime | None:
        """The end of the day, or None where today's packages serve."""
        if self.day is None or self.is_recent:
            return None
        return datetime.combine(self.day, datetime.max.time(), UTC).replace(microsecond=0)

    def __str__(self) -> str:
        if self.day is None:
            return f"open requirements resolve as of today: {self.reason}"
        if self.is_recent:
            return f"open requirements resolve as of today: {self.reason} is of {self.day.isoformat()}"
        return f"open requirements resolve as of {self.day.isoformat()}, {self.reason}; --as-of now takes today's"


def resolve_as_of(named: str | None, committed: str | None, source: Path | None) -> AsOf:
    """Return the date for a build.

    Args:
        named: A date or "now", from `--as-of` or bananastand.toml; None where neither names one.
        committed: The date of the source's last commit, where its fetch knows it.
        source: The folder of the source, asked where `committed` is None.

    Raises:
        BuildError: `named` is no date, or one to come.
    """
    if named == "now":
        return AsOf(None, "as asked", named=True)
    if named:
        day = _day(named)
        if day is None or day > datetime.now(UTC).date() + timedelta(days=1):
            raise BuildError(f'--as-of {named}: give a date that has been, such as 2023-03-01, or "now"')
        return AsOf(day, "as asked", named=True)
    if committed and (day := _day(committed)):
        return AsOf(day, "the repository's last commit")
    if source is not None and (found := last_change(source)) is not None:
        return found
    return AsOf(None, "the source tells no date of its own")


def last_change(source: Path) -> AsOf | None:
    """Return the date of a folder's last commit or, without git, of its newest file; None where neither is known."""
    if (committed := last_commit(source)) and (day := _day(committed)) is not None:
        return AsOf(day, "the repository's last commit")
    newest = 0.0
    for name, entry in files_of(source, Ignored()):
        if name not in OURS and entry.is_file(follow_symlinks=False):
            newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
    day = datetime.fromtimestamp(newest, UTC).date()
    if not FIRST <= day <= datetime.now(UTC).date():
        return None
    return AsOf(day, "the newest file of the source")


def _day(text: str) -> date | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()
