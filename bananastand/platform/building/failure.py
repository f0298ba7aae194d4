"""Says why a program of a build failed: its own decisive line among the many it wrote, and what to do about it.

Knows how programs of builds report errors; knows no build.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["advice", "decisive"]

# The last of these says what went wrong.
ERROR = re.compile(
    r"^\s*(?:[\w.]*(?:Error|Exception|Exit|Interrupt)\b(?::|$)|(?:E|ERROR|error|fatal|FATAL|Error)\b ?:|"
    r"npm (?:ERR!|error)|curl: \(\d+\)|wget: |"
    r".*: command not found|.*: not found$|.*No such file or directory|.*: cannot |.*: error: )"
)
# Never the reason, however late it comes.
NOISE = re.compile(
    r"^\s*(?:note:|hint:|\[notice\]|WARNING|warning:|Traceback|File \"|During handling|The above exception|debconf:|"
    r"Reading (?:package|state)|Building dependency|\^+\s*$|~+|For further information|If you want to|See above|$)",
    re.IGNORECASE,
)
ADVICE = (
    (r"No module named '?([\w.]+)", "add the package that has the module {0} to requirements.txt"),
    (r"No space left on device", "free space on the disk that holds the data directory"),
    (r"(?:Could not resolve host|Name or service not known|Temporary failure in name resolution|Network is unreachable|"
     r"Failed to resolve|Couldn't connect to|Connection refused|unable to access)",
     "this machine has no way to that host: check the network, HTTP_PROXY and HTTPS_PROXY, or bring the file with the "
     "source"),
    (r"(?:401 Client Error|403 Client Error|GatedRepoError|Invalid username or password|Unauthorized)",
     "give a token that may read it: --secret HF_TOKEN, or --env NAME for an ARG line"),
    (r"(?:404 Client Error|RepositoryNotFoundError|error: 404|ERROR 404)", "it is not there any more: name another"),
    (r"Read-only file system: '?([^']+)", "{0} is this machine's and not the build's: write below /app, /opt or /root"),
    (r"(?:lib(?:GL)\.so|cannot open shared object file)",
     "a library of the system is missing; the packages that the Dockerfile installs are named above"),
    (r"(?:Torch not compiled with CUDA|Found no NVIDIA driver|CUDA driver|no CUDA-capable device)",
     "the line wants a GPU, which builds at Banana did not have either: load the model on the CPU while building"),
    (r"Killed|MemoryError|Cannot allocate memory", "the program needs more memory than this machine has free"),
    (r"([\w./-]+): (?:command )?not found", "install {0} on this machine, or use the container builder"),
)  # fmt: skip


def decisive(lines: Sequence[str]) -> str:
    """The line that says what failed, or the last one that is no notice; empty where a program said nothing."""
    said = [line.strip() for line in lines if line.strip() and not NOISE.match(line)]
    errors = [line for line in said if ERROR.match(line)]
    return (errors or said or [""])[-1][:400]


def advice(lines: Sequence[str]) -> str:
    """What to do, for a failure that is known; else empty."""
    for text in (decisive(lines), *reversed(lines[-30:])):
        for pattern, what in ADVICE:
            if found := re.search(pattern, text):
                return what.format(*(group or "" for group in found.groups()))
    return ""
