"""What will differ on this machine, and what must be changed before the app can run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..building.environments.gpu_support import machine_capabilities
from ..building.errors import BuildError
from ..building.processes.run_analysis import analyse_run
from .behaviour import gpu_uses
from .findings import (
    EnvironmentVariable,
    InspectedBase,
    InspectedTorch,
    InspectionDifference,
    RequirementLine,
    Template,
    Weight,
)
from .repository import SourceRepository

__all__ = ["TEMPLATE_COMMANDS", "differences"]

POINTER = "version https://git-lfs.github.com/spec/v1"
WEIGHTS = (".bin", ".safetensors", ".ckpt", ".pt", ".pth", ".onnx", ".h5", ".zip", ".gguf")
TEMPLATE_COMMANDS = {"server.py": "python3 -u server.py", "app.py": "python3 -u app.py"}


def differences(
    repository: SourceRepository,
    template: Template,
    base: InspectedBase,
    torch: InspectedTorch | None,
    requirements: Sequence[RequirementLine],
    weights: Sequence[Weight],
    variables: Sequence[EnvironmentVariable],
    port: int | None,
    against: Sequence[InspectionDifference] = (),
) -> list[InspectionDifference]:
    """Return all differences, those that need a change first.

    `against` is what the package index has against the requirements.
    """
    found = [
        *_of_start(repository, template, port),
        *_of_gpu(repository, torch),
        *_of_weights(weights),
        *_of_variables(variables),
        *_of_requirements(requirements, template),
        *against,
        *_of_dockerfile(repository, base),
        *_of_pointers(repository),
    ]
    return sorted(found, key=lambda difference: difference.change is None)


def _of_start(repository: SourceRepository, template: Template, port: int | None) -> Iterator[InspectionDifference]:
    command = repository.command
    if command is None:
        likely = next((command_line for name, command_line in TEMPLATE_COMMANDS.items() if repository.has(name)), None)
        change = f'say how it starts, in bananastand.toml: [app] command = "{likely or "PROGRAM"}"'
        yield InspectionDifference("nothing says how the app starts: there is no CMD", "Dockerfile:1", change)
    elif repository.entry is None and (name := _missing_script(repository, command[0])):
        text = f"the command starts {name}, which the repository does not have"
        if _fetches_files(repository):
            yield InspectionDifference(f"{text}; a line of the Dockerfile may bring it", command[1])
        else:
            change = f"add {name}, or name another command in bananastand.toml: [app] command"
            yield InspectionDifference(text, command[1], change)
    if template.kind in ("cog", "truss"):
        change = "write a Dockerfile whose CMD starts an HTTP server, or an app.py with Potassium"
        yield InspectionDifference(f"{template.title} is not started here", template.where, change)
    if template.kind != "potassium" and port is not None:
        yield InspectionDifference(f"port {port} is moved to a private one for each replica; callers use the app's URL")
    if template.kind not in ("potassium", "cog", "truss"):
        yield InspectionDifference("a server of its own gets one call at a time to a replica, as on Banana")


def _missing_script(repository: SourceRepository, command: tuple[str, ...]) -> str | None:
    if not re.search(r"(^|/)(python[\d.]*|node)$", command[0]):
        return None
    script = next((word for word in command[1:] if not word.startswith("-")), "")
    exists = any(file.rpartition("/")[2] == script.rpartition("/")[2] for file in repository.files)
    return script if script.endswith((".py", ".js")) and not exists else None


def _fetches_files(repository: SourceRepository) -> bool:
    """Whether a line brings files from elsewhere: a clone, a download, an archive, another image."""
    runs = any(re.search(r"\bgit\s+clone\b|\b(wget|curl)\s|\b(tar|unzip)\s|<<", run.text) for run in repository.runs)
    lines = [line for stage in repository.stages for line in stage.instructions if line.name in ("COPY", "ADD")]
    return runs or any("--from=" in line.value or "://" in line.value or line.heredocs for line in lines)


def _of_gpu(repository: SourceRepository, torch: InspectedTorch | None) -> Iterator[InspectionDifference]:
    if machine_capabilities():
        if torch is not None and torch.problem is not None:
            yield InspectionDifference(torch.problem, None, "take a torch that drives this GPU")
        return
    uses = list(gpu_uses(repository))
    for words, where in uses[:4]:
        change = (
            "deploy with --cpu, which leads such calls to the CPU, or choose the device by torch.cuda.is_available()"
        )
        yield InspectionDifference(f"{words}: this machine has no GPU", where, change)
    if len(uses) > 4:
        yield InspectionDifference(f"{len(uses) - 4} more uses of a GPU without a question whether there is one")
    if not uses and torch is not None:
        yield InspectionDifference("this machine has no GPU: the app runs on the CPU, slowly")


def _of_weights(weights: Sequence[Weight]) -> Iterator[InspectionDifference]:
    for weight in weights:
        where = weight.where[0]
        if weight.state == "gone":
            name = f'name another in bananastand.toml: [build] weights = {{"{weight.name}" = "OWNER/NAME"}}'
            other = f"fetch {weight.successor} in its place: bananastand inspect --fix writes it"
            change = other if weight.successor else name
            yield InspectionDifference(f"{weight.name} is gone from the hub: {weight.reason}", where, change)
        elif weight.state == "missing":
            change = f'check the name; if it was deleted: [build] weights = {{"{weight.name}" = "OWNER/NAME"}}'
            yield InspectionDifference(
                f"{weight.name}: {weight.reason}", where, f"{change}; a private one needs --secret HF_TOKEN"
            )
        elif weight.state == "gated":
            change = "accept its terms, then: bananastand deploy --secret HF_TOKEN"
            yield InspectionDifference(f"{weight.name} is gated: {weight.reason}", where, change)
        elif weight.successor and weight.state == "moved":
            yield InspectionDifference(
                f"{weight.name} is {weight.successor} now; the hub redirects, which libraries of 2022 miss", where
            )


def _of_variables(variables: Sequence[EnvironmentVariable]) -> Iterator[InspectionDifference]:
    for variable in variables:
        if variable.required:
            option = f"--secret {variable.name}" if variable.secret else f"--env {variable.name}=VALUE"
            yield InspectionDifference(
                f"{variable.name} has no value", variable.where, f"give it one: bananastand deploy {option}"
            )


def _of_requirements(requirements: Sequence[RequirementLine], template: Template) -> Iterator[InspectionDifference]:
    for requirement in requirements:
        if requirement.state == "unreadable":
            yield InspectionDifference(
                f"{requirement.line}: not a requirement that pip reads", requirement.where, "correct the line"
            )
        elif requirement.state == "git":
            yield InspectionDifference(
                f"{requirement.line} is taken as it is today, whatever it was", requirement.where
            )
    if template.kind == "potassium" and not template.versions:
        yield InspectionDifference(
            "no published Potassium fits the requirement", template.where, "correct the requirement"
        )


def _of_dockerfile(repository: SourceRepository, base: InspectedBase) -> Iterator[InspectionDifference]:
    if base.image is not None and base.python is None:
        yield InspectionDifference(f"{base.image}: what is in this image is not known here", base.where)
    for stage in repository.stages:
        for line in stage.instructions:
            if line.name != "RUN":
                continue
            try:
                words = line.exec_form()
                analyse_run(line.line, " ".join(words) if words else line.value, repository.variables.get)
            except BuildError as error:
                text = re.sub(r"^Dockerfile line \d+: ", "", str(error))
                yield InspectionDifference(f"needs the container builder: {text}", f"Dockerfile:{line.line}")


def _of_pointers(repository: SourceRepository) -> Iterator[InspectionDifference]:
    for name in repository.files:
        path = repository.folder / name
        small = name.endswith(WEIGHTS) and not path.is_symlink() and path.stat().st_size < 1024
        if small and path.read_bytes().startswith(POINTER.encode()):
            yield InspectionDifference(
                f"{name} is a Git LFS pointer, not the weights", f"{name}:1", "fetch it: git lfs pull"
            )
