"""Eight workers at once, each in a world of its own: no world sees what happens in another."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import httpx2

from bananastand_mocks.running import RunningServer

WORKERS, CALLS = 8, 200


def test_no_world_sees_anothers(mock_server: RunningServer) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        counted = list(pool.map(lambda number: work(mock_server, number), range(WORKERS)))

    assert counted == [CALLS] * WORKERS


def work(server: RunningServer, number: int) -> int:
    """Random calls with everything this worker makes named after it; what it sees must be its own."""
    stand, choice = server.stand(kind="empty", seed=number), random.Random(number)
    where = stand.endpoint("bananadev")
    runs, models = dict[str, str](), [f"model-{number}-0"]
    with httpx2.Client(base_url=where.base_url, params={"api_token": where.key}, timeout=60) as http:
        http.post("/v1/deploy", json={"modelKey": models[0], "source": "x"})
        for turn in range(1, CALLS):
            match choice.choice(("deploy", "start", "check", "models", "usage", "clock")):
                case "deploy":
                    models.append(f"model-{number}-{turn}")
                    http.post("/v1/deploy", json={"modelKey": models[-1], "source": "x"})
                case "start":
                    key = choice.choice(models)
                    body = {"modelKey": key, "modelInputs": {"prompt": str(number)}, "startOnly": True}
                    runs[http.post("/v1/start", json=body).json()["result"]["callID"]] = key
                case "check" if runs:
                    call = choice.choice(list(runs))
                    body = {"modelKey": runs[call], "id": call}
                    assert http.post("/v1/check", json=body).json()["message"] == "success"
                case "usage":
                    assert http.get("/v1/usage").json()["result"]["summary"]["runs"] == len(runs)
                case "clock":
                    stand.clock.advance(1)
                    http.get("/v1/account")
                case _:
                    listed = http.get("/v1/models").json()["result"]["models"]
                    assert [each["modelKey"] for each in listed] == models
    assert stand.world.breaches == []
    seen = len(stand.journal)
    server.asgi.worlds.remove(stand.world)
    return seen
