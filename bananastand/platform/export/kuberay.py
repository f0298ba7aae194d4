"""A cluster for a project on Kubernetes, as a RayCluster of KubeRay: the platform in the head, replicas on GPU pods.

Field names: ray-project/kuberay, ray-operator/apis/ray/v1/raycluster_types.go. The annotation with which pods run their
own commands instead of `ray start` belongs to the RayCluster: ray-operator/controllers/ray/common/pod.go.
"""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from .description import AppDescription, checked_image
from .pod_parts import MANAGED, resources

__all__ = ["kuberay"]

RAY = "2.60.0"
OWN_COMMAND = {"ray.io/overwrite-container-cmd": "true"}
JOIN_PORT, PLATFORM_PORT, RAY_PORT = 8752, 8750, 6379
HEAD_MEMORY = 4096  # MiB: the platform with its bridge, Ray's head, and builds
NODE_MEMORY = 1024  # MiB of a worker pod for Ray and the keeper, beside its replica
SIZE = "50Gi"  # of the data directory
FIRST = "[ -e /data/cluster ] || bananastand cluster init --address $POD_IP --no-replicas --hours 8760"


def kuberay(app: AppDescription, image: str | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Return comments and documents of a cluster that has room for a project's replicas.

    Args:
        app: The project.
        image: An image with bananastand[cluster] in it.

    Raises:
        Refused: There is no image.
    """
    if image is None:
        raise Refused(
            "KubeRay's pods need an image with Bananastand: build one from `FROM python:3.11-slim`, `RUN pip install "
            f"'bananastand[cluster,stand]'`, push it, then bananastand export {app.name} --kuberay --image NAME"
        )
    name, cluster = checked_image(image), f"{app.label}-cluster"
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{cluster}-data", "labels": MANAGED},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}},
    }
    ray = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": cluster, "annotations": OWN_COMMAND, "labels": MANAGED},
        "spec": {
            "rayVersion": RAY,
            "headGroupSpec": _head(name, cluster),
            "workerGroupSpecs": [_workers(app, name, cluster)],
        },
    }
    return _comments(app, cluster), [claim, ray]


def _head(image: str, cluster: str) -> dict[str, Any]:
    container = {
        "name": "ray-head",
        "image": image,
        "command": ["/bin/sh", "-c"],
        "args": [f"{FIRST}; exec bananastand up --cluster auto --host 0.0.0.0"],
        "env": [
            {"name": "BANANASTAND_DATA", "value": "/data"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "ports": [
            {"name": "gcs-server", "containerPort": RAY_PORT},
            {"name": "join", "containerPort": JOIN_PORT},
            {"name": "platform", "containerPort": PLATFORM_PORT},
        ],
        "readinessProbe": {"tcpSocket": {"port": PLATFORM_PORT}, "periodSeconds": 5, "failureThreshold": 3},
        "resources": resources(0, HEAD_MEMORY),
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": f"{cluster}-data"}}
    return {
        "rayStartParams": {},
        "template": {
            "metadata": {"labels": MANAGED},
            "spec": {"containers": [container], "volumes": [volume]},
        },
    }


def _workers(app: AppDescription, image: str, cluster: str) -> dict[str, Any]:
    labels = "".join(f" --label {name}={value}" for name, value in sorted(app.labels.items()))
    join = f"exec bananastand join {cluster}-head-svc:{JOIN_PORT} --address $POD_IP{labels}"
    memory = None if app.memory_mb is None else app.memory_mb + NODE_MEMORY
    container = {
        "name": "ray-worker",
        "image": image,
        "command": ["/bin/sh", "-c"],
        "args": [join],
        "env": [
            {
                "name": "BANANASTAND_JOIN_TOKEN",
                "valueFrom": {"secretKeyRef": {"name": f"{cluster}-join", "key": "token"}},
            },
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": resources(app.gpus, memory),
    }
    return {
        "groupName": "gpu" if app.gpus else "cpu",
        "replicas": max(1, app.min_replicas),
        "minReplicas": app.min_replicas,
        "maxReplicas": max(1, app.max_replicas),
        "rayStartParams": {},
        "template": {
            "metadata": {"labels": MANAGED},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 60},
        },
    }


def _comments(app: AppDescription, cluster: str) -> list[str]:
    return [
        f"A cluster with room for {app.name}, for KubeRay: kubectl apply -f FILE",
        "The platform runs in the head pod, with its durable queue; deploy the project there again.",
        "1. KubeRay's operator needs ENABLE_INIT_CONTAINER_INJECTION=false: its check has no certificate of Ray.",
        "2. Once the head runs: kubectl exec HEAD_POD -- bananastand cluster token --json",
        f"3. kubectl create secret generic {cluster}-join --from-literal=token=... ; then the other pods join.",
        f"4. kubectl port-forward svc/{cluster}-head-svc {PLATFORM_PORT} leads to the platform.",
        "If the head pod comes back at another address: bananastand cluster init --replace there, then steps 2 and 3.",
    ]
