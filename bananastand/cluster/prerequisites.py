"""What a machine needs to join: a recent Ray, and the versions that the first machine has."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata

from packaging.version import Version

from bananastand import __version__

from .credentials import CredentialsError

__all__ = ["check_ray", "check_versions", "member_versions"]

MINIMUM = Version("2.60")  # earlier ones have no token that is asked for everywhere
NAMES = {"python": "Python", "ray": "Ray", "bananastand": "Bananastand"}


def member_versions() -> dict[str, str]:
    """Return the versions of Python (without its last part), Ray and Bananastand here. Raises CredentialsError."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, "ray": check_ray(), "bananastand": __version__}


def check_ray() -> str:
    """Return the version of Ray here. Raises CredentialsError if it is missing or too old."""
    try:
        found = metadata.version("ray")
    except metadata.PackageNotFoundError:
        raise CredentialsError("Ray is not installed: pip install 'bananastand[cluster]'") from None
    if Version(found) < MINIMUM:
        advice = "pip install --upgrade 'bananastand[cluster]'"
        raise CredentialsError(f"Ray {found} is too old: {MINIMUM} or newer is needed: {advice}")
    return found


def check_versions(cluster: Mapping[str, str], member: Mapping[str, str]) -> None:
    """Compare a member's versions with the cluster's. Raises CredentialsError where they differ."""
    for key, name in NAMES.items():
        if member.get(key) != cluster[key]:
            raise CredentialsError(
                f"the cluster runs {name} {cluster[key]}, this machine has {member.get(key)}: install {name} "
                f"{cluster[key]} here, or upgrade the cluster first"
            )
