import numpy as np
from bottle import post, request, route, run


@route("/healthcheck")
def healthcheck():
    return {"state": "healthy"}


@post("/")
def inference():
    matrix = np.array(request.json["matrix"])
    return {"trace": float(np.trace(matrix)), "shape": list(matrix.shape)}


run(host="0.0.0.0", port=8000)
