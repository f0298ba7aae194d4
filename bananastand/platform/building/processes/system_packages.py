"""Reads lines that set up an image's system: the Debian packages they install, and which lines can be left out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from ctypes.util import find_library

from ..commands import output

__all__ = [
    "MANAGERS",
    "harmless_reason",
    "missing_packages",
    "app_packages",
    "packages_of",
    "setup_reason",
    "describe_packages",
]

MANAGERS = frozenset({"apt", "apt-get", "aptitude", "apk", "yum", "dnf", "microdnf", "zypper", "dpkg", "apt-key",
                      "apt-mark", "add-apt-repository"})  # fmt: skip
# They set up the system that an image is; here that is this machine, which a build does not change.
SETUP = {
    "the system is this machine's": "dpkg-reconfigure ldconfig locale-gen localedef update-alternatives update-locale "
    "update-ca-certificates chsh service systemctl",
    "the user is the one who runs the platform": "addgroup adduser chgrp chown groupadd useradd usermod passwd "
    "chpasswd",
}
OF_ENVIRONMENT = re.compile(r"activate|conda|mamba|\.bashrc|\.profile|/etc/profile")
WITH_VALUE = frozenset({"-t", "-o", "-c", "--virtual", "--target-release", "--option", "--repository", "-X", "-a"})
# What the builder brings itself, and what an app does not use once it runs.
BROUGHT = re.compile(
    r"python[\d.]*(-.*)?|python3(\.\d+)?-.*|pypy.*|pip|py3?-pip|virtualenv|apt-utils|software-properties-common|gnupg2?|"
    r"gpg|dirmngr|apt-transport-https|tzdata|locales(-all)?|dialog|vim|nano|less|htop|tmux|screen|sudo|ca-certificates|"
    r"lsb-release|debconf.*|cuda.*|libcudnn.*|libnccl.*|libcublas.*|libnvinfer.*|nvidia-.*|man-db|bash|coreutils|musl.*"
)
# Packages that newer releases name otherwise: any of the names will do.
RENAMED = {
    "libgl1-mesa-glx": ("libgl1",), "libgl1-mesa-dri": ("libgl1",), "libglib2.0-0": ("libglib2.0-0t64",),
    "libtiff5": ("libtiff6",), "libjpeg62-turbo-dev": ("libjpeg-dev",),
    "libavcodec58": ("libavcodec59", "libavcodec61"), "libssl1.1": ("libssl3", "libssl3t64"),
    "p7zip-full": ("7zip",), "libgtk2.0-0": ("libgtk2.0-0t64",),
    "libgoogle-perftools4": ("libgoogle-perftools4t64",), "libasound2": ("libasound2t64",),
    "netcat": ("netcat-openbsd",), "ttf-mscorefonts-installer": ("fonts-liberation",),
    "libopenblas-base": ("libopenblas0",),
}  # fmt: skip
APK = {"build-base": "build-essential", "libstdc++": "libstdc++6", "g++": "g++", "linux-headers": "linux-libc-dev"}
# How a library is found where no dpkg-query tells: package and what the linker calls it.
LIBRARIES = {
    "libgl1": "GL", "libgl1-mesa-glx": "GL", "libglib2.0-0": "glib-2.0", "libsm6": "SM", "libxext6": "Xext",
    "libxrender1": "Xrender", "libsndfile1": "sndfile", "libgomp1": "gomp", "libopenblas0": "openblas",
    "libjpeg-dev": "jpeg", "libtcmalloc-minimal4": "tcmalloc_minimal",
}  # fmt: skip
PROGRAMS = {
    "build-essential": "g++", "git-lfs": "git-lfs", "nodejs": "node", "ninja-build": "ninja",
    "imagemagick": "convert", "poppler-utils": "pdftotext", "tesseract-ocr": "tesseract", "espeak-ng": "espeak-ng",
    "openssh-client": "ssh", "p7zip-full": "7z", "libsndfile1-dev": "", "aria2": "aria2c", "awscli": "aws",
}  # fmt: skip
# Files of a base image that a build of those years had to mend, and whose mending means nothing here.
OF_BASE = (
    (r"/etc/apt(/|$)|/var/lib/apt|/var/cache/apt|/usr/share/keyrings", "the base image's apt sources are not used"),
    (r"/usr/(local/)?bin/(python|pip)[\d.]*$|/opt/conda/bin/(python|pip)[\d.]*$", "the build has its own Python"),
    (r".*/EXTERNALLY-MANAGED$", "the build has its own Python"),
    (r"/etc/(localtime|timezone)$|/usr/share/zoneinfo", "this machine's time zone is used"),
    (r"/etc/ld\.so\.conf|/usr/local/cuda(-[\d.]+)?(/|$)|/usr/lib/x86_64-linux-gnu/lib(cuda|nvidia|cudart|cublas)",
     "this machine's libraries are used"),
    (r"/etc/locale|/etc/default/locale", "this machine's locales are used"),
    (r"(~|/root|\$HOME)/\.(bashrc|profile|bash_profile|zshrc|condarc)$|/etc/(bash\.bashrc|profile)",
     "no login shell runs"),
    (r"/etc/sudoers|/etc/(passwd|group|shadow)$|/etc/sysctl|/etc/security", "the machine's own setting is used"),
)  # fmt: skip
OF_CACHES = r"/(var/)?tmp(/\*)?|(~|/root|\$HOME)/\.cache(/pip|/\*)?/?|/var/(cache|log)(/.*)?|/usr/share/(doc|man)(/.*)?"
CHANGES = frozenset(
    {"rm", "ln", "mv", "cp", "sed", "touch", "mkdir", "chmod", "echo", "printf", "tee", "cat", "install", "unlink",
     "curl", "wget", "gpg"}
)  # fmt: skip


def packages_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """Return the packages that a package manager's command installs, or None for its other commands."""
    program = words[0].rpartition("/")[2]
    rest, names, skip, installs = list(words[1:]), list[str](), False, False
    for word in rest:
        if skip:
            skip = False
        elif word in WITH_VALUE:
            skip = True
        elif word.startswith("-"):
            continue
        elif not installs:
            if word not in ("install", "add", "groupinstall", "localinstall", "in"):
                return None
            installs = True
        else:
            names.append(re.split(r"[=:/<>~]", word)[0] if not word.startswith((".", "/")) else word)
    if program == "apk":
        names = [APK.get(name, name) for name in names]
    return tuple(name for name in names if name and not name.startswith("$")) if installs else None


