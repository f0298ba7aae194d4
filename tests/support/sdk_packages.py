"""Published client packages, installed from their registries and driven by a program in `sdks/`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

from bananastand_mocks.running import RunningServer
from stands import Up

__all__ = ["APPS", "INPUTS", "NodeSdks", "PythonSdks", "apps", "deploy_apps", "exports", "mock_job"]

DRIVERS = Path(__file__).resolve().parent / "sdks"
APPS = {"potassium": "potassium", "template": "template", "own": "echo"}  # name of the project: source
INPUTS = {"prompt": "a ripe banana", "größe": 2, "nested": {"list": [1, None, True]}}


def deploy_apps(up: Up) -> None:
    """A Potassium app, one of the first template, and one that is another server."""
    for name, source in APPS.items():
        assert up.deploy(name, source)["state"] == "live", up.log


def apps(up: Up, url: str | None = None) -> dict[str, dict[str, str]]:
    """What a user copies from each project's page. url: its address with NAME in it; that of this stand by default."""
    url = url or f"http://127.0.0.1:{up.port}/banana/run/NAME"
    projects = {name: up.http.get(f"/stand/v1/projects/{name}").json() for name in APPS}
    return {name: {"model_key": row["model_key"], "url": url.replace("NAME", name)} for name, row in projects.items()}


def mock_job(server: RunningServer) -> dict[str, Any]:
    """What a driver needs to call the mock, which draws a picture for every app."""
    at = server.endpoint("banana-native")
    httpx2.post(f"{at.base_url}/v1/projects", json={"name": "potassium"}, headers={"x-banana-api-key": at.key})
    app = {"model_key": "value", "url": f"{at.base_url}/run/value"}
    return {"key": at.key, "api": f"{at.base_url}/v1", "apps": {"potassium": app, "template": app}}


def exports(up: Up) -> dict[str, str]:
    """The environment of a shell that has evaluated the lines which the platform printed."""
    lines = [line.strip() for line in up.lines if line.strip().startswith("export ")]
    shell = ["sh", "-c", "\n".join((*lines, "env -0"))]
    ran = subprocess.run(shell, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    return dict(pair.split("=", 1) for pair in ran.stdout.split("\0") if "=" in pair)


def answers(command: list[str], request: dict[str, Any], environment: dict[str, str], home: Path) -> dict[str, Any]:
    """What the program printed."""
    ran = subprocess.run(
        command, input=json.dumps(request), env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    for line in ran.stdout.splitlines():
        if line.startswith("ANSWERS "):
            found: dict[str, Any] = json.loads(line.removeprefix("ANSWERS "))
            return found
    raise AssertionError(ran.stdout + ran.stderr)


class PythonSdks:
    """Environments below a folder, one for each set of requirements, made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python(self, *requirements: str) -> Path:
        """The interpreter of an environment with these packages."""
        place = self._folder / "-".join(requirements).replace("=", "")
        if not (place / "bin" / "python").exists():
            path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
            uv = shutil.which("uv", path=path)
            assert uv is not None, "the test needs uv"
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
            install = [uv, "pip", "install", "-q", "--python", str(place), *requirements]
            subprocess.run(install, check=True, timeout=300)
        return place / "bin" / "python"

    def drive(self, version: str, request: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
        """What the program says with this banana-dev."""
        more = ["requests", "numpy", "pillow"] if version == "0.0.1" else []  # which it needs and does not name
        python = self.python(f"banana-dev=={version}", *more)
        command = [str(python), str(DRIVERS / "drive.py")]
        return answers(command, {"version": version, **request}, environment, self._folder)

    def drive_fal(self, version: str, environment: dict[str, str]) -> dict[str, Any]:
        """What the program says with this fal-client."""
        command = [str(self.python(f"fal-client=={version}")), str(DRIVERS / "fal.py")]
        return answers(command, {}, environment, self._folder)


class NodeSdks:
    """Folders of Node packages below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def driver(self, package: str, program: str) -> Path:
        """A program of `sdks/` beside this package, which is installed when it is first needed."""
        place = self._folder / package.replace("/", "-")
        if not (place / program).exists():
            place.mkdir(parents=True)
            quiet = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(["npm", "install", "--prefix", str(place), *quiet, package], check=True, timeout=300)
            shutil.copy(DRIVERS / program, place / program)
        return place / program

    def drive(self, version: str, request: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
        """What the program says with this @banana-dev/banana-dev."""
        command = ["node", str(self.driver(f"@banana-dev/banana-dev@{version}", "drive.cjs"))]
        return answers(command, {"version": version, **request}, environment, self._folder)

    def drive_fal(self, version: str, request: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
        """What the program says with this @fal-ai/client."""
        command = ["node", str(self.driver(f"@fal-ai/client@{version}", "fal.cjs"))]
        return answers(command, request, environment, self._folder)
