"""Runs uv, or pip where uv is absent, for the pip lines of a Dockerfile."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...environment import inherited
from ...replicas.isolation_policy import IsolationPolicy
from ...replicas.visible_paths import installation_prefixes
from ..commands import output, run
from ..tables import read_table
from .installer_sandbox import sandbox_installer

__all__ = ["InstallerFailed", "Installer", "PipConfig", "find_uv", "pip_config", "words_for_pip", "words_for_uv"]

TABLE = read_table("pip_options")
RENAMED: dict[str, str] = TABLE["renamed"]
NEEDLESS, NEEDLESS_VALUES = frozenset[str](TABLE["needless"]), frozenset[str](TABLE["needless_values"])
ONCE = frozenset[str](TABLE["once"])
# Lines of uv's that say nothing to a reader of a build's log; the first of them, one for each file of an index.
NOISE = re.compile(r"warning: `\S+` is missing an upload date|Using Python \S+ environment at|warning: pip's `")


class InstallerFailed(Exception):
    """An installer ended with an error status; `lines` is its output."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines[-1] if lines else "it said nothing")
        self.lines = list(lines)


@dataclass(frozen=True, slots=True)
class PipConfig:
    """The configuration of this machine's pip, which uv does not read."""

    index: str | None = None
    extra: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    certificates: str | None = None
    trusted: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    no_index: bool = False

    def for_uv(self) -> dict[str, str]:
        """Return the configuration as variables for uv."""
        variables = {
            "UV_DEFAULT_INDEX": self.index or "",
            "UV_INDEX": " ".join(self.extra),
            "UV_FIND_LINKS": ",".join(self.folders),
            "SSL_CERT_FILE": self.certificates or "",
            "UV_INSECURE_HOST": " ".join(self.trusted),
            "UV_CONSTRAINT": " ".join(self.constraints),
            "UV_NO_INDEX": "1" if self.no_index else "",
        }
        return {name: value for name, value in variables.items() if value}


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs packages into one environment.

    Attributes:
        uv: Its path, or None for pip.
        python: The interpreter of the environment.
        cache: Of packages, for uv.
        log: Called with each line.
        lends_pip: Whether this process's pip serves the environment, which has to be of the same Python.
        policy: What the installer and setup scripts are kept from.
    """

    uv: str | None
    python: str
    cache: Path
    log: Callable[[str], None]
    lends_pip: bool = True
    policy: IsolationPolicy | None = None

    async def run(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        more: Sequence[str] = (),
        hashed: bool = False,
    ) -> list[str]:
        """Run one `install` or `uninstall` and return its output.

        Args:
            words: As they stand after `pip`.
            cwd: The folder that relative paths are of.
            environment: Variables, pip's own among them.
            more: Options for uv alone: dates, overrides and the like.
            hashed: Whether hashes are checked. uv then refuses constraints that pin no version, so those of this
                machine are left out.

        Raises:
            Failed: It ended with another status than 0.
        """
        lines = list[str]()
        self.cache.mkdir(parents=True, exist_ok=True)

        def both(line: str) -> None:
            lines.append(line)
            if NOISE.match(line) is None:
                self.log(line)

        own = {name: value for name, value in environment.items() if name != "PYTHONPATH"}  # else it looks installed
        if self.uv:
            config = await pip_config(own)
            if hashed:
                config = dataclasses.replace(config, constraints=())
            own = {**_of_user(), **own, **config.for_uv(), **_of_uv(self.cache)}
            action, *rest = words_for_uv(words)
            options = ["--no-editable", *more] if action == "install" else []
            command = [self.uv, "pip", action, "--python", self.python, *options, *rest]
        else:
            lends = self.lends_pip and importlib.util.find_spec("pip") is not None
            pip = [sys.executable, "-m", "pip", "--python", self.python] if lends else [self.python, "-m", "pip"]
            command = [*pip, "--no-input", *words_for_pip(words)]
        seen = [*self._installations(), *(word for word in command if word.startswith("/"))]
        folder = str(Path(self.python).parent.parent)
        writable = [str(self.cache.parent), folder, *([own["UV_CACHE_DIR"]] if "UV_CACHE_DIR" in own else [])]
        with sandbox_installer(command, self.policy, cwd=cwd, readable=seen, writable=writable) as (
            words,
            more_variables,
        ):
            if await run(words, log=both, cwd=cwd, environment={**own, **more_variables}):
                raise InstallerFailed(lines)
        return lines

    def _installations(self) -> set[str]:
        """Return the installations of the interpreter, this program and the installer."""
        programs = [self.python, sys.executable, *([self.uv] if self.uv else [])]
        return {
            path
            for program in programs
            for path in (*installation_prefixes(program, self.policy), os.path.realpath(program))
        }


def find_uv() -> str | None:
    """Return the uv that is installed with this package, else the one on PATH, or None."""
    if importlib.util.find_spec("uv") is not None:
        from uv import find_uv_bin

        try:
            return find_uv_bin()
        except FileNotFoundError:
            pass
    return shutil.which("uv")


async def pip_config(environment: Mapping[str, str]) -> PipConfig:
    """Ask pip for its configuration in files and variables; empty where there is no pip."""
    if importlib.util.find_spec("pip") is None:
        return PipConfig()
    variables = {name: value for name, value in environment.items() if name.startswith("PIP_")}
    base = {**inherited(os.environ, "PIP_"), **variables}
    status, text = await output([sys.executable, "-m", "pip", "config", "list"], environment=base)
    values = dict[str, str]()
    lines = text.splitlines() if status == 0 else []
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):  # variables come before files
        if found := re.fullmatch(r"([\w:.]+)\.([\w-]+)='?(.*?)'?", line):
            if found[1] not in ("global", "install", ":env:"):
                continue
            name, value = found[2], _unquoted(line.partition("=")[2])
            many = name in ("extra-index-url", "find-links", "trusted-host", "constraint")
            values[name] = f"{values[name]} {value}" if many and found[1] == "install" and name in values else value
    lists = {name: tuple(dict.fromkeys(value.split())) for name, value in values.items()}
    return PipConfig(
        values.get("index-url"), lists.get("extra-index-url", ()), lists.get("find-links", ()), values.get("cert"),
        lists.get("trusted-host", ()), lists.get("constraint", ()),
        values.get("no-index", "").lower() in ("1", "true", "yes", "on"),
    )  # fmt: skip


def words_for_uv(words: Sequence[str]) -> list[str]:
    """Translate pip's words into uv's.

    >>> words_for_uv(["install", "--user", "--timeout", "60", "-U", "numpy"])
    ['install', '-U', 'numpy']
    """
    actions, taken, left = [word for word in words if word in ("install", "uninstall")][:1], list[str](), iter(words)
    for word in left:
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word in actions or word in NEEDLESS or (word in ONCE and word in taken):
            actions = actions if word not in actions else [f"{word} "]
            continue
        if name in NEEDLESS_VALUES:
            if not equals:
                next(left, None)
            continue
        taken.append(RENAMED.get(name, name) + equals + value)
    return [(actions or ["install"])[0].strip(), *taken]


def words_for_pip(words: Sequence[str]) -> list[str]:
    """Return the words without --user, which installs outside of the environment, and with --yes to uninstall."""
    rest = [word for word in words if word != "--user"]
    return [*rest, "--yes"] if "uninstall" in rest and not {"-y", "--yes"} & set(rest) else rest


def _of_user() -> dict[str, str]:
    """Return the user's own settings of uv, without those that name an environment."""
    variables = inherited(os.environ, "UV_")
    return {name: value for name, value in variables.items() if name.startswith("UV_") and "PYTHON" not in name}


def _of_uv(cache: Path) -> dict[str, str]:
    """Return variables that make uv behave as pip: all indexes count alike, and no project file decides."""
    return {
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(cache),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_HTTP_TIMEOUT": os.environ.get("UV_HTTP_TIMEOUT", "180"),
        "NO_COLOR": "1",
    }


def _unquoted(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return text.strip("'\"")
