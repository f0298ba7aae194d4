import time

from potassium import Potassium, Request, Response

app = Potassium("long_job")
finished = []


@app.init
def init():
    return {"factor": 3}


@app.handler("/")
def handler(context: dict, request: Request) -> Response:
    return Response(status=200, json={"output": request.json["n"] * context["factor"]})


@app.async_handler("/async")
def job(context: dict, request: Request) -> Response:
    time.sleep(0.2)
    finished.append(request.json["name"])
    return Response(status=200, json={"name": request.json["name"]})


@app.handler("/finished")
def listed(context: dict, request: Request) -> Response:
    return Response(status=200, json={"finished": finished})


if __name__ == "__main__":
    app.serve()