def setup_reason(program: str, words: Sequence[str | None], *, sandboxed: bool) -> str | None:
    """Return why a command that sets up users, libraries or a shell is left out, or None."""
    if program in ("source", "."):
        return "the build has an environment of its own" if not sandboxed or _is_activation(words) else None
    return next((reason for reason, programs in SETUP.items() if program in programs.split()), None)


def _is_activation(words: Sequence[str | None]) -> bool:
    return any(OF_ENVIRONMENT.search(word or "") for word in words[1:])


def harmless_reason(program: str, paths: Sequence[str]) -> str | None:
    """Return why a command that changes these absolute paths is left out, or None where it may matter."""
    if program not in CHANGES or not paths:
        return None
    reasons = list[str]()
    for path in paths:
        if program in ("rm", "unlink") and re.fullmatch(OF_CACHES, path):
            reasons.append("caches and temporary files stay")
            continue
        found = next((reason for pattern, reason in OF_BASE if re.match(pattern, path)), None)
        if found is None:
            return None
        reasons.append(found)
    return reasons[-1]


def app_packages(names: Iterable[str]) -> list[str]:
    """Return the packages that an app may use, sorted, without those that the builder provides."""
    return sorted({name for name in names if not BROUGHT.fullmatch(name) and not name.endswith(".deb")})


async def missing_packages(names: Sequence[str]) -> list[str]:
    """Return the packages this machine lacks, by dpkg-query, else by program and library."""
    if not names:
        return []
    others = {name: (name, *RENAMED.get(name, ())) for name in names}
    candidates = sorted({name for group in others.values() for name in group})
    installed = set[str]()
    if shutil.which("dpkg-query"):
        _, text = await output(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Provides}\n", *candidates])
        for line in text.splitlines():
            status, _, rest = line.partition(" ")
            if status == "installed":
                installed |= {name.strip(" ,()") for name in re.split(r"[\s,]+", rest)}
    return [RENAMED.get(name, (name,))[-1] for name in names
            if not installed & set(others[name]) and not _is_found(name)]  # fmt: skip


def _is_found(name: str) -> bool:
    if library := LIBRARIES.get(name):
        return find_library(library) is not None
    return bool(shutil.which(PROGRAMS.get(name, name) or name))


def describe_packages(names: Sequence[str], missing: Sequence[str]) -> str:
    """Return one line: what is needed, what is missing, and the command that installs it."""
    if not missing:
        return f"needs these Debian packages: {', '.join(names)}; this machine has them"
    return (
        f"needs these Debian packages: {', '.join(names)}; this machine lacks {', '.join(missing)}: "
        f"sudo apt-get install {' '.join(missing)}"
    )
