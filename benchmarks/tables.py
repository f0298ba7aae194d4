"""Writes the tables of README.md and docs/performance.md from results/*.json: figures are generated, never typed.

`python -m benchmarks.tables` after any change of the results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
PAGES = (RESULTS.parents[1] / "README.md", RESULTS.parents[1] / "docs" / "performance.md")


def embedded(found: dict[str, Any]) -> str:
    """Our engine beside the stock pipeline."""
    rows = [
        f"| {title} | {found[name]['p50'] * 1000:.0f} ms | {found[name]['p99'] * 1000:.0f} ms "
        f"| {found[name]['memory_mb']} MB |"
        for name, title in (
            ("stock", "stock diffusers pipeline"),
            ("ours", "our engine"),
            ("loop", "our loop without the engine"),
        )
    ]
    return _table(
        f"| {found['steps']} steps, guidance {found['guidance']:g}, one picture at a time | p50 | p99 | memory |",
        rows,
        f"Engine to stock {found['ratio']:.2f}, to the loop {found['ratio_to_loop']:.2f}. {_measured(found)}",
    )


def host_overhead(found: dict[str, Any]) -> str:
    """A handler that does nothing, on each server; of two runs the better."""
    rows = []
    for name, runs in found["runs"].items():
        best = max(runs, key=lambda run: run["16"]["requests_per_second"])
        single, many = best["1"], best["16"]
        rows.append(
            f"| {name} | {single['requests_per_second']:.0f} | {single['p50_ms']:.2f} ms "
            f"| {many['requests_per_second']:.0f} | {many['p99_ms']:.1f} ms "
            f"| {best['memory_mb']:.0f} MB | {best['seconds_to_listening']:.1f} s |"
        )
    return _table(
        "| server | requests/s, 1 connection | p50 | requests/s, 16 connections | p99 | memory | to listening |",
        rows,
        _measured(found),
    )


def mixed_load(found: dict[str, Any]) -> str:
    """Short and long requests on one model."""
    rows = [
        f"| {name} | {run['mean']:.2f} s | {run['short_mean']:.2f} s | {run['short_p99']:.2f} s "
        f"| {run['long_mean']:.2f} s | {run['long_p99']:.2f} s |"
        for name, run in found["servers"].items()
    ]
    return _table(
        f"| {found['load']:.0%} load | mean of all | 4 steps, mean | p99 | 50 steps, mean | p99 |",
        rows,
        _measured(found),
    )


def throughput(found: dict[str, Any]) -> str:
    """Pictures per second by requests at once."""
    curves = found["pictures_per_second"]
    counts = list(next(iter(curves.values())))
    head = f"| pictures/s at {found['steps']} steps | {' | '.join(f'{count} at once' for count in counts)} |"
    rows = [f"| {name} | {' | '.join(f'{curve[c]:.1f}' for c in counts)} |" for name, curve in curves.items()]
    return _table(head, rows, _measured(found))


def mocks(found: dict[str, Any]) -> str:
    """The mocks beside other mock servers; of two runs the better."""
    rows = []
    for name, runs in found["runs"].items():
        best = max(runs, key=lambda run: run["GET"]["requests_per_second"])
        rows.append(
            f"| {name} | {min(run['start_ms'] for run in runs)} ms | {min(run['stop_ms'] for run in runs)} ms "
            f"| {best['GET']['requests_per_second']:.0f} | {best['GET']['p99_ms']:.1f} ms "
            f"| {best['POST']['requests_per_second']:.0f} | {best['POST']['p99_ms']:.1f} ms "
            f"| {best['memory_mb']:.0f} MB | {best['memory_after_mb']:.0f} MB |"
        )
    return _table(
        "| server | start | stop | GET/s | p99 | POST/s | p99 | memory | after the load |", rows, _measured(found)
    )


def platform(found: dict[str, Any]) -> str:
    """The local Banana: calls on their way, a queue, a start from zero, idling."""
    router, drain, start, idle = found["router"], found["drain"], found["start"], found["idle"]
    rows = [
        f"| a call, {name} | p50 {router[key]['p50_ms']:.2f} ms, p99 {router[key]['p99_ms']:.2f} ms |"
        for key, name in (
            ("direct", "to the replica"),
            ("front", "by a front"),
            ("stand", "by the stand's API"),
            ("banana", "by Banana's run URL"),
        )
    ]
    rows += [
        f"| {drain['queued']} calls of {drain['call_seconds'] * 1000:.0f} ms by {count} "
        f"replica{'' if count == '1' else 's'} | {drain[count]['seconds']:.1f} s, "
        f"{drain[count]['of_ideal']:.0%} of ideal |"
        for count in ("1", "2", "4")
    ]
    rows += [
        f"| from no replica to the first picture, {name} | {sorted(start[name])[len(start[name]) // 2]:.2f} s |"
        for name in ("forked", "process", "python app.py")
    ]
    rows.append(f"| the supervisor, idle | {idle['cpu_percent']:.1f} % of a core, {idle['memory_mb']:.0f} MB |")
    return _table("| | |", rows, _measured(found))


def cluster(found: dict[str, Any]) -> str:
    """What a cluster costs."""
    call, drain, ready, memory = found["call"], found["drain"], found["ready"], found["memory"]
    rows = [
        f"| a call, {name} | p50 {call[key]['p50_ms']:.2f} ms, p99 {call[key]['p99_ms']:.2f} ms |"
        for key, name in (
            ("local", "to a replica of this machine"),
            ("relay", "over the relay of a node, without TLS"),
            ("relay with TLS", "over the relay of a node"),
        )
    ]
    rows += [
        f"| {drain['queued']} calls of {drain['call_seconds'] * 1000:.0f} ms, by one replica on each of {count} "
        f"| {drain[f'{count} nodes']['of_ideal']:.0%} of ideal; {drain[f'{count} here']['of_ideal']:.0%} here |"
        for count in (1, 2, 4)
    ]
    rows += [
        f"| a replica from a warm fork server on a node | p50 {ready['p50_s']:.2f} s |",
        f"| the platform with its bridge | {memory['platform_with_bridge_mb']:.0f} MB |",
        f"| a node's keeper, above an empty actor of Ray's | {memory['keeper_above_ray_mb']:.0f} MB |",
    ]
    busy = f"Ray {found['ray']}; load average {found['load_average'][1]} of {found['machine']['cores']} cores. "
    return _table("| | |", rows, busy + _measured(found))


def chaos(found: dict[str, Any]) -> str:
    """What harm to each part of a cluster did to calls."""
    kinds = sorted({kind for run in found.values() for kind in run["longest_time_without_an_end"]})
    rows = []
    for kind in kinds:
        cells = [run["longest_time_without_an_end"].get(kind) for run in found.values()]
        texts = [f"{cell['p50_s']:.1f} s, {cell['max_s']:.1f} s ({cell['times']})" if cell else "" for cell in cells]
        rows.append(f"| {kind} | {' | '.join(texts)} |")
    counts = " ".join(
        f"{name}: {run['points']} points, {run['acknowledged']:,} acknowledged calls, {run['lost']} lost, "
        f"{run['wrong']} wrong, {run['two_ends']} with two ends, {run['failed']} failed, {run['handlers_run_twice']} "
        f"handlers run twice."
        for name, run in found.items()
    )
    heads = " | ".join(f"{name}: p50, most (times)" for name in found)
    return _table(f"| longest time without an end of a call | {heads} |", rows, counts)


def swarm(found: dict[str, Any]) -> str:
    """Scheduling by the number of replicas."""
    rows = [
        f"| {int(count):,} | {size['projects']:,} | {size['nodes']:,} | {size['calls_per_second']:,} "
        f"| {size['decide_ms']['p50']:.3f}, {size['decide_ms']['p99']:.3f} ms "
        f"| {size['decide_ms_without_free_gpus']['p50']:.3f}, {size['decide_ms_without_free_gpus']['p99']:.3f} ms "
        f"| {size['bytes_of_an_idle_replica'] / 1000:.1f} KB |"
        for count, size in found["replicas"].items()
    ]
    return _table(
        "| replicas | projects | nodes | calls/s | a decision, p50 and p99 | with no free GPU | an idle replica |",
        rows,
        f"{found['machine']['processor']}, Python {found['machine']['python']}, commit {found['machine']['commit']}; "
        f"`{found['command']}`.",
    )


def history(found: dict[str, Any]) -> str:
    """What many finished calls cost."""
    databases = found["databases"]
    rows = [
        f"| {name} | "
        + " | ".join(
            f"{of[name]['without']:.2f} | {of[name]['with']:.2f} | {of[name]['ratio']:.2f}" for of in databases.values()
        )
        + " |"
        for name in next(iter(databases.values()))
    ]
    columns = " | ".join(f"{name}: none, ms | {found['calls']:,}, ms | ratio" for name in databases)
    return _table(
        f"| | {columns} |",
        rows,
        f"{found['projects']:,} projects. {found['machine']['processor']}, commit {found['machine']['commit']}; "
        f"`{found['command']}`.",
    )


def byte_equality(found: dict[str, Any]) -> str:
    """Exact mode's promise, counted."""
    return (
        f"{found['requests']} requests, {found['cancelled']} of them cancelled; {found['pictures']} pictures and "
        f"{found['bytes_compared']:,} bytes compared, {found['bytes_that_differ']} differ. {_measured(found)}"
    )


