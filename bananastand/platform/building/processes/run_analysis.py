"""Reads a RUN line for the process builder: what pip and conda install, what is left out, and what is run.

Where no mount namespace does it, absolute paths of what is run are led into the build's root file system.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from ..dockerfile.shell import ShellCommand, ShellError, ShellWord, parse_commands, replace_spans
from ..environments.conda import PROGRAMS as CONDA
from ..environments.lock_files import EXPORTS, exported_to, runner_words
from ..environments.lock_files import PROGRAMS as LOCKS
from ..errors import NotHonoured
from ..tables import read_table
from .system_packages import MANAGERS, harmless_reason, packages_of, setup_reason

__all__ = ["ROOT", "RunAnalysis", "is_builtin", "analyse_run"]

ROOT = "BANANASTAND_ROOT"  # the variable that holds the tree a path like /app is in
HERE = ("/dev/", "/proc/", "/sys/")  # this machine's own, also for a build
PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
PIP = re.compile(r"pip(?:3(?:\.\d+)?)?")
SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh"})
TABLE = read_table("shell_programs")
TOOLS = frozenset[str](TABLE["tools"])  # whose operands are all the paths they touch
RUNS = TOOLS | frozenset[str](TABLE["others"])
PATTERNS, READERS = frozenset[str](TABLE["patterns"]), frozenset[str](TABLE["readers"])
PATTERN_FIRST, PIP_QUIET = list[str](TABLE["pattern_first"]), list[str](TABLE["pip_quiet"])
# They add a package source to an image's system.
SOURCE_SCRIPT = re.compile(r"packagecloud\.io|nodesource\.com|script\.(deb|rpm)\.sh")
# Installers of what the builder brings: a file named so is fetched, run and removed.
INSTALLERS = re.compile(
    r"(.*/)?(get-pip\.py|(mini|micro)?(conda|mamba|forge)\d*(-latest)?[\w.-]*\.sh|Ana?conda3[\w.-]*\.sh)$",
    re.IGNORECASE,
)
POETRY = re.compile(r"install\.python-poetry\.org|get-poetry\.py|astral\.sh/uv/install")


@dataclass(slots=True)
class RunAnalysis:
    """What a shell line means; `line` is what is left of it for the shell."""

    line: str
    pip: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    conda: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    locks: list[str] = field(default_factory=list[str])  # poetry, pipenv or uv, which install by a lock file
    exports: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # and write a requirements file
    assignments: dict[str, str] = field(default_factory=dict[str, str])  # before pip: PIP_CONFIG_FILE=...
    left_out: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # a command, and why
    packages: list[str] = field(default_factory=list[str])  # of Debian
    environments: list[str] = field(default_factory=list[str])  # folders that the line makes virtual environments in
    programs: set[str] = field(default_factory=set[str])  # that are not known here: a console script, perhaps
    writes: list[str] = field(default_factory=list[str])  # absolute paths that may be written
    plain: bool = True  # all of its programs are tools that need no Python


def is_builtin(command: ShellCommand, known: Callable[[str], str | None]) -> bool:
    """Whether the builder does a command itself: pip's, conda's or a virtual environment's."""
    program, words = _program(command, known)
    action = (program, (words[1:2] or [""])[0])
    if program in ("pip", "virtualenv") or program in CONDA or action in LOCKS or action in EXPORTS:
        return True
    return PYTHON.fullmatch(program) is not None and _is_setup(words)


def analyse_run(
    number: int, text: str, known: Callable[[str], str | None], *, sandboxed: bool = False, beginning: str = ""
) -> RunAnalysis:
    """Read the shell line of a RUN instruction.

    Args:
        number: The Dockerfile's line.
        text: The shell line.
        known: Returns the value of a variable, or None.
        sandboxed: Whether the root file system will be the root of what runs, so that paths stay as they are.
        beginning: Of the instruction, for error messages; "RUN" and the text if left out.

    Raises:
        NotHonoured: The line needs a container.
    """
    return _Analyser(number, text, known, sandboxed, beginning or f"RUN {text}").analyse()


