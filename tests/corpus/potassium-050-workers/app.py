import os
import time

from potassium import Potassium, Request, Response

app = Potassium("two_workers", experimental_num_workers=2)


@app.init
def init(worker_num):
    return {"worker": worker_num, "pid": os.getpid()}


@app.handler("/")
def double(context: dict, request: Request) -> Response:
    time.sleep(request.json.get("seconds", 0))
    return Response(json={"double": request.json["n"] * 2, "worker_is_one_of_two": context["worker"] in (0, 1)})


@app.handler("/fails")
def fails(context: dict, request: Request) -> Response:
    raise ValueError("no such banana")


if __name__ == "__main__":
    app.serve()
