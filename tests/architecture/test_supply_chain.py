"""What is installed is pinned: packages by hash, workflows' actions by commit, base images by digest."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.locks import CUDA, entries

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(path.name for path in (ROOT / "locks").glob("*.txt"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11",
         "python_full_version": "3.11.7", "platform_python_implementation": "CPython", "extra": ""}  # fmt: skip


def pins(name: str) -> dict[str, str]:
    found = entries((ROOT / name).read_text(encoding="utf-8"))
    assert len({canonicalize_name(package) for package, _ in found}) == len(found), f"{name} names a package twice"
    return {canonicalize_name(package): version for package, version in found}


def asked(extra: str | None) -> list[Requirement]:
    """The project's own requirements, those of an extra included, as they hold on Linux."""
    project = PROJECT["project"]
    lines = list(project["dependencies"])
    if extra:
        for line in project["optional-dependencies"][extra]:
            requirement = Requirement(line)
            if requirement.name == "bananastand":
                lines += [str(each) for inner in requirement.extras for each in asked(inner)]
            else:
                lines.append(line)
    requirements = map(Requirement, lines)
    return [each for each in requirements if each.marker is None or Marker(str(each.marker)).evaluate(LINUX)]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_hashes_and_the_version_of_the_constraints(name: str) -> None:
    text = (ROOT / "locks" / name).read_text(encoding="utf-8")
    constraints = pins("constraints.txt")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]

    assert blocks
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", block), block[:80]
    for package, version in pins(f"locks/{name}").items():
        assert constraints[package] == version


@pytest.mark.parametrize(("lock", "extra"), [("dev", "dev"), ("serve", "serve"), ("stand", "stand")])
def test_a_lock_has_all_that_the_project_asks_for(lock: str, extra: str) -> None:
    locked = pins(f"locks/{lock}.txt") | pins("locks/torch-cpu.txt")
    requirements = list(asked(extra))
    assert requirements
    for requirement in requirements:
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize("lock", ["dev", "serve", "stand", "mocks", "release"])
def test_torch_and_its_cuda_packages_are_in_no_lock_but_torchs(lock: str) -> None:
    assert [name for name in pins(f"locks/{lock}.txt") if name == "torch" or CUDA.fullmatch(name)] == []


def test_the_constraints_name_what_torch_needs_on_linux_with_a_gpu() -> None:
    assert {"torch", "triton", "nvidia-cudnn-cu13"} <= set(pins("constraints.txt"))


def test_the_build_backend_is_pinned_and_locked() -> None:
    (backend,) = map(Requirement, PROJECT["build-system"]["requires"])
    (pin,) = backend.specifier

    assert pin.operator == "=="
    assert pin.version == pins("locks/dev.txt")["hatchling"] == pins("locks/release.txt")["hatchling"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version(path: Path) -> None:
    used = re.findall(r"^\s*-?\s*uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)

    assert used
    for each in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_install_by_hash_and_may_write_nothing_unless_a_job_says_so(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"pip install .*", text):
        assert re.search("--require-hashes|--no-deps", line), line
    if "make test" in text:
        assert "LOCKED: 1" in text
    assert yaml.safe_load(text).get("permissions") == {"contents": "read"}


@pytest.mark.parametrize("name", ["Dockerfile", "mocks/Dockerfile"])
def test_base_images_are_pinned_by_digest_and_packages_by_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG BASE=(.+)$", text, re.MULTILINE)

    assert re.fullmatch(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}", base)
    installs = re.findall(r"-m pip install [^\\\n]*(?:\\\n[^\\\n]*)?", text)
    assert installs
    assert all("--require-hashes" in each for each in installs)


def test_updates_of_packages_actions_and_images_are_proposed() -> None:
    config = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))

    assert {each["package-ecosystem"] for each in config["updates"]} == {"pip", "github-actions", "docker"}
