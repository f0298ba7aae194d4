"""Shared by the cluster's tests: the credentials of two clusters, and one Ray cluster with two nodes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_members import Members, members
from postgresql import postgres_server
from ray_cluster import RayCluster

__all__ = ["cluster", "other_cluster", "own_cluster", "postgres_server"]


@pytest.fixture(scope="session")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The credentials of a cluster."""
    return members(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The credentials of somebody else's cluster."""
    return members(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """A head without room for replicas, and two nodes of two GPUs each, which do not exist."""
    if importlib.util.find_spec("ray") is None:
        if os.environ.get("STAND_REQUIRE_ALL") == "1":
            pytest.fail("needs ray, and STAND_REQUIRE_ALL=1 allows no skip", pytrace=False)
        pytest.skip("needs ray (pip install 'bananastand[cluster]')")
    folder = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))  # Ray makes sockets below it: their paths are short
    cluster = RayCluster(folder)
    try:
        cluster.add(1)
        cluster.wait()
        for number in (2, 3):
            cluster.add(number, cpus=2, gpus=2, labels={"zone": f"z{number}"})
        cluster.wait()
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
