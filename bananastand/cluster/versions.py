"""What a front and a node must have in common, and the text where they do not."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping

import bananastand

__all__ = ["own_versions", "version_problem"]

PROTOCOL = "1"  # of the messages between bridge and keeper
ADVICE = (
    "install the same on all machines of the cluster (pip install 'bananastand[cluster]=={version}'), and start "
    "`bananastand join` there again"
)


def own_versions() -> dict[str, str]:
    """Return the versions of this process: of Bananastand, its messages, Ray, Python, and the kind of machine."""
    import ray

    return {
        "bananastand": bananastand.__version__,
        "protocol": PROTOCOL,
        "ray": ray.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def version_problem(front: Mapping[str, str], node: Mapping[str, str], name: str) -> str | None:
    """Return why a front may not use a node, with what to do; None where it may.

    Args:
        front: The front's `own_versions`.
        node: The node's.
        name: The node's name.
    """
    advice = ADVICE.format(version=front["bananastand"])
    for part, label in (("bananastand", "Bananastand"), ("ray", "Ray")):
        if front[part] != node.get(part):
            return f"node {name} has {label} {node.get(part)}, and this platform has {front[part]}: {advice}"
    if front["protocol"] != node.get("protocol"):
        return f"node {name} has another build of Bananastand {front['bananastand']} than this platform: {advice}"
    if _minor(front["python"]) != _minor(node.get("python", "")):
        return (
            f"node {name} has Python {node.get('python')}, and this platform has {front['python']}: run Bananastand on "
            f"Python {_minor(front['python'])} on all machines of the cluster"
        )
    if front["machine"] != node.get("machine"):
        return f"node {name} is a {node.get('machine')}, and this platform builds for {front['machine']}"
    return None


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