class _Analyser:
    """Sorts the commands of one line: for the shell, for the builder, or left out."""

    def __init__(
        self, number: int, text: str, known: Callable[[str], str | None], sandboxed: bool, beginning: str
    ) -> None:
        self.number, self.text, self.known, self.sandboxed, self.beginning = number, text, known, sandboxed, beginning
        self.run = RunAnalysis(text)

    def analyse(self) -> RunAnalysis:
        """Return what the line means. Raises NotHonoured."""
        try:
            found = parse_commands(self.text)
        except ShellError as error:
            if not self.sandboxed:
                raise self._refusal(f"RUN with {error} is not understood without a container") from None
            self.run.plain = False
            return self.run
        removed = {at for at, command in enumerate(found) if command.words and self._is_removed(command)}
        # What is piped into a command that is left out serves nothing else.
        for at in range(len(found) - 1, 0, -1):
            if at in removed and self.text[found[at - 1].end : found[at].start].strip() == "|":
                removed.add(at - 1)
        changes = list[tuple[int, int, str]]()
        for at, command in enumerate(found):
            if at in removed:
                # What a left out command was redirected to stays empty, as far as a later line looks.
                changes.append((command.start, command.end, ":"))
                continue
            changes += _owners(command) + _runner(command) + ([] if self.sandboxed else _paths(command))
            self.run.writes += _written(command)
        if any(start < other < end for start, end, _ in changes for other, _, _ in changes):
            raise self._refusal("RUN with a command inside one that is not run is not understood")
        self.run.line = replace_spans(self.text, changes) if len(removed) < len(found) else ""
        return self.run

    def _refusal(self, message: str) -> NotHonoured:
        return NotHonoured(self.number, message, self.beginning)

    def _is_removed(self, command: ShellCommand) -> bool:
        """Whether the command is not for the shell: an installer's, or one that is left out."""
        program, words = _program(command, self.known)
        if not program:
            if not self.sandboxed:
                raise self._refusal(f"RUN {command.words[0].text}: its program is not known before it runs")
            self.run.plain = False
            return False
        if program == "pip":
            if self.sandboxed and None in words:
                self.run.plain = False  # the shell knows the word, and the note of its pip says it
                return False
            return self._pip(words[1:], command)
        if self._is_installer(program, words, command):
            return True
        if (reason := self._reason_to_leave_out(program, words, command)) is not None:
            self.run.left_out.append((" ".join(self.text[command.start : command.end].split()), reason))
            return True
        self.run.plain = self.run.plain and program in TOOLS
        if not (PYTHON.fullmatch(program) or program in RUNS):
            path = words[0] or ""
            self.run.programs.add(path if "/" in path and not path.startswith("/") else program)
        return False

    def _is_installer(self, program: str, words: list[str | None], command: ShellCommand) -> bool:
        """Note what poetry, pipenv, uv, setup.py, venv or conda are to install; False for any other command."""
        action = (program, (words[1:2] or [""])[0])
        is_python = PYTHON.fullmatch(program) is not None
        if action in LOCKS:
            self.run.locks.append(program)
        elif action in EXPORTS:
            self._export(program, words, command)
        elif is_python and _is_setup(words):
            self.run.pip.append(("install", "-e", ".") if "develop" in words else ("install", "."))
        elif program == "virtualenv":
            self.run.environments += [word for word in words[1:] if word and not word.startswith("-")]
        elif program in CONDA:
            self.run.conda.append(tuple(word or "" for word in words[1:]))
        elif (program in SHELLS or is_python) and len(words) < 3 and POETRY.search(self.text):
            if _names_installer(words):
                return False
            self.run.pip.append(("install", "poetry"))
        else:
            return False
        return True

    def _reason_to_leave_out(self, program: str, words: list[str | None], command: ShellCommand) -> str | None:
        """Return why a command is not run, empty where that needs no words, or None where it is run."""
        if program == "poetry" and words[1:2] in (["config"], ["self"]):
            return "packages go into the build's environment"
        if _names_installer(words):
            return "the builder makes the app's Python and its environment"
        if program in MANAGERS:
            packages = packages_of([word or "" for word in words])
            self.run.packages += packages or ()
            return "" if packages else "the system is this machine's"
        if (reason := setup_reason(program, words, sandboxed=self.sandboxed)) is not None:
            return reason
        if program in SHELLS and len(words) < 3 and SOURCE_SCRIPT.search(self.text):
            return "it adds a package source to an image"
        if program in ("huggingface-cli", "hf") and "login" in words[1:3] and not self.sandboxed:
            return "this machine's own login stays as it is; give a token by --secret HF_TOKEN"
        operands = [word.literal or word.text for word in (*_operands(command, program), *command.files)]
        paths = [path for path in operands if path.startswith(("/", "~/", "$HOME/"))]
        if _all_paths(operands) and (reason := harmless_reason(program, paths)) is not None:
            return reason
        if program == "git" and words[1:3] == ["lfs", "install"]:
            self.run.packages.append("git-lfs")
            return "git-lfs is the machine's"
        return None

    def _export(self, program: str, words: list[str | None], command: ShellCommand) -> None:
        """Note that the builder writes the file of `poetry export > FILE`; without a file it is for pip's pipe."""
        targets = [word.literal for word in command.files if word.literal and not word.literal.startswith("/dev/")]
        file = exported_to(words) or next(iter(targets), None)
        if program == "pipenv" and words[1] == "lock" and not {"-r", "--requirements"} & set(words):
            self.run.left_out.append(("pipenv lock", "the lock file is read as it is"))
        elif file is not None:
            self.run.exports.append((program, file))
        else:
            self.run.locks.append(program)

    def _pip(self, words: list[str | None], command: ShellCommand) -> bool:
        if None in words:
            raise self._refusal("RUN pip with a word only the shell knows is not understood")
        plain = [word for word in words if word is not None]
        if "/dev/stdin" in plain and self.run.locks:
            return True
        action = next((word for word in plain if not word.startswith("-")), "")
        if action in ("install", "uninstall", "sync", "wheel", "download"):
            if action == "sync":  # uv pip sync FILE
                plain = ["install", *(part for word in plain if word != "sync" for part in ("-r", word))]
            self.run.pip.append(tuple(plain))
            for word in command.assignments:
                name, _, value = (_value(word, self.known) or "").partition("=")
                self.run.assignments[name] = value
        elif action not in PIP_QUIET:
            raise self._refusal(f"RUN pip {action} is not honoured")
        return True


