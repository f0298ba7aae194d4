"""Stand-ins for published base images, made of this machine's Debian, Pythons and Node: no registry is asked.

Each is Debian with the Python that the published image has, and the system packages that the corpus asks apt for, so
that they come once. They have no CUDA and no torch.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bananastand.platform.building.containers.engines import find_engine
from bananastand.platform.building.dockerfile.dockerfile import parse
from bananastand.platform.building.environments.base_images import base_image

from .corpus import CorpusRepository

__all__ = ["ImageMaker", "engine_environment", "engine_problem", "no_stand_in"]

PREFIX = "localhost/bananastand-corpus"
PYENV = Path.home() / ".pyenv" / "versions"
SUITE = "bookworm"
TORCH_PYTHON = "3.11"  # of the wheel on disk
CONDA_PYTHON = "3.9"
CONDA = Path(__file__).with_name("conda_stand_in.py")
LIBRARIES = ("libssl3", "libffi8", "libsqlite3-0", "libbz2-1.0", "liblzma5", "libreadline8", "libncursesw6", "zlib1g",
             "libexpat1", "libstdc++6", "ca-certificates")  # fmt: skip
ASKED = ("git", "curl", "wget", "gcc", "libc6-dev", "ffmpeg", "libgl1", "libglib2.0-0", "libsm6", "libxext6",
         "libsndfile1", "redis-server", "openssl")  # fmt: skip
PROGRAMS = ("buildah", "debootstrap", "dpkg-deb", "dpkg-scanpackages")
CONTAINERS_CONF = """[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
{runtime}
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
"""


def engine_environment(folder: Path) -> dict[str, str]:
    """Return variables for engines: their own storage, and settings that work inside of a container."""
    folder.mkdir(parents=True, exist_ok=True)
    storage, engine = folder / "storage.conf", folder / "containers.conf"
    storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n')
    runtime = 'runtime = "runc"' if shutil.which("runc") else ""
    engine.write_text(CONTAINERS_CONF.format(runtime=runtime))
    return {"CONTAINERS_STORAGE_CONF": str(storage), "CONTAINERS_CONF": str(engine), "BUILDAH_ISOLATION": "chroot"}


@functools.cache
def engine_problem(name: str) -> str | None:
    """Return why this engine, or the stand-ins, cannot be had in this environment; None if they can."""
    if os.geteuid() != 0:
        return "stand-ins of base images are made by root alone"
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"stand-ins of base images need {', '.join(missing)}"
    if shutil.which(name) is None:
        return f"this machine has no {name}"
    with tempfile.TemporaryDirectory() as notes:
        found = asyncio.run(find_engine((name,), Path(notes)))
    return None if found.engine is not None else str(found)


def no_stand_in(repository: CorpusRepository) -> str | None:
    """Return why no stand-in of a repository's base image can be made here, or None."""
    for name in _bases(repository):
        kind = _kind(name, repository)
        if kind == "torch" and not _torch_wheel():
            return f"this machine has no wheel of torch for a stand-in of {name}"
        python = {"torch": TORCH_PYTHON, "conda": CONDA_PYTHON}.get(kind, kind.removeprefix("python"))
        if kind.startswith(("python", "torch", "conda")) and _interpreter(python) is None:
            return f"this machine has no Python {python} for a stand-in of {name}"
    return None


def _bases(repository: CorpusRepository) -> list[str]:
    dockerfile = parse((repository.folder / "Dockerfile").read_text(encoding="utf-8"))
    return [stage.base for stage in dockerfile.stages if dockerfile.stage(stage.base, stage.index) is None]


def _kind(name: str, repository: CorpusRepository) -> str:
    """Return the kind of stand-in for a base image of a repository."""
    image = name.partition(":")[0].rpartition("/")[2]
    if "conda" in image:
        return "conda"
    if image in ("node", "gcc", "debian", "cuda"):
        return {"gcc": "debian"}.get(image, image)
    if "torch" in repository.needs and image == "pytorch":
        return "torch"
    return f"python{base_image(name).python or TORCH_PYTHON}"


def _torch_wheel() -> Path | None:
    """Return a wheel of a CPU build of torch in the folders that pip looks in, or None."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.find-links"],
                            capture_output=True, text=True).stdout.split()  # fmt: skip
    tag = f"cp{TORCH_PYTHON.replace('.', '')}"
    return next((wheel for folder in listed for wheel in Path(folder).glob(f"torch-*+cpu-{tag}-*.whl")), None)


def _interpreter(version: str) -> Path | None:
    return next(iter(sorted(PYENV.glob(f"{version}.*"))), None)


class ImageMaker:
    """Makes images with buildah.

    Args:
        folder: Scratch.
        environment: What engine_environment returned.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, {**os.environ, **environment}

    def use(self, repository: CorpusRepository, engine: str, file: Path) -> None:
        """Make the stand-ins of a repository's base images that are missing, and name them in a stand.toml."""
        rows = "".join(f'"{name}" = "{self._image(_kind(name, repository))}"\n' for name in _bases(repository))
        if no_stand_in(repository) is None:
            file.write_text(f'engine = "{engine}"\n[images]\n{rows}', encoding="utf-8")

    def _image(self, kind: str) -> str:
        """Return the name of a stand-in, which is made if it is missing."""
        name = f"{PREFIX}-{kind}"
        if subprocess.run(["buildah", "inspect", "--type=image", name], env=self._environment,
                          capture_output=True).returncode:  # fmt: skip
            print(f"making the stand-in {name}", flush=True)
            if kind == "debian":
                self._debian(name)
            else:
                add = {"node": self._add_node, "cuda": self._add_packages, "torch": self._add_torch,
                       "conda": self._add_conda}.get(kind, self._add_python(kind))  # fmt: skip
                self._derive(name, add)
        return name

    def _run(self, *words: str) -> str:
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words[:3])}: {done.stderr[-1000:]}")
        return done.stdout.strip()

    def _debian(self, name: str) -> None:
        root = self._folder / "debian"
        shutil.rmtree(root, ignore_errors=True)
        packages = f"--include={','.join((*LIBRARIES, *ASKED))}"
        self._run("debootstrap", "--variant=minbase", packages, SUITE, str(root))
        container = self._run("buildah", "from", "scratch")
        self._run("buildah", "add", "--quiet", container, str(root), "/")
        self._run("buildah", "config", "--cmd", '["bash"]', container)
        self._run("buildah", "commit", "--quiet", "--rm", container, name)
        shutil.rmtree(root)

    def _derive(self, name: str, add: Callable[[str], None]) -> None:
        container = self._run("buildah", "from", "--pull-never", self._image("debian"))
        add(container)
        self._run("buildah", "commit", "--quiet", "--rm", container, name)

    def _add_python(self, kind: str) -> Callable[[str], None]:
        def add(container: str) -> None:
            self._run("buildah", "add", "--quiet", container, str(self._python(kind.removeprefix("python"))), "/")
            self._run("buildah", "run", container, "--", "ldconfig")

        return add

    def _python(self, version: str) -> Path:
        """Return a folder with usr/local: the Python and its pip."""
        root, source = self._folder / f"python{version}", _interpreter(version)
        assert source is not None, "no_stand_in has looked"
        shutil.rmtree(root, ignore_errors=True)
        local = root / "usr" / "local"
        ignore = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "*.a", "site-packages")
        shutil.copytree(source, local, symlinks=True, ignore=ignore)
        packages = next(source.glob("lib/python3*")) / "site-packages"
        target = local / packages.relative_to(source)
        target.mkdir()
        for package in packages.iterdir():
            if package.name.startswith(("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-prec")):
                copy = shutil.copytree if package.is_dir() else shutil.copy2
                copy(package, target / package.name)
        for script in (local / "bin").iterdir():
            if not script.is_symlink() and script.read_bytes()[:2] == b"#!":
                _, _, rest = script.read_text().partition("\n")
                script.write_text(f"#!/usr/local/bin/python{version}\n{rest}")
        return root

    def _add_torch(self, container: str) -> None:
        """Add the Python of the wheel of torch that lies on disk, and torch, as images of PyTorch have it."""
        self._add_python(f"python{TORCH_PYTHON}")(container)
        wheel = _torch_wheel()
        assert wheel is not None, "no_stand_in has looked"
        target = self._folder / "torch"
        shutil.rmtree(target, ignore_errors=True)
        self._run(
            sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(target), str(wheel)
        )
        site = f"/usr/local/lib/python{TORCH_PYTHON}/site-packages"
        self._run("buildah", "add", "--quiet", container, str(target), site)
        shutil.rmtree(target)

    def _add_conda(self, container: str) -> None:
        """Add a Python, and a program that takes conda's words and makes virtual environments."""
        self._add_python(f"python{CONDA_PYTHON}")(container)
        self._run("buildah", "add", "--quiet", "--chmod", "755", container, str(CONDA), "/usr/local/bin/conda")

    def _add_node(self, container: str) -> None:
        node = Path(shutil.which("node") or "").resolve()
        modules = next(folder for folder in (node.parents[1] / "lib/node_modules", Path("/usr/share/nodejs"))
                       if (folder / "npm").is_dir())  # fmt: skip
        self._run("buildah", "add", "--quiet", container, str(node), "/usr/local/bin/node")
        self._run("buildah", "add", "--quiet", container, str(modules / "npm"), "/usr/local/lib/node_modules/npm")
        link = "ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm"
        self._run("buildah", "run", container, "--", "sh", "-c", link)

    def _add_packages(self, container: str) -> None:
        """Add Ubuntu's python3.8 and python3-pip for apt, and the list of CUDA packages those images have."""
        folder, python = self._folder / "debs", self._python("3.8")
        shutil.rmtree(folder, ignore_errors=True)
        system = python / "usr" / "bin"
        system.mkdir()
        (system / "python3.8").symlink_to("/usr/local/bin/python3.8")
        pip = self._folder / "python3-pip"
        (pip / "usr" / "bin").mkdir(parents=True, exist_ok=True)
        (python / "usr/local/bin/pip3").rename(pip / "usr/bin/pip3")
        folder.mkdir()
        for root, package in ((python, "python3.8"), (pip, "python3-pip")):
            (root / "DEBIAN").mkdir(exist_ok=True)
            about = f"Package: {package}\nVersion: 99\nArchitecture: all\nMaintainer: corpus <corpus@localhost>\n"
            (root / "DEBIAN/control").write_text(f"{about}Description: stands in for Ubuntu's\n")
            if package == "python3.8":
                script = root / "DEBIAN/postinst"
                script.write_text("#!/bin/sh\nldconfig\n")
                script.chmod(0o755)
            self._run("dpkg-deb", "--build", "-Zgzip", "-z1", str(root), str(folder / f"{package}.deb"))
        index = self._run("sh", "-c", f"cd {folder} && dpkg-scanpackages --multiversion .")
        (folder / "Packages").write_text(f"{index}\n")
        lists = self._folder / "lists"
        lists.mkdir(exist_ok=True)
        (lists / "corpus.list").write_text("deb [trusted=yes] file:/opt/debs ./\n")
        (lists / "cuda.list").write_text("# the list of CUDA's packages\n")
        self._run("buildah", "add", "--quiet", container, str(folder), "/opt/debs")
        self._run("buildah", "add", "--quiet", container, str(lists), "/etc/apt/sources.list.d")
