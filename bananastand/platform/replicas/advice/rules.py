"""Turns what a failed app or RUN line printed into advice: why it failed, and what to change or run.

Builds, first replicas and those that fail later get theirs here.

`RULES` is the whole knowledge. A rule's texts may use what its pattern and its `details` name, and `{place}`, the line
of the app's own code in the last traceback. Every text is in docs/troubleshooting.md too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...building.weights.fetch_failure import explain_fetch_failure
from ...tracebacks import LastError, last_error
from .missing_packages import MOVED, PACKAGES, library_package, python_package, requirement_files, requires

__all__ = ["RULES", "Rule", "advice", "explain"]

LINES = 200  # that are looked at, from the end
Details = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the details of a rule are made from."""

    text: str
    error: LastError | None
    source: Path | None


@dataclass(frozen=True, slots=True)
class Rule:
    """pattern: of what is printed. why and fix: sentences. details: more names for them, None if the rule is not it."""

    pattern: str
    why: str
    fix: str
    details: Callable[[re.Match[str], _Evidence], Details | None] = lambda found, evidence: {}


def explain(
    lines: Iterable[str], source_folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str | None:
    """Say why a program failed and what to do: which weights it could not fetch, else what `advice` says.

    Args:
        lines: What it printed, the reason of the failure last.
        source_folder: The repository.
        environment: The variables of the deploy, which may name a token or a mirror of the hub.
    """
    last = list(lines)[-LINES:]
    return explain_fetch_failure(last, environment=environment) or advice(last, source_folder)


def advice(lines: Iterable[str], source_folder: Path | None = None) -> str | None:
    """Say why an app or a RUN line failed and what to do, None where no rule knows what it printed.

    Args:
        lines: What it printed, the reason of the failure last.
        source_folder: The repository, for file names and for what its requirement files list.
    """
    last = list(lines)[-LINES:]
    error = last_error(last)
    evidence = _Evidence("\n".join(last), error, source_folder)
    # The last error first: what was printed before it may be a harmless warning.
    for text in ([error.message] if error is not None else []) + [evidence.text]:
        for rule in RULES:
            *_, found = [None, *re.finditer(rule.pattern, text, re.MULTILINE)]  # the last one
            details = rule.details(found, evidence) if found is not None else None
            if found is not None and details is not None:
                known = {**found.groupdict(""), "place": _place(error, source_folder), **details}
                return f"{rule.why.format(**known)} {rule.fix.format(**known)}"
    return None


def _place(error: LastError | None, source: Path | None) -> str:
    """Such as ` (app.py:12: model.cuda())`."""
    if error is None or error.frame is None:
        return ""
    code = f": {error.frame.code}" if error.frame.code else ""
    return f" ({error.frame.path(source)}:{error.frame.line}{code})"


def _module(found: re.Match[str], evidence: _Evidence) -> Details | None:
    """Which package, and which file should name it; None for a part that another version of a package has."""
    module, source = found["module"], evidence.source
    top = module.partition(".")[0]
    if "." in module and module not in PACKAGES:  # Python names the first part that is missing: the package is there
        return None
    package = python_package(module)
    details = {"package": package}
    if source is None:
        return {**details, "step": f"Add `{package}` to requirements.txt."}
    for each in (f"{top}.py", f"{top}/__init__.py", top):
        if (source / each).exists():
            return {**details, "step": f"{each} is in the repository: have the Dockerfile COPY it beside the app."}
    files = requirement_files(source)
    listed = next((each for each in files if requires(source, each, package)), None)
    if listed is not None:
        return {**details, "step": f"{listed} names it: have the Dockerfile run `pip install -r {listed}`."}
    if files:
        return {**details, "step": f"Add `{package}` to {files[0]}, which does not name it."}
    step = f"Write a requirements.txt with `{package}`, and have the Dockerfile run `pip install -r requirements.txt`."
    return {**details, "step": step}


def _moved(found: re.Match[str], evidence: _Evidence) -> Details | None:
    top = found["module"].partition(".")[0]
    return {"last": MOVED[top]} if top in MOVED else None


def _version(found: re.Match[str], evidence: _Evidence) -> Details:
    """The package whose version does not fit."""
    return {"package": python_package(found["module"] or found["from"] or found["of"])}


def _library(found: re.Match[str], evidence: _Evidence) -> Details | None:
    package = library_package(found["library"])
    return {"package": package} if package is not None else None


def _variable(found: re.Match[str], evidence: _Evidence) -> Details | None:
    if not re.search(r'File "(<frozen os>|.*/os\.py)"', evidence.text):
        return None  # a key of another dictionary
    private = re.search("TOKEN|KEY|SECRET|PASS|AUTH|CREDENTIAL", found["name"])
    return {"option": f"--secret {found['name']}" if private else f"--env {found['name']}=VALUE"}


def _unset(found: re.Match[str], evidence: _Evidence) -> Details | None:
    """The variable that the failing line reads, where it has none."""
    code = evidence.error.frame.code if evidence.error is not None and evidence.error.frame is not None else None
    name = re.search(r"(?:getenv|environ\.get)\(\s*[\"'](\w+)", code or "")
    if name is None:
        return None
    private = re.search("TOKEN|KEY|SECRET|PASS|AUTH|CREDENTIAL", name[1])
    return {"name": name[1], "option": f"--secret {name[1]}" if private else f"--env {name[1]}=VALUE"}


def _file(found: re.Match[str], evidence: _Evidence) -> Details:
    path, source = found["path"], evidence.source
    name = Path(path).name
    if source is not None and name and (source / name).is_file():
        return {"step": f"{name} is in the repository: add `COPY {name} {path}` to the Dockerfile."}
    if path.startswith("/"):
        return {"step": f"Have the Dockerfile write or COPY {path}, or pass its place by --env and read it there."}
    return {"step": "A relative path starts at WORKDIR: COPY the file there, or have download.py write it there."}


def _potassium(found: re.Match[str], evidence: _Evidence) -> Details | None:
    versions = POTASSIUM.get(found["name"] or found["argument"])
    return {"versions": versions} if versions is not None else None


def _port(found: re.Match[str], evidence: _Evidence) -> Details | None:
    """The port that the app says it listens on, where it never got ready."""
    return {} if re.search(r"not (healthy|ready)|never got ready|nothing listens", evidence.text) else None


# Names of Potassium that some versions have; from the published packages 0.0.3 to 0.5.0.
POTASSIUM = {
    "optimize": "potassium<=0.0.4",
    "set_cache": "potassium<=0.0.4",
    "get_cache": "potassium<=0.0.4",
    "result_webhook": "potassium==0.0.4",
    "async_handler": "potassium>=0.0.5,<=0.0.8",
    "set_context": "potassium>=0.0.5,<=0.0.8",
    "get_context": "potassium>=0.0.5,<=0.0.8",
    "background": "potassium>=0.0.9",
    "gpu": "potassium>=0.0.9,<=0.0.10",
    "test_client": "potassium>=0.2.0",
}
AS_OF = "`bananastand deploy --as-of 2023-06-01` takes the packages of that day"
DEVICE = '`device = "cuda" if torch.cuda.is_available() else "cpu"` and `.to(device)`'

RULES: tuple[Rule, ...] = (
    # GPUs.
    Rule(
        r"Torch not compiled with CUDA enabled|Cannot get CUDA generator without ATen_cuda library",
        "The app asks for a GPU{place}, and its torch is the build for CPUs, which machines without a GPU get.",
        f"Write {DEVICE}, or run `bananastand deploy --cpu`, which leads .cuda() to the CPU.",
    ),
    Rule(
        r"Found no NVIDIA driver on your system|No CUDA GPUs are available"
        r"|Attempting to deserialize object on (a )?CUDA device",
        "The app asks for a GPU{place}, and there is none that torch can use.",
        f"Write {DEVICE} (for torch.load: map_location=device), or run `bananastand deploy --cpu`.",
    ),
    Rule(
        r"no kernel image is available for execution"
        r"|(?P<gpu>[^\n]*) with CUDA capability sm_\d+ is not compatible with the current PyTorch",
        "The app's torch is older than this GPU and has no code for it{place}.",
        'Pin a newer one: under [build] of bananastand.toml, pins = ["torch>=2.1"]; `bananastand inspect .` names the '
        "lowest.",
    ),
    Rule(
        r"The NVIDIA driver on your system is too old|CUDA driver version is insufficient",
        "The NVIDIA driver of this machine is older than the app's torch needs{place}.",
        "Update the driver (`nvidia-smi` names it), or pin an older torch in requirements.txt.",
    ),
    Rule(
        r"CUDA out of memory|OutOfMemoryError: CUDA|CUDA error: out of memory",
        "The GPU's memory is not enough{place}.",
        "Load the model with torch_dtype=torch.float16, or ask for less at once; `bananastand ps` shows what else "
        "runs, `bananastand scale NAME --max 1` keeps one replica.",
    ),
    # Memory and processes.
    Rule(
        r"holds (?P<held>\d+) MiB of memory, (?P<most>\d+) are allowed",
        "It took {held} MiB of memory, and a replica may take {most}.",
        "Start the platform with more: `bananastand up --memory {held}` or higher.",
    ),
    Rule(
        r"(ended with|exit) status:? (-9|137)\b|^Killed$",
        "The system killed it with signal 9: as a rule it took more memory than there is.",
        "`free -h` shows what is free. Load the model with low_cpu_mem_usage=True or in half precision, or stop other "
        "projects: `bananastand scale NAME --min 0`.",
    ),
    Rule(
        r"^MemoryError|Cannot allocate memory|DefaultCPUAllocator: can't allocate memory",
        "It asked for more memory than this machine has free{place}.",
        "`free -h` shows what is free. Load a smaller model, or in half precision.",
    ),
    Rule(
        r"(ended with|exit) status:? (-4|132)\b|Illegal instruction",
        "A package was compiled for another processor than this one.",
        "Build on this machine without its wheels: `pip install --no-binary PACKAGE PACKAGE` in the Dockerfile.",
    ),
    Rule(
        r"\[Errno 98\][^\n]*[Aa]ddress already in use|EADDRINUSE|^Address already in use",
        "Something listens on the port already that the app asks for{place}.",
        "`ss -ltnp` shows what. An app that starts two servers must give each its own port; one that reads the PORT "
        "variable never collides.",
    ),
    Rule(
        r"[Nn]o space left on device|Errno 28\b",
        "The disk is full.",
        "`df -h` shows where; `bananastand rm NAME` deletes a project with its builds.",
    ),
    # Potassium.
    Rule(
        r"'Potassium' object has no attribute '(?P<name>\w+)'"
        r"|(handler|background)\(\) got an unexpected keyword argument '(?P<argument>gpu)'",
        "The app uses a name of another Potassium{place}.",
        "Pin the version it was written for in requirements.txt: `{versions}`.",
        _potassium,
    ),
    Rule(
        r"init\(\) must return a dictionary",
        "The function under @app.init returns no dictionary.",
        'End it with `return {{"model": model}}`; the handlers get it as their context. Potassium below 0.1.2 did not '
        "ask for one.",
    ),
    Rule(
        r"Potassium Response object not returned",
        "A handler returned something else than a Response{place}.",
        'Return `Response(json={{"output": output}}, status=200)`.',
    ),
    # Versions of packages.
    Rule(
        r"compiled using NumPy 1\.x|numpy\.dtype size changed|numpy\.core\.multiarray failed to import"
        r"|Numpy is not available|_ARRAY_API not found",
        "A package was compiled for NumPy 1, and NumPy 2 is installed{place}.",
        "Add `numpy<2` to requirements.txt.",
    ),
    Rule(
        r"`np\.\w+` was removed in the NumPy 2\.0 release",
        "The code is written for NumPy 1{place}.",
        "Add `numpy<2` to requirements.txt.",
    ),
    Rule(
        r"module 'numpy' has no attribute '(bool|int|float|object|complex|str|long)'",
        "The code is written for NumPy before 1.24{place}.",
        "Add `numpy<1.24` to requirements.txt.",
    ),
    Rule(
        r"cannot import name '(cached_download|HfFolder|Repository)' from 'huggingface_hub'",
        "A package of that time needs an older huggingface_hub{place}.",
        f"Add `huggingface_hub<0.26` to requirements.txt; {AS_OF}.",
    ),
    Rule(
        r"PydanticImportError|`BaseSettings` has been moved to the `pydantic-settings` package",
        "The code is written for pydantic 1{place}.",
        f"Add `pydantic<2` to requirements.txt; {AS_OF}.",
    ),
    Rule(
        r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'",
        "Python had {module} until {last} and has it no more{place}.",
        'Choose that Python: under [build] of bananastand.toml, python = "{last}".',
        _moved,
    ),
    Rule(
        r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'",
        "{module} is not installed{place}; the package is {package}.",
        "{step}",
        _module,
    ),
    Rule(
        r"ModuleNotFoundError: No module named '(?P<module>\w+\.[\w.]+)'"
        r"|cannot import name '(?P<name>[\w.]+)' from (partially initialized module )?'(?P<from>[\w.]+)'"
        r"|module '?(?P<of>[\w.]+)'? has no attribute '?(?P<attribute>\w+)'?",
        "The installed {package} is of another time than the code{place}.",
        f"Pin its version in requirements.txt; {AS_OF}.",
        _version,
    ),
    # What a system has, or lacks.
    Rule(
        r"(?P<library>lib[\w.+-]+\.so[.\d]*): cannot open shared object file",
        "The system library {library} is missing{place}.",
        "Install it: `sudo apt-get install {package}` on this machine, or `RUN apt-get install -y {package}` and "
        "`bananastand deploy --builder container`. opencv-python-headless needs no libGL.so.1.",
        _library,
    ),
    Rule(
        r"(?P<library>lib(cuda|cudart|cudnn|cublas|nvrtc|nccl|cufft)[\w.+-]*\.so[.\d]*): cannot open shared object",
        "{library} of CUDA is missing{place}.",
        "Install the app's torch from its own wheel, which brings CUDA's libraries, or build from an nvidia/cuda "
        "image: `bananastand deploy --builder container`.",
    ),
    Rule(
        r"version `(?P<symbol>(GLIBCXX|GLIBC|CXXABI)_[\d.]+)' not found",
        "A compiled package needs a newer system than this one: {symbol} is missing{place}.",
        "Pin an older version of that package, or build on a newer image: `bananastand deploy --builder container`.",
    ),
    Rule(
        r"\$'\\r': command not found|\r': No such file or directory|\r: not found$|invalid option name\r?$",
        "A script has the line ends of Windows.",
        "Convert it, `sed -i 's/\\r$//' FILE`, and keep it so: `echo '*.sh text eol=lf' >> .gitattributes`.",
    ),
    Rule(
        r"(?P<program>[\w./+-]+): (command )?not found$",
        "The program {program} is not installed.",
        "Install it on this machine (`apt-get install {program}`, where the package has its name), or have the "
        "Dockerfile install it and run `bananastand deploy --builder container`.",
    ),
    Rule(
        r"Error: Cannot find module '(?P<module>[^'.][^']*)'",
        "Node does not find the package {module}.",
        "Add it to package.json, and have the Dockerfile run `npm install` after it copies that file.",
    ),
    Rule(
        r"FileNotFoundError: \[Errno 2\] No such file or directory: 'nvidia-smi'",
        "The app starts nvidia-smi{place}, and this machine has no NVIDIA driver.",
        "Ask torch.cuda.is_available() instead, or catch the error: `except FileNotFoundError`.",
    ),
    Rule(
        r"FileNotFoundError: \[Errno 2\] No such file or directory: '(?P<program>[\w.+-]+)'",
        "The program {program} is not installed{place}.",
        "Install it on this machine (`apt-get install {program}`, where the package has its name), or have the "
        "Dockerfile install it and run `bananastand deploy --builder container`.",
        lambda found, evidence: {} if re.search(r'File "[^"]*subprocess\.py"', evidence.text) else None,
    ),
    # Files and variables.
    Rule(
        r"^KeyError: '(?P<name>[A-Z][A-Z0-9_]*)'",
        "The app needs the environment variable {name}{place}.",
        "Pass it: `bananastand deploy {option}`.",
        _variable,
    ),
    Rule(
        r"TypeError: [^\n]*None",
        "The variable {name} has no value{place}.",
        "Pass it: `bananastand deploy {option}`.",
        _unset,
    ),
    Rule(
        r"SyntaxError: Missing parentheses in call to '(print|exec)'",
        "The code is Python 2's{place}, and Python 3.7 or newer runs it here.",
        "Convert it with 2to3 (Python 3.11 and older have it), or build its own image: "
        "`bananastand deploy --builder container`.",
    ),
    Rule(
        r"\[Errno 30\] Read-only file system: '(?P<path>[^']+)'|PermissionError: \[Errno 13\][^\n]*'(?P<other>/[^']+)'",
        "The app may not write to that place{place}.",
        "Write below WORKDIR, or to a folder of tempfile.mkdtemp().",
    ),
    Rule(
        r"FileNotFoundError: \[Errno 2\] No such file or directory: '(?P<path>[^']+)'",
        "The app opens a file that is not there{place}.",
        "{step}",
        _file,
    ),
    # The hub.
    Rule(
        r"GatedRepoError|Cannot access gated repo|You are trying to access a gated repo",
        "The model is gated: its owner must let your account in{place}.",
        "Accept its terms on its page, then `HF_TOKEN=... bananastand deploy --secret HF_TOKEN`.",
    ),
    Rule(
        r"RepositoryNotFoundError|Repository Not Found for url"
        r"|is not a local folder and is not a valid model identifier",
        "The hub has no model of that name, or it is private{place}.",
        "Name its successor in the app: `bananastand inspect .` knows those of deleted models. For a private one: "
        "`--secret HF_TOKEN`.",
    ),
    Rule(
        r"We couldn't connect to 'https?://[^']+'|LocalEntryNotFoundError|outgoing traffic has been disabled"
        r"|Temporary failure in name resolution|Failed to resolve '",
        "The hub, or another address, does not answer{place}.",
        "Check the network of this machine; a mirror is named by `--env HF_ENDPOINT=https://MIRROR`.",
    ),
    # Downloads, and servers that an app connects to.
    Rule(
        r"401 Client Error|403 Client Error|ERROR:? 40[13]|error: 40[13]|Invalid username|HTTP Error 40[13]",
        "The server does not give the file away without a token or key that may read it{place}.",
        "Pass one by its name: `bananastand deploy --secret HF_TOKEN`, or `--env NAME=VALUE` for an ARG line.",
    ),
    Rule(
        r"404 Client Error|ERROR:? 404|error: 404|HTTP Error 404|Repository not found",
        "The address has no such file{place}: it was moved or deleted.",
        "Find it elsewhere and name that in the Dockerfile or the code, or put the file into the repository.",
    ),
    Rule(
        r"Could not resolve host|Name or service not known|Network is unreachable|[Cc]ould ?n.t connect to (?!server)"
        r"|unable to access '|unable to resolve host",
        "This machine does not reach that host{place}.",
        "Check its network, HTTP_PROXY and HTTPS_PROXY where `bananastand up` runs, or bring the file with the source.",
    ),
    Rule(
        r"Connection refused|ECONNREFUSED",
        "It connects to a server, and none listens at that address{place}.",
        "Start that server on this machine (a database, a queue, a model server), or pass its address by --env and "
        "read it there.",
    ),
    # What keeps a program from being a server.
    Rule(
        r"was ended in step [^\n]*: RUN [^\n]*\b(server|app|main|serve|gunicorn|uvicorn|flask|streamlit)\b",
        "The line may start a server, which never ends.",
        "A RUN line must come to its end; write CMD in its place for the program that serves.",
    ),
    Rule(
        r"EOFError: EOF when reading a line|Inappropriate ioctl for device|the input device is not a TTY",
        "It asks a question, and a replica has no terminal to answer at{place}.",
        "Take the answer from a variable (`bananastand deploy --env NAME=VALUE`) or from a file.",
    ),
    Rule(
        r"ended with status 0 while it started",
        "The program came to its end and left no server, or left one in the background.",
        "CMD must name the program that serves, and stay in the foreground: without `&` at its end, without --daemon.",
    ),
    Rule(
        r"line \d+: (?P<path>\S+) is not in the source$",
        "The Dockerfile copies {path}, and the source has none: it is in no commit, or .gitignore names it.",
        "Put it beside the Dockerfile, or leave the line out: under [build] of bananastand.toml, "
        'skip = ["COPY {path}"].',
    ),
    # The port.
    Rule(
        r"([Rr]unning|[Ll]istening|[Ss]erving|[Ss]tarted)[^\n]* (on|at)[^\n]*?[:\s](?P<port>\d{2,5})\b(?!, loading)",
        "The app says that it listens on port {port}.",
        "If that is so, name the port, and the path that answers 200: under [app] of bananastand.toml, port = {port} "
        'and health = "/". Without it the platform looks for port 8000 and /healthcheck.',
        _port,
    ),
    Rule(
        r"nothing listens on port (?P<port>\d+) yet",
        "The app runs, and opens no port.",
        "If it loads for longer, allow more: `bananastand up --start-timeout 1200`. If it is no server, name the "
        'program that is: under [app] of bananastand.toml, command = "python3 -u server.py".',
    ),
)
