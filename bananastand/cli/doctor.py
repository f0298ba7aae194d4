"""`bananastand doctor`: what this machine can do, what is missing, and how to install it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Literal, NamedTuple

import typer

__all__ = ["Finding", "doctor", "examine"]

BUILDERS = ("docker", "podman", "buildah")
PACKAGES = {  # distribution -> what goes without it; None where nothing works
    "torch": None,
    "diffusers": None,
    "transformers": None,
    "potassium": "python app.py: pip install 'bananastand[serve]'",
    "fastapi": "the mock servers: pip install 'bananastand[mocks]'",
    "ray": "replicas on many machines: pip install 'bananastand[cluster]'",
}


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        state: good, missing (something optional is) or bad (painting does not work).
        subject: What was examined.
        text: What was found, and what to do.
    """

    state: Literal["good", "missing", "bad"]
    subject: str
    text: str


def doctor() -> None:
    """Report what this machine can do: device, memory, models, port, image builders.

    Missing parts are listed with the way to install them. Exits with 1 if painting cannot work here.
    """
    from rich.console import Console

    console, failed = Console(), False
    marks = {"good": "[green]✓[/green]", "missing": "[yellow]–[/yellow]", "bad": "[red]✗[/red]"}
    with console.status("looking around (importing torch takes a few seconds)"):
        for finding in examine():
            failed |= finding.state == "bad"
            console.print(f"{marks[finding.state]} [bold]{finding.subject:<12}[/bold]", end=" ")
            console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """Examine the machine, most important things first. Changes nothing and uses no network."""
    yield _python()
    for name, cost in PACKAGES.items():
        yield _package(name, cost)
    yield _device()
    yield _memory()
    yield from _models()
    yield _port(int(os.environ.get("PORT") or 8000))
    yield from (_builder(name) for name in BUILDERS)
    yield from _cluster()


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding(
        "good" if good else "bad",
        "Python",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}"
        + ("" if good else "; 3.11 or newer is needed"),
    )


def _package(name: str, cost: str | None) -> Finding:
    try:
        return Finding("good", name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return (
            Finding("missing", name, f"not installed; needed for {cost}")
            if cost
            else Finding("bad", name, f"not installed: pip install {name}")
        )


def _device() -> Finding:
    try:
        import torch

        from bananastand.diffusion.loading import best_device
    except ImportError as error:
        return Finding("bad", "device", f"torch does not import: {error}")
    chosen = best_device()
    if chosen.startswith("cuda"):
        found = torch.cuda.get_device_properties(chosen)
        return Finding("good", "device", f"{chosen}: {found.name}, {found.total_memory / 1e9:.0f} GB")
    if chosen == "mps":
        return Finding("good", "device", "mps: the Mac's own GPU")
    hint = ""
    if shutil.which("nvidia-smi"):
        hint = f"; an NVIDIA driver is here, but torch {torch.__version__} sees no GPU: install a CUDA build of torch"
    return Finding("good", "device", f"{chosen}: {torch.get_num_threads()} threads{hint}")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    free = shutil.disk_usage(os.path.expanduser("~")).free / 1e9
    return Finding("good", "memory", f"{total:.0f} GB in all; {free:.0f} GB of disk free")


def _models() -> Iterator[Finding]:
    from bananastand.diffusion import ModelFileError, list_models

    try:
        models = list_models()
    except ModelFileError as error:
        yield Finding("bad", "models", str(error))
        return
    here = [model.name for model in models if model.fetched]
    if "fruitstand" in here:
        yield Finding("good", "models", f"{', '.join(here)}; all models: bananastand models")
    else:
        yield Finding("bad", "models", "the embedded model is incomplete: git checkout models/fruitstand")


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return Finding(
                "missing", f"port {port}", "taken: something answers there; take another: PORT=8001 python app.py"
            )
    return Finding("good", f"port {port}", "free")


def _builder(name: str) -> Finding:
    if shutil.which(name) is None:
        return Finding(
            "missing",
            name,
            f"not installed; one of {', '.join(BUILDERS)} is enough for make image (apt-get install buildah)",
        )
    try:
        done = subprocess.run([name, "info"], capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Finding("missing", name, "installed, but does not answer")
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding("missing", name, f"installed, but not usable: {why[:160]}")
    return Finding("good", name, "builds images")


def _cluster() -> Iterator[Finding]:
    """Yield what this machine is in a cluster, if it is in one."""
    from bananastand.platform.settings import default_data

    data = default_data()
    folders = [data / "cluster" / "head", data / "cluster" / "front", data.with_name("bananastand-node")]
    if not (known := [folder for folder in folders if folder.is_dir()]):
        return
    from bananastand.cluster.credentials import CredentialsError, Identity

    for folder in known:
        try:
            member = Identity.load(folder)
            where = f"{member.name}, a {member.role} of the cluster at {member.cluster.address}"
            advice = "; start it again soon, which renews it" if member.is_due() else ""
            state = "missing" if member.is_due() else "good"
            yield Finding(state, "cluster", f"{where}; its certificate ends on {member.ends():%Y-%m-%d}{advice}")
        except CredentialsError as error:
            yield Finding("bad", "cluster", str(error))
