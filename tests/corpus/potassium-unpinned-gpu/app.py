import time

from potassium import Potassium, Request, Response

app = Potassium("mixed")
ledger = {"jobs": 0}


@app.init
def init():
    return {"scale": 10}


@app.handler(route="/", gpu=True)
def handler(context: dict, request: Request) -> Response:
    return Response(status=200, json={"scaled": request.json["x"] * context["scale"]})


@app.background(route="/job", gpu=False)
def job(context, request: Request) -> Response:
    time.sleep(0.1)
    ledger["jobs"] += 1
    return Response(status=200, json={})


@app.handler(route="/ledger", gpu=False)
def show(context, request: Request) -> Response:
    return Response(status=200, json=ledger)


if __name__ == "__main__":
    app.serve()
