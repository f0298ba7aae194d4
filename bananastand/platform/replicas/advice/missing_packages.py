"""The packages that bring a missing Python module or shared library."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["MOVED", "PACKAGES", "library_package", "python_package", "requirement_files", "requires"]

# Module -> package, where the two have different names.
PACKAGES = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "clip": "openai-clip",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "ffmpeg": "ffmpeg-python",
    "fitz": "pymupdf",
    "git": "GitPython",
    "google.protobuf": "protobuf",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "pkg_resources": "setuptools<81",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "speech_recognition": "SpeechRecognition",
    "whisper": "openai-whisper",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
# Modules that Python itself had, and the last version that has them.
MOVED = {"distutils": "3.11", "imp": "3.11", "asyncore": "3.11", "asynchat": "3.11", "cgi": "3.12", "pipes": "3.12"}
# Shared library -> Debian package.
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libX11.so.6": "libx11-6",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libsndfile.so.1": "libsndfile1",
    "libsndfile.so": "libsndfile1",
    "libportaudio.so.2": "libportaudio2",
    "libmagic.so.1": "libmagic1",
    "libpq.so.5": "libpq5",
    "libopenblas.so.0": "libopenblas0",
    "libtcmalloc.so.4": "libgoogle-perftools4",
    "libcairo.so.2": "libcairo2",
    "libaio.so.1": "libaio1",
    "libstdc++.so.6": "libstdc++6",
}


def python_package(module: str) -> str:
    """Return the package that has a module: `pillow` for `PIL.Image`."""
    top = module.partition(".")[0]
    return PACKAGES.get(module) or PACKAGES.get(top) or top.replace("_", "-")


def library_package(library: str) -> str | None:
    """Return the Debian package of a shared library; None for an unknown one."""
    return LIBRARIES.get(library)


def requirement_files(source: Path) -> list[str]:
    """Return the requirement files of a repository, as paths in it."""
    found = [*source.glob("*requirements*.txt"), *source.glob("*/*requirements*.txt")]
    return sorted(str(path.relative_to(source)) for path in found)


def requires(source: Path, file: str, package: str) -> bool:
    """Whether a requirement file names a package, in any version."""
    name = _plain(re.split(r"[<>=!~\[; ]", package, maxsplit=1)[0])
    text = (source / file).read_text(encoding="utf-8", errors="replace")
    listed = (re.split(r"[<>=!~\[;@ ]", line.strip(), maxsplit=1)[0] for line in text.splitlines())
    return name in {_plain(other) for other in listed}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
