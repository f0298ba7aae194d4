"""What the RUN lines of an image's build get for its duration: tokens, addresses, a package index, other weights.

It reaches a RUN line by build secrets: a file of shell lines that the line reads before its own command. Nothing of it
stays in the image's layers, history or configuration, or shows among the words of a process.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...environment import addresses, is_loopback
from ..dockerfile.dockerfile import Dockerfile
from ..environments.installer import PipConfig
from ..settings import BuildSettings
from ..weights.weights import RENAMED, VARIABLE, declared_arguments, hub_tokens, renamed_folder
from .dated_index import DatedIndex

__all__ = ["RunEnvironment", "make_run_environment"]

SETUP = "/run/secrets/bananastand"  # shell lines
CERTIFICATES = "/run/secrets/bananastand-certificates"
CARRIER = "BANANASTAND_BUILD"  # of the engine's process: the shell lines
LARGEST_CERTIFICATES = 480_000  # bytes; docker takes secrets of up to 500 KiB
TRUSTING = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
)


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """Additions to an engine's build command and to RUN lines.

    Attributes:
        options: Of the build command.
        environment: Variables of the build command.
        flags: Of each RUN line.
        words: Shell words before each RUN line's command.
        names: Of the variables, for the log.
        on_loopback: Whether a variable holds an address of this machine.
    """

    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    flags: tuple[str, ...] = ()
    words: str = ""
    names: tuple[str, ...] = ()
    on_loopback: bool = False


def make_run_environment(
    dockerfile: Dockerfile, settings: BuildSettings, weights: Mapping[str, str], machine: Mapping[str, str],
    pip: PipConfig, index: DatedIndex | None = None,
) -> RunEnvironment:  # fmt: skip
    """Collect the additions.

    Args:
        dockerfile: Its ARG lines declare which secrets RUN lines see.
        settings: Of the build; its secrets among them.
        weights: Names on the hub, and those to fetch in their place.
        machine: The platform's own variables.
        pip: What pip is configured with on this machine.
        index: The packages of a day; None for those of today.
    """
    tokens = hub_tokens(settings.secrets, declared_arguments(dockerfile))
    known = addresses(machine) | _of_pip(pip)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(tokens.items())]
    lines += [f'[ -n "${{{name}:-}}" ] || export {name}={shlex.quote(value)}' for name, value in sorted(known.items())]
    options, mounts, names = list[str](), list[str](), [*tokens, *known]
    words = f". {SETUP}; "  # with the weights and the day in it: a layer is used again where they are the same
    if index is not None:
        lines += _of_index(index)
        words += f": packages of {index.cutoff:%Y-%m-%d}; "
    if certificates := _certificates(machine, pip):
        options += ["--secret", f"id=bananastand-certificates,src={certificates}"]
        mounts.append(_mount("bananastand-certificates", CERTIFICATES))
        lines += [f'[ -n "${{{name}:-}}" ] || export {name}={CERTIFICATES}' for name in TRUSTING]
        names.append("SSL_CERT_FILE")
    if weights:
        text = json.dumps(dict(sorted(weights.items())))
        options += ["--secret", f"id=bananastand-weights,src={renamed_folder() / 'sitecustomize.py'}"]
        mounts.append(_mount("bananastand-weights", f"{RENAMED}/sitecustomize.py"))
        lines += [
            f"export {VARIABLE}={shlex.quote(text)}",
            f'export PYTHONPATH="{RENAMED}${{PYTHONPATH:+:$PYTHONPATH}}"',
        ]
        names.append(VARIABLE)
        words += f": {shlex.quote(text)}; "
    if not lines:
        return RunEnvironment()
    return RunEnvironment(
        options=("--secret", f"id=bananastand,env={CARRIER}", *options),
        environment={CARRIER: "\n".join([*lines, ""])},
        flags=(_mount("bananastand", SETUP), *mounts),
        words=words,
        names=tuple(sorted(names)),
        on_loopback=index is not None or any(is_loopback(value) for value in known.values()),
    )


def _mount(name: str, target: str) -> str:
    """Return a secret mount that whichever user the Dockerfile names can read."""
    return f"--mount=type=secret,id={name},target={target},mode=0444,required=true"


def _of_pip(pip: PipConfig) -> dict[str, str]:
    """Return the indexes of this machine's pip; folders of this machine do not exist in a container."""
    extra = " ".join(index for index in pip.extra if not index.startswith(("file:", "/")))
    main = pip.index if pip.index and not pip.index.startswith(("file:", "/")) else ""
    values = {
        "PIP_INDEX_URL": main,
        "UV_DEFAULT_INDEX": main,
        "PIP_EXTRA_INDEX_URL": extra,
        "UV_INDEX": extra,
        "PIP_TRUSTED_HOST": " ".join(pip.trusted),
    }
    return {name: value for name, value in values.items() if value}


def _of_index(index: DatedIndex) -> list[str]:
    """Return shell lines for a dated index: uv gets the date, pip the index where it can be reached.

    An engine in a virtual machine, as on a Mac, cannot reach it.
    """
    code = f"import socket; socket.create_connection(('127.0.0.1', {index.port}), 5).close()"
    return [
        f"export UV_EXCLUDE_NEWER={index.cutoff:%Y-%m-%dT%H:%M:%SZ}",
        f'for bananastand_python in python3 python; do if "$bananastand_python" -c "{code}" 2> /dev/null; then',
        f"    export PIP_INDEX_URL={index.address}; unset PIP_EXTRA_INDEX_URL; break",
        "fi; done",
        "unset bananastand_python",
    ]


def _certificates(machine: Mapping[str, str], pip: PipConfig) -> str | None:
    """Return this machine's own certificate authority file, where one is named."""
    named = (machine.get("SSL_CERT_FILE"), machine.get("REQUESTS_CA_BUNDLE"), pip.certificates)
    for name in filter(None, named):
        path = Path(name)
        if "," not in name and path.is_file() and path.stat().st_size <= LARGEST_CERTIFICATES:
            return os.path.realpath(name)
    return None
