"""Shared by the cluster's tests: the credentials of two clusters."""

from __future__ import annotations

import pytest

from cluster_members import Members, members


@pytest.fixture(scope="session")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The credentials of a cluster."""
    return members(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="session")
def other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The credentials of somebody else's cluster."""
    return members(tmp_path_factory.mktemp("other"))