def processors(found: dict[str, Any]) -> str:
    """The embedded model beside busy processes, with threads that sleep at barriers and that spin."""
    names = {"beside 0": "alone", "beside 1": "beside 1 busy process", "beside 2": "beside 2 busy processes"}
    rows = []
    for name in found["rows"]["sleep"]:
        cells = []
        for policy in ("sleep", "spin"):
            row = found["rows"][policy][name]
            cell = (
                f"{row['pictures_per_second']:.2f} pictures/s"
                if name.endswith("engines")
                else f"p50 {row['p50']:.2f} s"
            )
            cells.append(f"{cell}, worst {row['worst']:.2f} s")
        rows.append(f"| {names.get(name, f'{name} at once')} | {' | '.join(cells)} |")
    return _table("| one picture | threads sleep | threads spin |", rows, _measured(found))


def soak(found: dict[str, Any]) -> str:
    """Half an hour of every kind of request."""
    times = [found["seconds"] / 10, *(found["seconds"] / 3 * third for third in (1, 2, 3))]
    rows = [
        f"| {seconds / 60:.0f} | {row['memory']} MB | {row['threads']} | {row['files']} |"
        for seconds, row in zip(times, [found["early"], *found["thirds"]], strict=True)
    ]
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found["counted"].items()))
    return _table("| minutes | memory | threads | files |", rows, f"Answered: {counts}. {_measured(found)}")


