"""Reads what a plot's intent asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "PlotIntent", "read_intent"]

Kind = Literal["bar", "line", "histogram", "scatter", "box", "heat map"]

KINDS: tuple[tuple[Kind, str], ...] = (
    ("heat map", r"heat ?-?maps?|confusion matri\w+|correlation matri\w+|attention (?:map|matri\w+)"),
    ("box", r"box ?-?(?:and-whiskers? )?plots?|boxplots?|box(?:es)? and whiskers?|violins?|quartiles?"),
    ("histogram", r"histograms?|density|frequency distribution|distributions? of"),
    ("scatter", r"scatter\w*|correlat\w+|relationship between|trade-?off|pareto|bubble|embedding plot|clusters?"),
    ("line", r"line ?-?(?:plots?|charts?|graphs?)|lines?|curves?|trends?|over time|time series|convergence|evolution"),
    ("bar", r"bar ?-?(?:plots?|charts?|graphs?)|barplots?|bars?|columns? charts?|grouped|stacked|pie|compar\w+"),
)
QUOTED = r"""["'\u201c\u2018]([^"'\u201d\u2019]{1,120})["'\u201d\u2019]"""
BARE = r"""([^,;.()\n"']{1,60}?)(?=\s*(?:[,;.()\n]|$|\band\b|\bwith\b|\bon the\b|\b[xy][- ]?axis))"""


@dataclass(frozen=True)
class PlotIntent:
    """None where the intent says nothing."""

    kind: Kind | None
    values: bool
    legend: bool | None
    grid: bool | None
    title: str | None
    x_label: str | None
    y_label: str | None
    log_x: bool
    log_y: bool
    horizontal: bool
    stacked: bool
    trend: bool
    correlation: bool
    order: Literal["ascending", "descending"] | None
    bins: int | None
    baseline: float | None


def read_intent(intent: str) -> PlotIntent:
    """What is asked for, in English; of two kinds of chart the one named first."""
    text = " ".join(intent[:4000].split())
    low = text.lower()
    return PlotIntent(
        kind=_kind(low),
        values=_is_requested(
            low,
            r"value labels?|data labels?|label(?:l?ed|s)? (?:each|the|every|all) (?:bars?|points?|values?)"
            r"|annotat\w+|(?:show|with|display|print)\w* (?:the |exact |numeric(?:al)? )*(?:values|numbers)",
        )
        or False,
        legend=_is_requested(low, r"legends?|key box"),
        grid=_is_requested(low, r"grid ?(?:lines?)?\b"),
        title=_label(text, r"titled?|headed|heading"),
        x_label=_label(text, r"x[- ]?(?:axis|label)(?: label(?:l?ed)?)?"),
        y_label=_label(text, r"y[- ]?(?:axis|label)(?: label(?:l?ed)?)?"),
        log_x=bool(
            re.search(r"log(?:arithmic)?(?:[- ]scaled?)?(?: on the)? x|log-log|x[- ]axis (?:\w+ ){0,3}log", low)
        ),
        log_y=bool(
            re.search(
                r"log(?:arithmic)?(?:[- ]scaled?)?(?: on the)? y|log-log|y[- ]axis (?:\w+ ){0,3}log"
                r"|log(?:arithmic)?[- ](?:scale|axis)(?! (?:on the )?x)|semi-?log",
                low,
            )
        ),
        horizontal="horizontal bar" in low or "barh" in low or bool(re.search(r"bars? .{0,20}horizontal", low)),
        stacked="stacked" in low,
        trend=bool(re.search(r"trend ?line|regression|linear fit|best[- ]fit|fitted line|line of best", low)),
        correlation="correlation" in low,
        order=_order(low),
        bins=_count(low, r"(\d{1,3}) (?:\w+ )?bins|bins ?[:=] ?(\d{1,3})"),
        baseline=_number(
            low,
            r"(?:baseline|reference line|threshold|chance(?: level)?)(?: \w+){0,2}? (?:at |of |= ?"
            r"|: ?)(-?\d+(?:\.\d+)?)",
        ),
    )


def _kind(low: str) -> Kind | None:
    found: list[tuple[int, int, Kind, str]] = [
        (match.start(), rank, kind, match[0])
        for rank, (kind, pattern) in enumerate(KINDS)
        for match in re.finditer(rf"\b(?:{pattern})\b", low)
    ]
    exact = [match for match in found if re.search(r"chart|plot|graph|map|histogram|scatter|matri", match[3])]
    return min(exact or found)[2] if found else None


def _is_requested(low: str, pattern: str) -> bool | None:
    """Asked for, asked to be left out, or not spoken of."""
    if re.search(rf"\b(?:no|without|omit|hide|remove|drop)(?: (?:the|a|any|all))? (?:{pattern})", low):
        return False
    return True if re.search(rf"\b(?:{pattern})", low) else None


def _label(text: str, keywords: str) -> str | None:
    """What follows such as `x-axis:`; without quotes, up to the next comma or full stop."""
    for ending in (QUOTED, BARE):
        link = (
            r"\s*(?:is|as|of|shows?|should be|for|=|:)?\s*" if ending is QUOTED else r"\s*(?:is|shows?|=|:)\s*(?:the )?"
        )
        match = re.search(rf"\b(?:{keywords}){link}{ending}", text, re.IGNORECASE)
        if match and not re.search(r"\blog", match[1].lower()):
            return match[1].strip()
    return None


def _order(low: str) -> Literal["ascending", "descending"] | None:
    if re.search(r"descending|largest first|highest first|from (?:high|best|largest)", low):
        return "descending"
    if re.search(r"ascending|smallest first|lowest first|from (?:low|worst|smallest)", low):
        return "ascending"
    return "descending" if re.search(r"\b(?:sorted|ranked|ordered)\b", low) else None


def _count(low: str, pattern: str) -> int | None:
    match = re.search(pattern, low)
    number = int(match[1] or match[2]) if match else 0
    return number or None


def _number(low: str, pattern: str) -> float | None:
    match = re.search(pattern, low)
    return float(match[1]) if match else None
