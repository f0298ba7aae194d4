"""The account (A:104-116)."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.request import ApiRequest

from .runtime import Runtime

__all__ = ["get_account"]


def get_account(runtime: Runtime, request: ApiRequest) -> dict[str, Any]:
    """Return the account behind the token, and how many keys it has (A:105-116)."""
    account = runtime.account()
    return {
        "id": account.id,
        "teamId": account.team_id,
        "teamName": account.team_name,
        "email": account.email,
        "plan": account.plan,
        "createdAt": account.created_at,
        "limits": {"maxReplicas": account.max_replicas, "concurrentBuilds": account.concurrent_builds},
        "apiKeys": account.api_keys,
    }
