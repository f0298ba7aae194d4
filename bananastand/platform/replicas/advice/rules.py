"""The rules of the advice: a pattern in what a failed app or RUN line printed, the reason, and what to do.

A rule's texts may use the names of its pattern and of its `details`, and `{place}`, the line of the app's own code in
the last traceback. Every text is in docs/troubleshooting.md too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import details
from .details import Details, Evidence

__all__ = ["RULES", "AdviceRule"]


@dataclass(frozen=True, slots=True)
class AdviceRule:
    """One rule.

    Attributes:
        pattern: A regular expression of what is printed.
        why: A sentence: what went wrong.
        fix: Sentences: what to do.
        details: Returns more names for the texts; None where the rule does not apply.
    """

    pattern: str
    why: str
    fix: str
    details: Callable[[re.Match[str], Evidence], Details | None] = lambda found, evidence: {}


AS_OF = "`bananastand deploy --as-of 2023-06-01` takes the packages of that day"
DEVICE = '`device = "cuda" if torch.cuda.is_available() else "cpu"` and `.to(device)`'

RULES: tuple[AdviceRule, ...] = (
    # GPUs.
    AdviceRule(
        r"Torch not compiled with CUDA enabled|Cannot get CUDA generator without ATen_cuda library",
        "The app asks for a GPU{place}, and its torch is the build for CPUs, which machines without a GPU get.",
        f"Write {DEVICE}, or run `bananastand deploy --cpu`, which leads .cuda() to the CPU.",
    ),
    AdviceRule(
        r"Found no NVIDIA driver on your system|No CUDA GPUs are available"
        r"|Attempting to deserialize object on (a )?CUDA device",
        "The app asks for a GPU{place}, and there is none that torch can use.",
        f"Write {DEVICE} (for torch.load: map_location=device), or run `bananastand deploy --cpu`.",
    ),
    AdviceRule(
        r"no kernel image is available for execution"
        r"|(?P<gpu>[^\n]*) with CUDA capability sm_\d+ is not compatible with the current PyTorch",
        "The app's torch is older than this GPU and has no code for it{place}.",
        'Pin a newer one: under [build] of bananastand.toml, pins = ["torch>=2.1"]; `bananastand inspect .` names the '
        "lowest.",
    ),
    AdviceRule(
        r"The NVIDIA driver on your system is too old|CUDA driver version is insufficient",
        "The NVIDIA driver of this machine is older than the app's torch needs{place}.",
        "Update the driver (`nvidia-smi` names it), or pin an older torch in requirements.txt.",
    ),
    AdviceRule(
        r"CUDA out of memory|OutOfMemoryError: CUDA|CUDA error: out of memory",
        "The GPU's memory is not enough{place}.",
        "Load the model with torch_dtype=torch.float16, or ask for less at once; `bananastand ps` shows what else "
        "runs, `bananastand scale NAME --max 1` keeps one replica.",
    ),
    # Memory and processes.
    AdviceRule(
        r"holds (?P<held>\d+) MiB of memory, (?P<most>\d+) are allowed",
        "It took {held} MiB of memory, and a replica may take {most}.",
        "Start the platform with more: `bananastand up --memory {held}` or higher.",
    ),
    AdviceRule(
        r"(ended with|exit) status:? (-9|137)\b|^Killed$",
        "The system killed it with signal 9: as a rule it took more memory than there is.",
        "`free -h` shows what is free. Load the model with low_cpu_mem_usage=True or in half precision, or stop other "
        "projects: `bananastand scale NAME --min 0`.",
    ),
    AdviceRule(
        r"^MemoryError|Cannot allocate memory|DefaultCPUAllocator: can't allocate memory",
        "It asked for more memory than this machine has free{place}.",
        "`free -h` shows what is free. Load a smaller model, or in half precision.",
    ),
    AdviceRule(
        r"(ended with|exit) status:? (-4|132)\b|Illegal instruction",
        "A package was compiled for another processor than this one.",
        "Build on this machine without its wheels: `pip install --no-binary PACKAGE PACKAGE` in the Dockerfile.",
    ),
    AdviceRule(
        r"\[Errno 98\][^\n]*[Aa]ddress already in use|EADDRINUSE|^Address already in use",
        "Something listens on the port already that the app asks for{place}.",
        "`ss -ltnp` shows what. An app that starts two servers must give each its own port; one that reads the PORT "
        "variable never collides.",
    ),
    AdviceRule(
        r"[Nn]o space left on device|Errno 28\b",
        "The disk is full.",
        "`df -h` shows where; `bananastand rm NAME` deletes a project with its builds.",
    ),
    # Potassium.
    AdviceRule(
        r"'Potassium' object has no attribute '(?P<name>\w+)'"
        r"|(handler|background)\(\) got an unexpected keyword argument '(?P<argument>gpu)'",
        "The app uses a name of another Potassium{place}.",
        "Pin the version it was written for in requirements.txt: `{versions}`.",
        details.potassium_versions,
    ),
    AdviceRule(
        r"init\(\) must return a dictionary",
        "The function under @app.init returns no dictionary.",
        'End it with `return {{"model": model}}`; the handlers get it as their context. Potassium below 0.1.2 did not '
        "ask for one.",
    ),
    AdviceRule(
        r"Potassium Response object not returned",
        "A handler returned something else than a Response{place}.",
        'Return `Response(json={{"output": output}}, status=200)`.',
    ),
    # Versions of packages.
    AdviceRule(
        r"compiled using NumPy 1\.x|numpy\.dtype size changed|numpy\.core\.multiarray failed to import"
        r"|Numpy is not available|_ARRAY_API not found",
        "A package was compiled for NumPy 1, and NumPy 2 is installed{place}.",
        "Add `numpy<2` to requirements.txt.",
    ),
    AdviceRule(
        r"`np\.\w+` was removed in the NumPy 2\.0 release",
        "The code is written for NumPy 1{place}.",
        "Add `numpy<2` to requirements.txt.",
    ),
    AdviceRule(
        r"module 'numpy' has no attribute '(bool|int|float|object|complex|str|long)'",
        "The code is written for NumPy before 1.24{place}.",
        "Add `numpy<1.24` to requirements.txt.",
    ),
    AdviceRule(
        r"cannot import name '(cached_download|HfFolder|Repository)' from 'huggingface_hub'",
        "A package of that time needs an older huggingface_hub{place}.",
        f"Add `huggingface_hub<0.26` to requirements.txt; {AS_OF}.",
    ),
    AdviceRule(
        r"PydanticImportError|`BaseSettings` has been moved to the `pydantic-settings` package",
        "The code is written for pydantic 1{place}.",
        f"Add `pydantic<2` to requirements.txt; {AS_OF}.",
    ),
    AdviceRule(
        r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'",
        "Python had {module} until {last} and has it no more{place}.",
        'Choose that Python: under [build] of bananastand.toml, python = "{last}".',
        details.removed_module,
    ),
    AdviceRule(
        r"ModuleNotFoundError: No module named '(?P<module>[\w.]+)'",
        "{module} is not installed{place}; the package is {package}.",
        "{step}",
        details.missing_module,
    ),
    AdviceRule(
        r"ModuleNotFoundError: No module named '(?P<module>\w+\.[\w.]+)'"
        r"|cannot import name '(?P<name>[\w.]+)' from (partially initialized module )?'(?P<from>[\w.]+)'"
        r"|module '?(?P<of>[\w.]+)'? has no attribute '?(?P<attribute>\w+)'?",
        "The installed {package} is of another time than the code{place}.",
        f"Pin its version in requirements.txt; {AS_OF}.",
        details.outdated_package,
    ),
    # What a system has, or lacks.
    AdviceRule(
        r"(?P<library>lib[\w.+-]+\.so[.\d]*): cannot open shared object file",
        "The system library {library} is missing{place}.",
        "Install it: `sudo apt-get install {package}` on this machine, or `RUN apt-get install -y {package}` and "
        "`bananastand deploy --builder container`. opencv-python-headless needs no libGL.so.1.",
        details.missing_library,
    ),
    AdviceRule(
        r"(?P<library>lib(cuda|cudart|cudnn|cublas|nvrtc|nccl|cufft)[\w.+-]*\.so[.\d]*): cannot open shared object",
        "{library} of CUDA is missing{place}.",
        "Install the app's torch from its own wheel, which brings CUDA's libraries, or build from an nvidia/cuda "
        "image: `bananastand deploy --builder container`.",
    ),
    AdviceRule(
        r"version `(?P<symbol>(GLIBCXX|GLIBC|CXXABI)_[\d.]+)' not found",
        "A compiled package needs a newer system than this one: {symbol} is missing{place}.",
        "Pin an older version of that package, or build on a newer image: `bananastand deploy --builder container`.",
    ),
    AdviceRule(
        r"\$'\\r': command not found|\r': No such file or directory|\r: not found$|invalid option name\r?$",
        "A script has the line ends of Windows.",
        "Convert it, `sed -i 's/\\r$//' FILE`, and keep it so: `echo '*.sh text eol=lf' >> .gitattributes`.",
    ),
    AdviceRule(
        r"(?P<program>[\w./+-]+): (command )?not found$",
        "The program {program} is not installed.",
        "Install it on this machine (`apt-get install {program}`, where the package has its name), or have the "
        "Dockerfile install it and run `bananastand deploy --builder container`.",
    ),
    AdviceRule(
        r"Error: Cannot find module '(?P<module>[^'.][^']*)'",
        "Node does not find the package {module}.",
        "Add it to package.json, and have the Dockerfile run `npm install` after it copies that file.",
    ),
    AdviceRule(
        r"FileNotFoundError: \[Errno 2\] No such file or directory: 'nvidia-smi'",
        "The app starts nvidia-smi{place}, and this machine has no NVIDIA driver.",
        "Ask torch.cuda.is_available() instead, or catch the error: `except FileNotFoundError`.",
    ),
    AdviceRule(
        r"FileNotFoundError: \[Errno 2\] No such file or directory: '(?P<program>[\w.+-]+)'",
        "The program {program} is not installed{place}.",
        "Install it on this machine (`apt-get install {program}`, where the package has its name), or have the "
        "Dockerfile install it and run `bananastand deploy --builder container`.",
        lambda found, evidence: {} if re.search(r'File "[^"]*subprocess\.py"', evidence.text) else None,
    ),
    # Files and variables.
    AdviceRule(
        r"^KeyError: '(?P<name>[A-Z][A-Z0-9_]*)'",
        "The app needs the environment variable {name}{place}.",
        "Pass it: `bananastand deploy {option}`.",
        details.missing_variable,
    ),
    AdviceRule(
        r"TypeError: [^\n]*None",
        "The variable {name} has no value{place}.",
        "Pass it: `bananastand deploy {option}`.",
        details.unset_variable,
    ),
    AdviceRule(
        r"SyntaxError: Missing parentheses in call to '(print|exec)'",
        "The code is Python 2's{place}, and Python 3.7 or newer runs it here.",
        "Convert it with 2to3 (Python 3.11 and older have it), or build its own image: "
        "`bananastand deploy --builder container`.",
    ),
    AdviceRule(
        r"\[Errno 30\] Read-only file system: '(?P<path>[^']+)'|PermissionError: \[Errno 13\][^\n]*'(?P<other>/[^']+)'",
        "The app may not write to that place{place}.",
        "Write below WORKDIR, or to a folder of tempfile.mkdtemp().",
    ),
    AdviceRule(
        r"FileNotFoundError: \[Errno 2\] No such file or directory: '(?P<path>[^']+)'",
        "The app opens a file that is not there{place}.",
        "{step}",
        details.missing_file,
    ),
    # The hub.
    AdviceRule(
        r"GatedRepoError|Cannot access gated repo|You are trying to access a gated repo",
        "The model is gated: its owner must let your account in{place}.",
        "Accept its terms on its page, then `HF_TOKEN=... bananastand deploy --secret HF_TOKEN`.",
    ),
    AdviceRule(
        r"RepositoryNotFoundError|Repository Not Found for url"
        r"|is not a local folder and is not a valid model identifier",
        "The hub has no model of that name, or it is private{place}.",
        "Name its successor in the app: `bananastand inspect .` knows those of deleted models. For a private one: "
        "`--secret HF_TOKEN`.",
    ),
    AdviceRule(
        r"We couldn't connect to 'https?://[^']+'|LocalEntryNotFoundError|outgoing traffic has been disabled"
        r"|Temporary failure in name resolution|Failed to resolve '",
        "The hub, or another address, does not answer{place}.",
        "Check the network of this machine; a mirror is named by `--env HF_ENDPOINT=https://MIRROR`.",
    ),
    # Downloads, and servers that an app connects to.
    AdviceRule(
        r"401 Client Error|403 Client Error|ERROR:? 40[13]|error: 40[13]|Invalid username|HTTP Error 40[13]",
        "The server does not give the file away without a token or key that may read it{place}.",
        "Pass one by its name: `bananastand deploy --secret HF_TOKEN`, or `--env NAME=VALUE` for an ARG line.",
    ),
    AdviceRule(
        r"404 Client Error|ERROR:? 404|error: 404|HTTP Error 404|Repository not found",
        "The address has no such file{place}: it was moved or deleted.",
        "Find it elsewhere and name that in the Dockerfile or the code, or put the file into the repository.",
    ),
    AdviceRule(
        r"Could not resolve host|Name or service not known|Network is unreachable|[Cc]ould ?n.t connect to (?!server)"
        r"|unable to access '|unable to resolve host",
        "This machine does not reach that host{place}.",
        "Check its network, HTTP_PROXY and HTTPS_PROXY where `bananastand up` runs, or bring the file with the source.",
    ),
    AdviceRule(
        r"Connection refused|ECONNREFUSED",
        "It connects to a server, and none listens at that address{place}.",
        "Start that server on this machine (a database, a queue, a model server), or pass its address by --env and "
        "read it there.",
    ),
    # What keeps a program from being a server.
    AdviceRule(
        r"was ended in step [^\n]*: RUN [^\n]*\b(server|app|main|serve|gunicorn|uvicorn|flask|streamlit)\b",
        "The line may start a server, which never ends.",
        "A RUN line must come to its end; write CMD in its place for the program that serves.",
    ),
    AdviceRule(
        r"EOFError: EOF when reading a line|Inappropriate ioctl for device|the input device is not a TTY",
        "It asks a question, and a replica has no terminal to answer at{place}.",
        "Take the answer from a variable (`bananastand deploy --env NAME=VALUE`) or from a file.",
    ),
    AdviceRule(
        r"ended with status 0 while it started",
        "The program came to its end and left no server, or left one in the background.",
        "CMD must name the program that serves, and stay in the foreground: without `&` at its end, without --daemon.",
    ),
    AdviceRule(
        r"line \d+: (?P<path>\S+) is not in the source$",
        "The Dockerfile copies {path}, and the source has none: it is in no commit, or .gitignore names it.",
        "Put it beside the Dockerfile, or leave the line out: under [build] of bananastand.toml, "
        'skip = ["COPY {path}"].',
    ),
    # The port.
    AdviceRule(
        r"([Rr]unning|[Ll]istening|[Ss]erving|[Ss]tarted)[^\n]* (on|at)[^\n]*?[:\s](?P<port>\d{2,5})\b(?!, loading)",
        "The app says that it listens on port {port}.",
        "If that is so, name the port, and the path that answers 200: under [app] of bananastand.toml, port = {port} "
        'and health = "/". Without it the platform looks for port 8000 and /healthcheck.',
        details.other_port,
    ),
    AdviceRule(
        r"nothing listens on port (?P<port>\d+) yet",
        "The app runs, and opens no port.",
        "If it loads for longer, allow more: `bananastand up --start-timeout 1200`. If it is no server, name the "
        'program that is: under [app] of bananastand.toml, command = "python3 -u server.py".',
    ),
)