def _program(command: ShellCommand, known: Callable[[str], str | None]) -> tuple[str, list[str | None]]:
    """Return the program's name and all words that are known; every spelling of pip becomes "pip"."""
    words = [_value(word, known) for word in command.words]
    if words and words[0] is None:  # $PIP_INSTALL torch
        name = re.fullmatch(r"\$\{?(\w+)\}?", command.words[0].text)
        value = known(name[1]) if name else None
        words = [*(shlex.split(value) if value else [None]), *words[1:]]
    while words and words[0] in ("sudo", "exec", "command", "time", "nice") and len(words) > 1:
        words = words[1:]
        while words and (words[0] or "").startswith("-"):
            words = words[1:]
    if words and words[0] == "env" and any("=" in (word or "") for word in words[1:2]):
        rest = words[1:]
        while rest and re.match(r"\w+=", rest[0] or ""):
            rest = rest[1:]
        words = rest or words
    words = words[len(runner_words(words)) :]
    program = (words[0] or "").rpartition("/")[2] if words else ""
    if PYTHON.fullmatch(program):
        flags = 1
        while flags < len(words) and words[flags] in ("-u", "-I", "-E", "-s", "-B"):
            flags += 1
        if words[flags : flags + 2] in (["-m", "pip"], ["-m", "pip3"]):
            return "pip", ["pip", *words[flags + 2 :]]
        if words[flags : flags + 2] in (["-m", "venv"], ["-m", "virtualenv"]):
            return "virtualenv", ["virtualenv", *words[flags + 2 :]]
    if program == "uv" and words[1:2] == ["pip"]:
        return "pip", [word for word in words[1:] if word != "--system"]
    if program == "uv" and words[1:2] == ["venv"]:
        return "virtualenv", ["virtualenv", *words[2:]]
    return ("pip" if PIP.fullmatch(program) else program), words


def _is_setup(words: list[str | None]) -> bool:
    """Whether it is `python setup.py install`, which would change an environment that builds share."""
    plain = [word for word in words[1:] if not (word or "").startswith("-")]
    return plain[:1] == ["setup.py"] and bool({"install", "develop"} & set(plain[1:]))


