import numpy as np
from potassium import Potassium, Request, Response

app = Potassium("controlled")


@app.init
def init():
    return {"kernel": np.array([1, 0, -1])}


@app.handler(gpu=True)
def edges(context: dict, request: Request) -> Response:
    signal = np.array(request.json["signal"])
    return Response(status=200, json={"edges": np.convolve(signal, context["kernel"], "valid").tolist()})


@app.handler("/version", gpu=False)
def version(context, request: Request) -> Response:
    return Response(status=200, json={"has_context": context is not None, "version": "0.0.9"})


if __name__ == "__main__":
    app.serve()