def _table(head: str, rows: list[str], text: str) -> str:
    """A table of Markdown, and the text below it."""
    return "\n".join([head, f"|{' --- |' * (head.count('|') - 1)}", *rows, "", text])


def _measured(found: dict[str, Any]) -> str:
    where = found["machine"]
    return (
        f"{where.get('card') or where['processor']}, {where['threads']} threads, torch {where['torch']}, "
        f"diffusers {where['diffusers']}, commit {where['commit']}; `{found['command']}`."
    )


TABLES = {
    "embedded": embedded,
    "mixed-load": mixed_load,
    "throughput": throughput,
    "host-overhead": host_overhead,
    "byte-equality": byte_equality,
    "mocks": mocks,
    "platform": platform,
    "soak": soak,
    "processors": processors,
    "cluster": cluster,
    "chaos": chaos,
    "swarm": swarm,
    "history": history,
}


def written(page: str) -> str:
    """A page's text with each marked table as the results have it."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        results = RESULTS / f"{name.replace('-', '_')}.json"
        if begin in page and results.exists():
            head, rest = page.split(begin, 1)
            page = f"{head}{begin}\n{table(json.loads(results.read_text()))}\n{end}{rest.split(end, 1)[1]}"
    return page


def write() -> None:
    """Bring the pages up to date."""
    for page in PAGES:
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
