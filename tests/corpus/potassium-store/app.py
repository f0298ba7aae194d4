import os

from potassium import Potassium, Request, Response
from potassium.store import RedisConfig, Store

app = Potassium("store")
store = Store(
    backend="redis",
    config=RedisConfig(host=os.environ.get("REDIS_HOST", "localhost"), port=os.environ.get("REDIS_PORT", "6379")),
)


@app.init
def init():
    return {}


@app.background("/work")
def work(context: dict, request: Request) -> Response:
    store.set(request.json["id"], {"result": request.json["n"] ** 2}, ttl=60)
    return Response(status=200, json={})


@app.handler("/result")
def result(context: dict, request: Request) -> Response:
    found = store.get(request.json["id"])
    if found is None:
        return Response(status=200, json={"state": "pending"})
    return Response(status=200, json={"state": "done", **found})


if __name__ == "__main__":
    app.serve()
