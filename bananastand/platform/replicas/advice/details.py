"""Works out the details of an advice: the package of a module, the option for a variable, the place of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...tracebacks import LastError
from .missing_packages import MOVED, PACKAGES, POTASSIUM, library_package, python_package, requirement_files, requires

__all__ = [
    "POTASSIUM",
    "Details",
    "Evidence",
    "missing_file",
    "missing_library",
    "missing_module",
    "missing_program",
    "missing_variable",
    "no_details",
    "other_port",
    "outdated_package",
    "potassium_versions",
    "removed_module",
    "unset_variable",
]

Details = dict[str, str]
SECRET_NAMES = "TOKEN|KEY|SECRET|PASS|AUTH|CREDENTIAL"  # in the names of variables


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the details of an advice come from.

    Attributes:
        text: All that was printed.
        error: The last error in it.
        source: The folder of the repository.
    """

    text: str
    error: LastError | None
    source: Path | None


def no_details(found: re.Match[str], evidence: Evidence) -> Details:
    """Add nothing to the names of the pattern."""
    return {}


def missing_module(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Name the package of a missing module and where to list it; None for a part of an installed package."""
    module, source = found["module"], evidence.source
    top = module.partition(".")[0]
    if "." in module and module not in PACKAGES:  # Python names the first part that is missing: the package is there
        return None
    package = python_package(module)
    return {"package": package, "step": _installation_step(top, package, source)}


def _installation_step(module: str, package: str, source: Path | None) -> str:
    if source is None:
        return f"Add `{package}` to requirements.txt."
    for path in (f"{module}.py", f"{module}/__init__.py", module):
        if (source / path).exists():
            return f"{path} is in the repository: have the Dockerfile COPY it beside the app."
    files = requirement_files(source)
    listed = next((file for file in files if requires(source, file, package)), None)
    if listed is not None:
        return f"{listed} names it: have the Dockerfile run `pip install -r {listed}`."
    if files:
        return f"Add `{package}` to {files[0]}, which does not name it."
    return f"Write a requirements.txt with `{package}`, and have the Dockerfile run `pip install -r requirements.txt`."


def removed_module(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Name the last Python that had a module; None for a module that Python never had."""
    top = found["module"].partition(".")[0]
    return {"last": MOVED[top]} if top in MOVED else None


def outdated_package(found: re.Match[str], evidence: Evidence) -> Details:
    """Name the package whose version does not fit the code."""
    return {"package": python_package(found["module"] or found["from"] or found["of"])}


def missing_library(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Name the Debian package of a shared library; None for an unknown library."""
    package = library_package(found["library"])
    return {"package": package} if package is not None else None


def missing_program(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Accept a missing file that was to be started as a program; None for any other."""
    return {} if re.search(r'File "[^"]*subprocess\.py"', evidence.text) else None


def missing_variable(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Name the option that passes an environment variable; None for a key of another dictionary."""
    is_environment = re.search(r'File "(<frozen os>|.*/os\.py)"', evidence.text)
    return {"option": _option(found["name"])} if is_environment else None


def unset_variable(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Name the environment variable that the failing line reads; None for a line that reads none."""
    code = evidence.error.frame.code if evidence.error is not None and evidence.error.frame is not None else None
    name = re.search(r"(?:getenv|environ\.get)\(\s*[\"'](\w+)", code or "")
    return {"name": name[1], "option": _option(name[1])} if name is not None else None


def _option(variable: str) -> str:
    return f"--secret {variable}" if re.search(SECRET_NAMES, variable) else f"--env {variable}=VALUE"


def missing_file(found: re.Match[str], evidence: Evidence) -> Details:
    """Say how a file gets to where the app opens it."""
    path, source = found["path"], evidence.source
    name = Path(path).name
    if source is not None and name and (source / name).is_file():
        return {"step": f"{name} is in the repository: add `COPY {name} {path}` to the Dockerfile."}
    if path.startswith("/"):
        return {"step": f"Have the Dockerfile write or COPY {path}, or pass its place by --env and read it there."}
    return {"step": "A relative path starts at WORKDIR: COPY the file there, or have download.py write it there."}


def potassium_versions(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Name the versions of Potassium that have a name; None for an unknown name."""
    versions = POTASSIUM.get(found["name"] or found["argument"])
    return {"versions": versions} if versions is not None else None


def other_port(found: re.Match[str], evidence: Evidence) -> Details | None:
    """Accept a printed port where the app never got ready; None otherwise."""
    return {} if re.search(r"not (healthy|ready)|never got ready|nothing listens", evidence.text) else None
