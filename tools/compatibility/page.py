"""Writes docs/compatibility.md from what was measured."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .corpus import CorpusRepository
from .lifecycle import BLOCKED, CELLS, NO_BACKGROUND

__all__ = ["score", "together", "write_page"]

IMAGES = (
    "The containers' base images are substitutes, made on the machine: Debian with the Python or Node of the published",
    "image, mapped by `[images]` of `stand.toml`. They have no CUDA. For the heavy repositories they have Python 3.11",
    "and a CPU build of torch 2.13. In the place of conda they have a program that takes its words and makes virtual",
    "environments: no channel of conda was reachable.",
)
MARKS = {True: "yes", False: "**no**", None: "-"}


def score(results: dict[str, Any]) -> tuple[int, int]:
    """Return the number of green cells, and of all cells that were tried."""
    oks = [cell["ok"] for builders in results.values() for life in builders.values() for cell in life["cells"].values()]
    return oks.count(True), oks.count(True) + oks.count(False)


def together(measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the results by repository and by builder."""
    found = dict[str, Any]()
    for builder, result in measured.items():
        for name, life in result.get("repositories", {}).items():
            found.setdefault(name, {})[builder] = life
    return found


def write_page(repositories: list[CorpusRepository], measured: dict[str, dict[str, Any]]) -> str:
    """Return the page's text."""
    results = together(measured)
    green, tried = score(results)
    share = 100 * green / tried if tried else 0.0
    lines = [
        "# What runs unchanged",
        "",
        "```text",
        "python -m tools.compatibility            # the whole corpus; --only NAME for one, --resume to go on",
        "python -m tools.compatibility --builder podman # one column alone: process, podman or buildah",
        "python -m tools.compatibility --potassium # Potassium's versions against their own servers",
        "```",
        "",
        "`tests/corpus/` has small copies of repositories like those of Banana's users. The command deploys each one",
        "unchanged on its own platform, with a last commit on its day, and tests every step of its life. Each red",
        "cell has its reason below. This page is generated.",
        "",
        f"**{green} of {tried} cells are green ({share:.1f} %)**.",
        "",
        *_when(measured),
        *_notes(measured),
        *_table(repositories, results),
        *_reasons(repositories, results),
        *_substitutes(repositories, results),
        *_inspections(repositories, results),
        *_potassium(measured.get("process", {}).get("potassium", [])),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _when(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line for each builder."""
    lines = list[str]()
    for builder, result in measured.items():
        green, tried = score(together({builder: result}))
        if not tried:
            continue
        commits = Counter(life.get("commit", result["commit"]) for life in result["repositories"].values())
        places = [f"{commit} ({count} repositories)" for commit, count in commits.most_common()]
        lines.append(
            f"- {builder}: {green} of {tried} ({100 * green / tried:.1f} %), measured {result['date']} at commit "
            f"{', '.join(places)}, {result['machine']}."
        )
    if any(builder != "process" and result.get("repositories") for builder, result in measured.items()):
        lines += ["", *IMAGES]
    return [*lines, ""]


def _notes(measured: dict[str, dict[str, Any]]) -> list[str]:
    lines = list[str]()
    for name, life in together(measured).get("sanic-template", {}).items():
        seconds = life.get("seconds", {})
        if "live" in seconds and "deploying" in seconds:
            took = seconds["live"] - seconds["deploying"]
            lines.append(f"The first template ({name}) is live {took:.1f} s after its environment is there.")
    beside = measured.get("process", {}).get("beside")
    if beside:
        text = "each answers for itself" if beside["ok"] else f"**no**: {beside['note']}"
        lines.append(f"Two apps with one fixed port beside each other: {text}.")
    return [*lines, ""] if lines else []


def _table(repositories: list[CorpusRepository], results: dict[str, Any]) -> list[str]:
    lines = [
        "## The corpus",
        "",
        "`-` means that a step does not apply, or needs what the machine lacks.",
        "",
        f"| repository | kind | served by | builder | {' | '.join(CELLS)} |",
        f"| --- | --- | --- | --- |{' --- |' * len(CELLS)}",
    ]
    for repository in repositories:
        for builder, life in results.get(repository.name, {}).items():
            marks = " | ".join(MARKS[life["cells"][cell]["ok"]] if cell in life["cells"] else "" for cell in CELLS)
            lines.append(f"| {repository.name} | {repository.kind} | {repository.generation} | {builder} | {marks} |")
    return [*lines, ""]


def _reasons(repositories: list[CorpusRepository], results: dict[str, Any]) -> list[str]:
    red, skipped = list[str](), list[str]()
    for repository in repositories:
        for builder, life in results.get(repository.name, {}).items():
            said = set[str]()
            for name, cell in life["cells"].items():
                note = _plain(cell["note"])
                if cell["ok"] is False and note not in BLOCKED.values():
                    red.append(f"- {repository.name}, {builder}, {name}: {note}")
                if cell["ok"] is None and note not in said and note != NO_BACKGROUND:
                    said.add(note)
                    skipped.append(f"- {repository.name}, {builder}: {note}")
    lines = list[str]()
    if red:
        lines += ["## Reasons of red cells", "", *red, ""]
    if skipped:
        lines += ["## Not tried here", "", *skipped, ""]
    return lines


def _substitutes(repositories: list[CorpusRepository], results: dict[str, Any]) -> list[str]:
    """Return what builds replaced, as their logs say."""
    rows = [
        f"- {repository.name}, {builder}: {_plain(line)}"
        for repository in repositories
        for builder, life in results.get(repository.name, {}).items()
        for line in life.get("other", ())
    ]
    return ["## Built with something else", "", *rows, ""] if rows else []


def _inspections(repositories: list[CorpusRepository], results: dict[str, Any]) -> list[str]:
    lines = [
        "## What `inspect` said, and what happened",
        "",
        "| repository | it said | Python | runs as it is | it was live | wrong |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for repository in repositories:
        life = results.get(repository.name, {}).get("process")
        if life is None:
            continue
        said, cell = life.get("inspected", {}), life["cells"]["inspected"]
        live = life["cells"].get("live", {"ok": None})
        runs = MARKS[said.get("runs", False)]
        words = [
            repository.name,
            said.get("template", ""),
            said.get("python") or "",
            runs,
            MARKS[live["ok"]],
            cell["note"],
        ]
        lines.append(f"| {' | '.join(map(_plain, words))} |")
    return [*lines, ""]


def _potassium(rows: list[dict[str, str]]) -> list[str]:
    if not rows:
        return []
    versions = list(dict.fromkeys(row["version"] for row in rows))
    features = list(dict.fromkeys(row["feature"] for row in rows))
    verdicts = {(row["version"], row["feature"]): row for row in rows}
    marks = {"same": "=", "differs": "d", "wrong": "**no**"}
    lines = [
        "## Potassium's versions",
        "",
        "Each version in an environment of its time: an app written for it on its own server, and in our worker.",
        "`=`: status, type, body and the app's headers are the same. `d`: they differ as said below. Empty: the",
        "version has no such feature.",
        "",
        f"| feature | {' | '.join(versions)} |",
        f"| --- |{' --- |' * len(versions)}",
    ]
    for feature in features:
        found = [verdicts.get((version, feature)) for version in versions]
        lines.append(f"| {feature} | {' | '.join(marks[row['verdict']] if row else '' for row in found)} |")
    lines += ["", "Where they differ:", ""]
    for feature in features:
        notes = [row for row in rows if row["feature"] == feature and row["verdict"] == "differs"]
        if notes:
            lines.append(f"- {feature}: {notes[0]['note'].partition(' (upstream')[0]}.")
    lines += [
        f"- {row['version']}, {row['feature']}: {_plain(row['note'])}" for row in rows if row["verdict"] == "wrong"
    ]
    return [*lines, ""]


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ").replace("<", "&lt;").strip()