def _names_installer(words: list[str | None]) -> bool:
    return any(INSTALLERS.match((word or "").partition("?")[0]) for word in words)


def _all_paths(operands: list[str]) -> bool:
    """Whether everything that a command changes is an absolute path."""
    names = [operand for operand in operands if "://" not in operand]
    return bool(names) and all(name.startswith(("/", "~/", "$HOME/")) for name in names)


def _value(word: ShellWord, known: Callable[[str], str | None]) -> str | None:
    """Return what the shell makes of a word, with plain variables from ARG and ENV replaced, or None."""
    if word.literal is not None:
        return word.literal

    def substituted(match: re.Match[str]) -> str:
        value = known(match[1] or match[2])
        return match[0] if value is None else value

    text = re.sub(r"\$(?:(\w+)|\{(\w+)\})", substituted, word.text)
    try:
        parts = shlex.split(text)
    except ValueError:
        return None
    # A pattern that fits no file stays as it is: uvicorn[standard], torch==1.*
    return parts[0] if len(parts) == 1 and not re.search(r"[$`]", text) else None


def _operands(command: ShellCommand, name: str) -> list[ShellWord]:
    """Return the words of a command that may be paths, without options and patterns."""
    words = [word for word in command.words[1:] if not word.text.startswith("-")]
    if name in PATTERNS:
        return words[1:] if name in PATTERN_FIRST else []
    if name == "chmod":
        return words[1:]
    return words


def _written(command: ShellCommand) -> list[str]:
    """Return absolute paths that a command may write."""
    name = (command.name or "").rpartition("/")[2]
    words = [] if name in READERS or PYTHON.fullmatch(name) else _operands(command, name)
    texts = [word.literal or word.text for word in (*words, *command.files)]
    return [text for text in texts if text.startswith("/") and not text.startswith(("//", *HERE))]


def _runner(command: ShellCommand) -> list[tuple[int, int, str]]:
    """Return the change that removes `poetry run`, as the build's environment is the project's."""
    before = runner_words([word.literal for word in command.words])
    return [(command.words[0].start, command.words[len(before)].start, "")] if before else []


def _owners(command: ShellCommand) -> list[tuple[int, int, str]]:
    """Return the changes that remove `--owner=user` of install, as files belong to the platform's user."""
    if (command.name or "").rpartition("/")[2] != "install":
        return []
    return [(word.start, word.end, "") for word in command.words if re.match(r"--(owner|group)=", word.text)]


def _paths(command: ShellCommand) -> list[tuple[int, int, str]]:
    """Return the changes that lead absolute paths into the root file system, and the program to this machine's."""
    changes, words = list[tuple[int, int, str]](), command.words[1:]
    name = (command.name or "").rpartition("/")[2]
    if command.words and "/" in (command.name or "") and (PYTHON.fullmatch(name) or name in RUNS):
        changes.append((command.words[0].start, command.words[0].end, name))
    elif not (PYTHON.fullmatch(name) or name in RUNS):
        words = command.words
    if name in PATTERNS:
        options = [word for word in words if word.text.startswith("-")]
        patterns = [word for word in words if not word.text.startswith("-")]
        words = options + (patterns[1:] if name in PATTERN_FIRST else [])
    if PYTHON.fullmatch(name) and any(word.text == "-c" for word in words):
        words = []
    for word in (*command.assignments, *words, *command.files):
        start = _start_of_path(word)
        if start is not None:
            changes.append((start, start + 1, _lead(word.text, start - word.start)))
    return changes


def _start_of_path(word: ShellWord) -> int | None:
    """Return where an absolute path begins in a word: at once, after NAME= or after --option=."""
    found = re.match(r"(?:[A-Za-z_]\w*=|--?[A-Za-z][\w-]*=)?['\"]?(?=/)", word.text)
    if found is None or word.text[found.end() :].startswith(("//", *HERE)):
        return None
    return word.start + found.end()


def _lead(text: str, at: int) -> str:
    """Return the root's variable and a slash, for a word that is unquoted or in either quotes."""
    before = text[at - 1 : at]
    return f"${ROOT}/" if before == '"' else f"'\"${ROOT}\"'/" if before == "'" else f'"${ROOT}"/'
