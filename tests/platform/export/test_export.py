"""Exports of a project, held to schemas from outside, to strict keys, and to files that a person has read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from bananastand.platform.errors import Refused
from bananastand.platform.export.description import AppDescription, describe_app
from bananastand.platform.export.export import FORMATS, export
from stands import Up, called, deployed, running

FILES = Path(__file__).parent / "files"
DIGEST = "sha256:" + "4e" * 32
IMAGES = {
    "knative": f"registry.example/my-app@{DIGEST}",
    "kuberay": "registry.example/bananastand-node:1",
    "compose": None,
}
APP = AppDescription(
    name="my_app", version="5b1d6f0e-0000-4000-8000-000000000000", kind="container", image="localhost/x:build",
    port=8000, health="/healthcheck",
    environment={"MODEL": "fruitstand", "PRICE": "$5 or $(HOME)", "PORT": "8000"},
    secrets=("HF_TOKEN", "S3_KEY"), concurrency=2, timeout=900, start_timeout=600, min_replicas=0, max_replicas=3,
    idle_timeout=30, gpus=1, memory_mb=16384, labels={"gpu": "a100"},
)  # fmt: skip
SMALL = replace(
    APP, name="plain", health=None, environment={}, secrets=(), gpus=0, memory_mb=None, labels={}, timeout=300,
    min_replicas=1, idle_timeout=0, start_timeout=1,
)  # fmt: skip


def closed(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of an object without other keys."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"}
COUNT = {"type": "integer", "minimum": 0}
METADATA = closed({"name": NAME}, {"labels": TEXTS, "annotations": TEXTS})
# knative/serving, config/core/300-resources/service.yaml and pkg/apis/autoscaling/register.go
ANNOTATIONS = closed(
    {
        "autoscaling.knative.dev/min-scale": {"type": "string", "pattern": "^[0-9]+$"},
        "autoscaling.knative.dev/max-scale": {"type": "string", "pattern": "^[0-9]+$"},
        "autoscaling.knative.dev/window": {"type": "string", "pattern": "^([6-9]|[1-9][0-9]+)s$"},
        "autoscaling.knative.dev/metric": {"const": "concurrency"},
        "autoscaling.knative.dev/target-utilization-percentage": {"type": "string"},
        "serving.knative.dev/progress-deadline": {"type": "string", "pattern": "^[0-9]+s$"},
    }
)
REVISION = closed(
    {
        "containerConcurrency": {"type": "integer", "minimum": 0, "maximum": 1000},
        "timeoutSeconds": {"type": "integer", "minimum": 1},
        "containers": {"type": "array", "minItems": 1, "maxItems": 1},
    }
)
TEMPLATE = closed({"metadata": closed({"annotations": ANNOTATIONS}), "spec": REVISION})
KNATIVE = closed(
    {
        "apiVersion": {"const": "serving.knative.dev/v1"},
        "kind": {"const": "Service"},
        "metadata": METADATA,
        "spec": closed({"template": TEMPLATE}),
    }
)
# ray-project/kuberay, ray-operator/apis/ray/v1/raycluster_types.go
POD = closed({"spec": {"type": "object"}}, {"metadata": closed({}, {"labels": TEXTS, "annotations": TEXTS})})
HEAD = closed({"rayStartParams": TEXTS, "template": POD})
WORKERS = closed(
    {
        "groupName": NAME,
        "replicas": COUNT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "rayStartParams": TEXTS,
        "template": POD,
    }
)
RAY = closed(
    {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayCluster"},
        "metadata": METADATA,
        "spec": closed(
            {
                "rayVersion": {"type": "string"},
                "headGroupSpec": HEAD,
                "workerGroupSpecs": {"type": "array", "items": WORKERS, "minItems": 1},
            }
        ),
    }
)


def documents(app: AppDescription, format: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(export(app, format, image=IMAGES[format])))


def check_pod(spec: dict[str, Any]) -> None:
    """Hold the specification of a pod to Kubernetes' own schema, which knows each key."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
    kubernetes_validate.validate(pod, "1.34", strict=True)


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_the_file_that_a_person_has_read(format: str) -> None:
    assert export(APP, format, image=IMAGES[format]) == (FILES / f"{format}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("app", [APP, SMALL], ids=["full", "small"])
def test_knative_takes_the_service(app: AppDescription) -> None:
    (service,) = documents(app, "knative")
    jsonschema_rs.validate(KNATIVE, service)
    spec = dict(service["spec"]["template"]["spec"])
    del spec["containerConcurrency"], spec["timeoutSeconds"]
    check_pod(spec)


@pytest.mark.parametrize("app", [APP, SMALL], ids=["full", "small"])
def test_kuberay_takes_the_cluster(app: AppDescription) -> None:
    claim, cluster = documents(app, "kuberay")
    kubernetes_validate.validate(claim, "1.34", strict=True)
    jsonschema_rs.validate(RAY, cluster)
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        check_pod(group["template"]["spec"])


@pytest.mark.parametrize("key", ["containerConcurency", "timeoutseconds"])
def test_a_misspelt_key_is_noticed(key: str) -> None:
    (service,) = documents(APP, "knative")
    service["spec"]["template"]["spec"][key] = 1
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(KNATIVE, service)
    with pytest.raises(kubernetes_validate.ValidationError):
        check_pod({"containers": [{"name": "app", "image": "x", "redinessProbe": {}}]})


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize("app", [APP, SMALL], ids=["full", "small"])
def test_compose_takes_the_file(tmp_path: Path, app: AppDescription) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(export(app, "compose", image=None), encoding="utf-8")
    command = ["docker-compose", "-f", str(file), "config"]
    secrets = {"HF_TOKEN": "hf_1", "S3_KEY": "key"}
    run = subprocess.run(command, env=os.environ | secrets, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    service = yaml.safe_load(run.stdout)["services"][app.label]
    assert service["image"] == "localhost/x:build"
    if app is APP:
        assert service["environment"]["HF_TOKEN"] == "hf_1"
        assert service["environment"]["PRICE"].replace("$$", "$") == "$5 or $(HOME)"
        refused = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
        assert refused.returncode != 0
        assert "export HF_TOKEN first" in refused.stderr


CHECK = """
import { Service } from "@kubernetes-models/knative/serving.knative.dev/v1/Service";
import { readFileSync } from "fs";
for (const value of JSON.parse(readFileSync(process.argv[2]))) new Service(value).validate();
"""


@pytest.mark.slow
@pytest.mark.needs("node", "npm")
def test_a_model_of_knatives_own_schema_takes_the_service(tmp_path: Path) -> None:
    package = "@kubernetes-models/knative@2.4.4"
    quiet = ("--silent", "--no-audit", "--no-fund")
    subprocess.run(["npm", "install", "--prefix", str(tmp_path), *quiet, package], check=True, timeout=300)
    (tmp_path / "check.mjs").write_text(CHECK, encoding="utf-8")
    services = [documents(app, "knative")[0] for app in (APP, SMALL)]

    def check(values: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        (tmp_path / "services.json").write_text(json.dumps(values), encoding="utf-8")
        command = ["node", "check.mjs", "services.json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    taken = check(services)
    assert taken.returncode == 0, taken.stderr
    services[0]["spec"]["template"]["spec"]["containerConcurrency"] = "two"
    assert check(services).returncode != 0


def test_every_reader_of_yaml_takes_values_for_texts() -> None:
    """PyYAML knows YAML 1.1; Kubernetes and Compose take more for numbers (yaml.org/spec/1.2.2, 10.3.2)."""
    values = ["1e3", "0o17", "-7e-2", ".5e1", "+1", "12:30", "0x1F", "true", "no", "~", "", "a: b", "# x", "\0\n"]
    app = replace(APP, environment={f"V{at:02}": value for at, value in enumerate(values)}, secrets=())
    (service,) = documents(app, "knative")
    (composed,) = documents(app, "compose")

    container = service["spec"]["template"]["spec"]["containers"][0]
    assert [variable["value"] for variable in container["env"]] == values
    assert [*composed["services"]["my-app"]["environment"].values()] == values
    for format in ("knative", "compose"):
        text = export(app, format, image=IMAGES[format])
        assert re.findall(r": (1e3|0o17|-7e-2|\.5e1)\n", text) == []
        assert len(re.findall(r": '(1e3|0o17|-7e-2|\.5e1)'\n", text)) == 4


def test_a_health_path_is_a_text_for_python_and_compose() -> None:
    path = "/a'+exit(1)+'$HOME"
    (document,) = yaml.safe_load_all(export(APP, "compose", health=path))
    program = document["services"]["my-app"]["healthcheck"]["test"][-1]

    assert program.endswith("'+exit(1)+'$$HOME\", timeout=5)")


def test_no_value_of_a_secret_is_exported() -> None:
    app = replace(APP, environment={"HF_TOKEN": "hf_value"})
    for format in FORMATS:
        assert "hf_value" not in export(app, format, image=IMAGES[format])


@pytest.mark.parametrize(
    ("format", "app", "image", "health", "message"),
    [
        ("knative", replace(APP, kind="process", image=None), None, None,
         "my_app runs as a process and has no image. Build one from its Dockerfile first: docker build"),
        ("knative", APP, None, None, "is on this machine alone. Push it first: docker tag localhost/x:build"),
        ("knative", APP, "registry.example/my-app:1", None, "takes an image with its digest"),
        ("compose", replace(APP, kind="process", image=None), None, None, "--compose --image my-app"),
        ("compose", APP, "an image\nmore: x", None, "is no name of an image"),
        ("kuberay", APP, None, None, "need an image with Bananastand"),
        ("helm", APP, None, None, "is one of knative, kuberay, compose, not helm"),
        ("compose", APP, None, "healthcheck", "takes a path such as /healthcheck"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_says_what_to_do(
    format: str, app: AppDescription, image: str | None, health: str | None, message: str
) -> None:
    with pytest.raises(Refused) as refused:
        export(app, format, image=image, health=health)
    assert message in str(refused.value)


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as up:
        up.deploy("app")
        environment = os.environ | {"BANANASTAND_URL": f"http://127.0.0.1:{up.port}", "BANANASTAND_KEY": up.key}

        def command(*arguments: str) -> subprocess.CompletedProcess[str]:
            program = [sys.executable, "-m", "bananastand", "export", "app", *arguments]
            return subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

        written = command("--compose", "--image", "app:1", "--health", "/ready?now", "-o", "app.yaml")
        printed = command("--knative", "--image", IMAGES["knative"] or "")
        refused, unclear = command("--knative"), command("--knative", "--compose")
    assert (written.returncode, written.stdout) == (
        0, "app.yaml has app for Compose: read its comments, they say what comes first\n",
    )  # fmt: skip
    (service,) = yaml.safe_load((tmp_path / "app.yaml").read_text())["services"].values()
    assert service["image"] == "app:1"
    assert "http://127.0.0.1:8000/ready?now" in service["healthcheck"]["test"][-1]
    assert yaml.safe_load(printed.stdout)["kind"] == "Service"
    assert (refused.returncode, unclear.returncode) == (2, 2)
    assert "app runs as a process and has no image" in " ".join(refused.stderr.split())
    assert "choose one of" in unclear.stderr


async def test_a_project_is_described_as_it_runs(tmp_path: Path) -> None:
    async with running(tmp_path, memory_mb=2048) as platform:
        project = await deployed(
            platform, secrets={"HF_TOKEN": "hf_value"}, environment={"TAKES": "3"}, inference_timeout=77, max_replicas=2
        )
        await called(platform, project)
        app = describe_app(platform, platform.projects.named("app"))
        with pytest.raises(Refused, match="idle has no live version to export: deploy it first"):
            describe_app(platform, platform.projects.create("idle"))
    assert (app.kind, app.image, app.port, app.health) == ("process", None, 8000, "/readyz")
    assert (app.concurrency, app.timeout, app.max_replicas, app.memory_mb) == (3, 77, 2, 2048)
    assert (app.secrets, dict(app.environment)) == (("HF_TOKEN",), {"TAKES": "3"})
